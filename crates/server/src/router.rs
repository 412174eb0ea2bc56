//! Assembles the routes.

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use mynah_engine::Engine;
use tower_http::catch_panic::CatchPanicLayer;

use crate::config::ServerConfig;
use crate::error::ApiError;
use crate::middleware::{authorize, linger, log_access, reject_cross_origin, reject_unknown_host, secure};
use crate::routes;
use crate::state::{AppState, Control};
use crate::xinference;

/// All routes.
pub fn router(engine: Engine, config: ServerConfig) -> Router {
    router_and_control(engine, config).0
}

/// All routes, and a handle to change their limits.
pub fn router_and_control(engine: Engine, config: ServerConfig) -> (Router, Control) {
    let state = Arc::new(AppState::new(engine, config));
    let control = Control(Arc::clone(&state));
    (assemble(state), control)
}

fn assemble(state: Arc<AppState>) -> Router {
    routes::router()
        .merge(xinference::router())
        .fallback(routes::no_such_path)
        .method_not_allowed_fallback(routes::no_such_method)
        // Uploads have their own limits.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(Arc::clone(&state), authorize))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(Arc::clone(&state), reject_cross_origin))
        .layer(state.config.cors_origins.layer())
        .layer(from_fn_with_state(Arc::clone(&state), reject_unknown_host))
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
