//! `GET /v1/models` and `GET /v1/models/{uid}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use mynah_api::{Model, ModelList};
use mynah_engine::Phase;

use crate::error::ApiError;
use crate::request::{Dialect, Parameters};
use crate::responses::model;
use crate::state::AppState;

/// `GET /v1/models`: the running models. OpenAI's clients, and others with `all=true`, also get those that a request can
/// load.
pub(super) async fn list_models(
    State(state): State<Arc<AppState>>,
    dialect: Dialect,
    Query(query): Query<Parameters>,
) -> Result<Json<ModelList>, ApiError> {
    let all = query.boolean("all", dialect == Dialect::OpenAi)?;
    let address = state.config.address.to_string();
    let data = state.blocking("Cannot list the models", move |engine| {
        let running = engine.running();
        let ready = running.iter().filter(|running| matches!(running.phase, Phase::Ready));
        let mut data: Vec<Model> =
            ready.map(|running| model::model(&running.uid, model::running(running, &address))).collect();
        if all {
            let statuses = engine.models();
            let others = statuses.iter().filter(|status| running.iter().all(|r| r.uid != status.entry.name));
            data.extend(others.map(|s| model::model(&s.entry.name, model::catalogued(s, &address))));
        }
        data
    });
    Ok(Json(ModelList { object: "list".to_owned(), data: data.await? }))
}

/// `GET /v1/models/{uid}`: a running model, or a catalogue model under any of its names.
pub(crate) async fn describe(
    state: &AppState,
    dialect: Dialect,
    uid: String,
) -> Result<Json<Model>, ApiError> {
    let address = state.config.address.to_string();
    let found = state.blocking("Cannot describe the model", move |engine| {
        if let Ok(running) = engine.find_running(&uid) {
            if let Some(loading) = running.phase.loading(&uid) {
                return Err(ApiError::from(loading));
            }
            if matches!(running.phase, Phase::Ready) {
                return Ok(model::model(&uid, model::running(&running, &address)));
            }
        }
        let status = engine.loadable(&uid).map_err(|e| ApiError::from(e).status(dialect.no_such_model()))?;
        Ok(model::model(&uid, model::catalogued(&status, &address)))
    });
    let mut model: Model = found.await??;
    model.description.n_worker = Some(1);
    Ok(Json(model))
}
