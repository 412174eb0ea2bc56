//! `/v1/models`: listing, launching, describing and terminating.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, Request, State};
use mynah_api::{Launched, Model, ModelDescription, ModelList};
use mynah_engine::{Error, LaunchRequest, Phase, Running};

use crate::error::ApiError;
use crate::request::{Dialect, Parameters, read_object};
use crate::state::AppState;
use crate::xinference::{model_views as view, read_launch};

/// `GET /v1/models`: the models that run. OpenAI's clients, and others with `all=true`, get those too that a request may
/// load.
pub(crate) async fn list_models(
    State(state): State<Arc<AppState>>,
    dialect: Dialect,
    Query(query): Query<Parameters>,
) -> Result<Json<ModelList>, ApiError> {
    let all = query.boolean("all", dialect == Dialect::OpenAi)?;
    let address = state.config.address.to_string();
    let data = state.blocking("The models cannot be listed", move |engine| {
        let running = engine.running();
        let ready = running.iter().filter(|running| matches!(running.phase, Phase::Ready));
        let mut data: Vec<Model> =
            ready.map(|running| view::model(&running.uid, view::running(running, &address))).collect();
        if all {
            let statuses = engine.models();
            let others = statuses.iter().filter(|status| running.iter().all(|r| r.uid != status.entry.name));
            data.extend(others.map(|s| view::model(&s.entry.name, view::catalogued(s, &address))));
        }
        data
    });
    Ok(Json(ModelList { object: "list".to_owned(), data: data.await? }))
}

/// `POST /v1/models`: launches a model; answers when it is ready, or at once with `wait_ready=false`.
pub(crate) async fn launch_model(
    State(state): State<Arc<AppState>>,
    Query(query): Query<Parameters>,
    request: Request,
) -> Result<Json<Launched>, ApiError> {
    let waits = query.boolean("wait_ready", true)?;
    let body = read_object(request, &state).await?;
    let request = LaunchRequest { waits, ..read_launch(body)? };
    let launch = state.blocking("The launch failed", move |engine| engine.launch(request)).await?;
    let launch = launch.map_err(ApiError::launch)?;
    let model_uid = launch.uid.clone();
    if waits {
        launch.ready().await.map_err(ApiError::launch)?;
    }
    Ok(Json(Launched { model_uid }))
}

/// `GET /v1/models/{uid}`: a model that runs, or one of the catalogue under any of its names.
pub(crate) async fn describe(
    state: &AppState,
    dialect: Dialect,
    uid: String,
) -> Result<Json<Model>, ApiError> {
    let address = state.config.address.to_string();
    let found = state.blocking("The model cannot be described", move |engine| {
        if let Ok(running) = engine.find_running(&uid) {
            if let Some(loading) = running.phase.loading(&uid) {
                return Err(ApiError::from(loading));
            }
            if matches!(running.phase, Phase::Ready) {
                return Ok(view::model(&uid, view::running(&running, &address)));
            }
        }
        let status = engine.loadable(&uid).map_err(|e| ApiError::from(e).status(dialect.no_such_model()))?;
        Ok(view::model(&uid, view::catalogued(&status, &address)))
    });
    let mut model: Model = found.await??;
    model.description.n_worker = Some(1);
    Ok(Json(model))
}

/// `DELETE /v1/models/{uid}`: terminates a model that runs.
pub(crate) async fn terminate(state: &AppState, dialect: Dialect, uid: String) -> Result<Json<()>, ApiError> {
    let ended =
        state.blocking("The model cannot be terminated", move |engine| engine.terminate(&uid)).await?;
    ended.map_err(|error| match error {
        Error::NotRunning(_) => ApiError::from(error).status(dialect.no_such_model()),
        error => error.into(),
    })?;
    Ok(Json(()))
}

/// Descriptions of all running models by the uids of their replicas.
pub(crate) fn by_replica(running: &[Running], address: &str) -> Vec<(String, ModelDescription)> {
    let ready = running.iter().filter(|running| matches!(running.phase, Phase::Ready));
    ready
        .flat_map(|running| {
            let description = view::running(running, address);
            (0..running.request.replicas).map(move |id| (view::replica_uid(running, id), description.clone()))
        })
        .collect()
}
