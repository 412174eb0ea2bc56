//! Progress, replicas and events of a uid; and the list of all instances.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use mynah_api::{Event, Instance, LaunchProgress, Replica};
use mynah_engine::{Engine, Error};
use serde_json::{Value, json};

use super::model_views;
use crate::error::ApiError;
use crate::request::{Dialect, Parameters, read_object};
use crate::state::AppState;

/// `GET /v1/models/instances`: the running models under `model_uid`, or of `model_name`, or all.
pub(super) async fn list_instances(
    State(state): State<Arc<AppState>>,
    Query(query): Query<Parameters>,
) -> Result<Json<Vec<Instance>>, ApiError> {
    let running = state.blocking("Cannot list the instances", Engine::running).await?;
    let address = state.config.address.to_string();
    let instances = running.iter().map(|running| model_views::instance(running, &address));
    let wanted = |instance: &Instance| match (query.text("model_uid"), query.text("model_name")) {
        (Some(uid), _) => instance.model_uid == uid,
        (None, Some(name)) => instance.model_name == name,
        (None, None) => true,
    };
    Ok(Json(instances.filter(wanted).collect()))
}

/// `GET /v1/models/{uid}/progress`. Zero for an unknown uid.
pub(super) fn progress(state: &AppState, uid: &str) -> Json<LaunchProgress> {
    Json(model_views::progress(state.engine.find_running(uid).ok().as_ref()))
}

/// `POST /v1/models/{uid}/cancel`: cancels a launch, or terminates a model that is ready.
pub(super) async fn cancel(state: &AppState, uid: String) -> Result<Json<()>, ApiError> {
    state.blocking("Cannot cancel the launch", move |engine| engine.cancel_launch(&uid)).await??;
    Ok(Json(()))
}

/// `GET /v1/models/{uid}/events`.
pub(super) fn events(state: &AppState, uid: &str) -> Json<Vec<Event>> {
    Json(state.engine.events(uid).into_iter().map(model_views::event).collect())
}

/// `GET /v1/models/{uid}/replicas`. Empty for an unknown uid.
pub(super) fn replicas(state: &AppState, uid: &str) -> Json<Vec<Replica>> {
    let address = state.config.address.to_string();
    let running = state.engine.find_running(uid);
    Json(running.map(|running| model_views::replicas(&running, &address)).unwrap_or_default())
}

/// `POST /v1/models/{uid}/replicas`: adds one or `replica` replicas.
pub(super) async fn add_replicas(
    state: &AppState,
    dialect: Dialect,
    uid: &str,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let more = match read_object(request, state).await?.get("replica") {
        None | Some(Value::Null) => 1,
        Some(value) => {
            value.as_u64().and_then(|more| u32::try_from(more).ok()).filter(|more| *more > 0).ok_or_else(
                || ApiError::invalid("replica", "Invalid input. The `replica` field must be at least 1."),
            )?
        }
    };
    let now = scale(state, dialect, uid, |replicas| replicas.saturating_add(more))?;
    let mut added: Vec<Value> = replicas(state, uid)
        .0
        .into_iter()
        .skip((now - more) as usize)
        .map(|replica| serde_json::to_value(replica).unwrap_or_default())
        .collect();
    Ok(Json(match added.pop() {
        Some(only) if more == 1 => only,
        last => {
            added.extend(last);
            json!({"replica": more, "replicas": added})
        }
    }))
}

/// `DELETE /v1/models/{uid}/replicas/{id}`: removes one.
pub(super) fn remove_replica(
    state: &AppState,
    dialect: Dialect,
    uid: &str,
    id: &str,
) -> Result<Json<Value>, ApiError> {
    let known = replicas(state, uid).0.iter().any(|replica| replica.replica_id.to_string() == id);
    if !known && state.engine.find_running(uid).is_ok() {
        let message = format!("Model {uid:.100} has no replica {id:.20}.");
        return Err(ApiError::invalid("replica_id", message));
    }
    let remaining = scale(state, dialect, uid, |replicas| replicas - 1)?;
    Ok(Json(json!({"remaining_replicas": remaining})))
}

fn scale(
    state: &AppState,
    dialect: Dialect,
    uid: &str,
    change: impl Fn(u32) -> u32,
) -> Result<u32, ApiError> {
    state.engine.scale(uid, change).map_err(|error| match error {
        Error::NotRunning(_) => ApiError::from(error).status(dialect.no_such_model()),
        error => error.into(),
    })
}

/// `POST /v1/models/{uid}/requests/{id}/abort`: no effect; requests on audio models end when their client disconnects.
pub(super) fn abort() -> Json<Value> {
    Json(json!({"msg": "NO_OP"}))
}

/// `/v1/models/{uid}/reload`: not supported; only for engines that keep their weights while their settings change.
pub(super) fn reload() -> ApiError {
    let message = "Reload with retained weights requires vLLM or SGLang. Terminate the model and launch it again; its \
                   weights load in a moment.";
    ApiError::new(StatusCode::BAD_REQUEST, message).code("unsupported_value")
}
