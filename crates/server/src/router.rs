//! The routes put together.

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use mynah_engine::Engine;
use tower_http::catch_panic::CatchPanicLayer;

use crate::config::ServerConfig;
use crate::error::ApiError;
use crate::middleware::{authorize, linger, log_access};
use crate::routes;
use crate::state::{AppState, Control};

/// All routes.
pub fn router(engine: Engine, config: ServerConfig) -> Router {
    router_and_control(engine, config).0
}

/// All routes, and the handle by which their bounds are changed.
pub fn router_and_control(engine: Engine, config: ServerConfig) -> (Router, Control) {
    let state = Arc::new(AppState::new(engine, config));
    let control = Control(Arc::clone(&state));
    (routes(state), control)
}

fn routes(state: Arc<AppState>) -> Router {
    Router::new()
        .route("/health", get(routes::health))
        .route("/health/live", get(routes::health))
        .route("/health/ready", get(routes::ready))
        .route("/token", post(routes::log_in))
        .route("/v1/admin/keys", get(routes::list_keys).post(routes::make_key))
        .route("/v1/admin/keys/{id}", delete(routes::revoke_key))
        .route("/v1/auth/logout", post(routes::log_out))
        .route("/v1/auth/refresh", post(routes::refresh))
        .route("/v1/audio/models", get(routes::list_speech_models))
        .route("/v1/audio/speech", post(routes::speech))
        .route("/v1/audio/transcriptions", post(routes::transcriptions))
        .route("/v1/audio/translations", post(routes::translations))
        .route("/v1/audio/voices", get(routes::list_voices))
        .route("/v1/cluster/auth", get(routes::auth_probe))
        .route("/v1/models", get(routes::list_models))
        .route("/v1/models/{*name}", get(routes::retrieve_model))
        .fallback(routes::no_such_path)
        .method_not_allowed_fallback(routes::no_such_method)
        // Uploads have bounds of their own.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(Arc::clone(&state), authorize))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(linger))
        .layer(from_fn(log_access))
        .with_state(state)
}

fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    ApiError::internal(&format!("panic: {text}"), "The server failed").into_response()
}
