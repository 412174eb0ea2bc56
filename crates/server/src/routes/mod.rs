//! Routes of OpenAI's API and general ones. One file per family.

mod embeddings;
mod metrics;
pub(crate) mod models;
mod speech;
mod status;
mod transcriptions;
mod voices;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

pub(crate) use self::status::{no_such_method, no_such_path};
use crate::openapi::{docs, openapi};
use crate::state::AppState;

/// All routes. `GET /v1/models/{uid}` is in `xinference`, as uids share their path with further routes.
pub(crate) fn router() -> Router<Arc<AppState>> {
    Router::new()
        .route("/", get(docs))
        .route("/docs", get(docs))
        .route("/health", get(status::health))
        .route("/health/live", get(status::health))
        .route("/health/ready", get(status::ready))
        .route("/metrics", get(metrics::metrics))
        .route("/openapi.json", get(openapi))
        .route("/v1/audio/embeddings", post(embeddings::embeddings))
        .route("/v1/audio/models", get(voices::list_speech_models))
        .route("/v1/audio/speech", post(speech::speech))
        .route("/v1/audio/transcriptions", post(transcriptions::transcriptions))
        .route("/v1/audio/translations", post(transcriptions::translations))
        .route("/v1/audio/voices", get(voices::list_voices))
        .route("/v1/models", get(models::list_models))
}
