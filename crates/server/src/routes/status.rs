//! Probes, and requests that match no route.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::state::AppState;

/// `GET /health` and `GET /health/live`: the server answers.
pub(super) async fn health() -> Json<Value> {
    Json(json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}))
}

/// `GET /health/ready`: the server would accept an audio request now.
pub(super) async fn ready(State(state): State<Arc<AppState>>) -> Result<Json<Value>, ApiError> {
    state.permit(None)?;
    Ok(health().await)
}

/// A path without a route.
pub(crate) async fn no_such_path(uri: Uri) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, format!("Not Found: no route {}.", uri.path())).code("not_found")
}

/// A method that the path's route does not have.
pub(crate) async fn no_such_method(method: Method, uri: Uri) -> ApiError {
    let message = format!("Method Not Allowed: {method} {}.", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, message).code("method_not_allowed")
}
