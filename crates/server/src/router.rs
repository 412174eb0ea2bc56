//! The routes put together.

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get, post};
use mynah_engine::Engine;
use tower_http::catch_panic::CatchPanicLayer;

use crate::config::ServerConfig;
use crate::error::ApiError;
use crate::middleware::{authorize, linger, log_access, refuse_foreign_names, refuse_foreign_pages, secure};
use crate::openapi::{docs, openapi};
use crate::routes;
use crate::state::{AppState, Control};
use crate::xinference;

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
        .route("/", get(docs))
        .route("/docs", get(docs))
        .route("/health", get(routes::health))
        .route("/health/live", get(routes::health))
        .route("/health/ready", get(routes::ready))
        .route("/metrics", get(routes::metrics))
        .route("/openapi.json", get(openapi))
        .route("/status", get(xinference::status))
        .route("/token", post(xinference::log_in))
        .route("/v1/address", get(xinference::supervisor_address))
        .route("/v1/admin/keys", get(xinference::list_keys).post(xinference::make_key))
        .route("/v1/admin/keys/{id}", delete(xinference::revoke_key))
        .route("/v1/audio/embeddings", post(routes::embeddings))
        .route("/v1/audio/models", get(routes::list_speech_models))
        .route("/v1/audio/speech", post(routes::speech))
        .route("/v1/audio/transcriptions", post(routes::transcriptions))
        .route("/v1/audio/translations", post(routes::translations))
        .route("/v1/audio/voices", get(routes::list_voices))
        .route("/v1/auth/logout", post(xinference::log_out))
        .route("/v1/auth/refresh", post(xinference::refresh))
        .route("/v1/cache/models", get(xinference::list_cached).delete(xinference::remove_cached))
        .route("/v1/cache/models/files", get(xinference::list_cached_files))
        .route("/v1/cluster/auth", get(xinference::auth_probe))
        .route("/v1/cluster/devices", get(xinference::cluster_devices))
        .route("/v1/cluster/info", get(xinference::cluster_info))
        .route("/v1/cluster/ui_config", get(xinference::ui_config))
        .route("/v1/cluster/version", get(xinference::cluster_version))
        .route("/v1/clusters", delete(xinference::stop))
        .route("/v1/engines/{name}", get(xinference::engines_of_language_model))
        .route("/v1/engines/{type}/{*name}", get(xinference::engines))
        .route(
            "/v1/model_registrations/{type}",
            get(xinference::list_registrations).post(xinference::register_model),
        )
        .route(
            "/v1/model_registrations/{type}/{*name}",
            get(xinference::retrieve_registration).delete(xinference::unregister_model),
        )
        .route("/v1/models", get(routes::list_models).post(xinference::launch_model))
        .route("/v1/models/families", get(xinference::families))
        .route("/v1/models/instance", post(xinference::launch_by_version))
        .route("/v1/models/instances", get(xinference::list_instances))
        .route("/v1/models/prompts", get(xinference::prompts))
        .route("/v1/models/vllm-supported", get(xinference::vllm_supported))
        .route("/v1/models/{*path}", any(xinference::below_models))
        .route("/v1/requests/{id}/progress", get(xinference::request_progress))
        .route("/v1/supervisor", get(xinference::supervisor))
        .route("/v1/workers", get(xinference::workers))
        .fallback(routes::no_such_path)
        .method_not_allowed_fallback(routes::no_such_method)
        // Uploads have bounds of their own.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(Arc::clone(&state), authorize))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(Arc::clone(&state), refuse_foreign_pages))
        .layer(state.config.cors_origins.layer())
        .layer(from_fn_with_state(Arc::clone(&state), refuse_foreign_names))
        .layer(from_fn(linger))
        .layer(from_fn(secure))
        .layer(from_fn_with_state(Arc::clone(&state.metrics), log_access))
        .with_state(state)
}

fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    ApiError::internal(&format!("panic: {text}"), "The server failed").into_response()
}
