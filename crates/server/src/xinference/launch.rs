//! Launches and terminates models.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use mynah_api::Launched;
use mynah_engine::{Error, LaunchRequest};

use super::launch_request;
use crate::error::ApiError;
use crate::request::{Dialect, Parameters, read_object};
use crate::state::AppState;

/// `POST /v1/models`: launches a model; responds when it is ready, or at once with `wait_ready=false`.
pub(super) async fn launch_model(
    State(state): State<Arc<AppState>>,
    Query(query): Query<Parameters>,
    request: Request,
) -> Result<Json<Launched>, ApiError> {
    let waits = query.boolean("wait_ready", true)?;
    let body = read_object(request, &state).await?;
    let request = LaunchRequest { waits, ..launch_request::read(body)? };
    let launch = state.blocking("Launch failed", move |engine| engine.launch(request)).await?;
    let launch = launch.map_err(launch_error)?;
    let model_uid = launch.uid.clone();
    if waits {
        launch.ready().await.map_err(launch_error)?;
    }
    Ok(Json(Launched { model_uid }))
}

/// The error of a failed launch. For weights, the response includes the reason.
fn launch_error(error: Error) -> ApiError {
    match error {
        Error::UnknownModel { .. } => {
            let message =
                format!("Audio model not found: {error}. GET /v1/model_registrations/audio lists all.");
            ApiError::new(StatusCode::BAD_REQUEST, message).param("model_name").code("model_not_found")
        }
        Error::Cancelled => {
            // nginx's "client closed request", which Xinference uses too.
            let status = StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST);
            ApiError::new(status, "Launch cancelled").code("launch_cancelled")
        }
        Error::Model(_) => {
            let message = format!("Cannot use the weights of the model: {error}.");
            ApiError::new(StatusCode::BAD_REQUEST, message).param("model_path").code("invalid_value")
        }
        error => error.into(),
    }
}

/// `POST /v1/models/instance`: not supported; in Xinference, it does not launch audio models either.
pub(super) async fn launch_by_version() -> ApiError {
    let message = "Audio models are launched by name: POST /v1/models.";
    ApiError::new(StatusCode::BAD_REQUEST, message).code("unsupported_value")
}

/// `DELETE /v1/models/{uid}`: terminates a running model.
pub(super) async fn terminate(state: &AppState, dialect: Dialect, uid: String) -> Result<Json<()>, ApiError> {
    let ended = state.blocking("Cannot terminate the model", move |engine| engine.terminate(&uid)).await?;
    ended.map_err(|error| match error {
        Error::NotRunning(_) => ApiError::from(error).status(dialect.no_such_model()),
        error => error.into(),
    })?;
    Ok(Json(()))
}
