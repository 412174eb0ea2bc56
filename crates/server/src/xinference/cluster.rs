//! Status, addresses and versions of this machine, for clients that expect a cluster.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::{Path, Query, State};
use mynah_api::{
    AuthProbe, ClusterNode, ClusterNodeDetails, ClusterStatus, ClusterVersion, Done, ModelDescription,
    Supervisor, Worker, WorkerStatus,
};
use mynah_engine::{Engine, Phase, Running};
use serde_json::{Value, json};

use super::model_views;
use crate::error::ApiError;
use crate::request::Parameters;
use crate::responses::model;
use crate::state::AppState;
use crate::system_info;

/// `GET /v1/cluster/auth`: Xinference's clients send their key only if this is true.
pub(super) async fn auth_probe(State(state): State<Arc<AppState>>) -> Json<AuthProbe> {
    Json(AuthProbe { auth: state.auth.is_on() })
}

/// `GET /status`.
pub(super) async fn status(State(state): State<Arc<AppState>>) -> Json<ClusterStatus> {
    let update_time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let status = BTreeMap::from([("cpu".to_owned(), system_info::look())]);
    let worker = WorkerStatus { update_time, failure_remaining_count: 5, status };
    Json(ClusterStatus {
        uptime: state.started.elapsed().as_secs(),
        workers: BTreeMap::from([(address(&state), worker)]),
    })
}

/// `GET /v1/address`.
pub(super) async fn supervisor_address(State(state): State<Arc<AppState>>) -> Json<String> {
    Json(address(&state))
}

/// `GET /v1/supervisor`.
pub(super) async fn supervisor(State(state): State<Arc<AppState>>) -> Json<Supervisor> {
    Json(Supervisor { supervisor_ip: address(&state) })
}

/// `GET /v1/workers`.
pub(super) async fn workers(State(state): State<Arc<AppState>>) -> Result<Json<Vec<Worker>>, ApiError> {
    let running = state.blocking("Cannot list the models", Engine::running).await?;
    let work_ip = address(&state);
    let models = by_replica(&running, &work_ip).into_iter().collect();
    Ok(Json(vec![Worker { work_ip, models }]))
}

/// Descriptions of all running models by the uids of their replicas.
fn by_replica(running: &[Running], address: &str) -> Vec<(String, ModelDescription)> {
    let ready = running.iter().filter(|running| matches!(running.phase, Phase::Ready));
    ready
        .flat_map(|running| {
            let description = model::running(running, address);
            (0..running.request.replicas)
                .map(move |id| (model_views::replica_uid(running, id), description.clone()))
        })
        .collect()
}

/// `GET /v1/cluster/info`.
pub(super) async fn cluster_info(
    State(state): State<Arc<AppState>>,
    Query(query): Query<Parameters>,
) -> Result<Json<Vec<ClusterNode>>, ApiError> {
    let details = query.boolean("detailed", false)?.then(|| {
        let cpu = system_info::look();
        ClusterNodeDetails {
            gpu_vram_available: 0,
            gpu_utilization: None,
            cpu_available: cpu.total as f64 * (1.0 - cpu.usage),
            cpu_count: cpu.total,
            mem_used: cpu.memory_used,
            mem_available: cpu.memory_available,
            mem_total: cpu.memory_total,
        }
    });
    let node = |node_type: &str| ClusterNode {
        node_type: node_type.to_owned(),
        ip_address: address(&state),
        gpu_count: 0,
        gpu_vram_total: 0,
        details: details.clone(),
    };
    Ok(Json(vec![node("Supervisor"), node("Worker")]))
}

/// `GET /v1/cluster/version`.
pub(super) async fn cluster_version() -> Json<ClusterVersion> {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Json(ClusterVersion { full_revision_id: version.clone(), version })
}

/// `GET /v1/cluster/devices`: the number of GPUs.
pub(super) async fn cluster_devices() -> Json<u32> {
    Json(0)
}

/// `GET /v1/cluster/ui_config`: requested by Xinference's web UI at its start.
pub(super) async fn ui_config(State(state): State<Arc<AppState>>) -> Json<Value> {
    Json(json!({
        "grafana_url": "",
        "grafana_datasource": "",
        "grafana_alert_datasource": "",
        "grafana_dashboard_uid": "",
        "grafana_dashboards": {},
        "grafana_dashboards_configured": [],
        "cluster_name": "",
        "es_enabled": false,
        "auth_advanced": state.auth.is_on(),
        "oidc_enabled": false,
        "token_router_enabled": false,
    }))
}

/// `DELETE /v1/clusters`: stops the server, as a signal does.
pub(super) async fn stop(State(state): State<Arc<AppState>>) -> Json<Done> {
    state.config.stop.notify_one();
    Json(Done { result: true })
}

/// `GET /v1/requests/{id}/progress`: for image and video models only, so no request has progress.
pub(super) async fn request_progress(Path(id): Path<String>) -> ApiError {
    ApiError::invalid("request_id", format!("No request with the id {id:.100} reports its progress."))
}

fn address(state: &AppState) -> String {
    state.config.address.to_string()
}
