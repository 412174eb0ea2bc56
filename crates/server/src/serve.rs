//! The routes put together, and the loop that serves them.

use std::any::Any;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use mynah_engine::Engine;
use tokio::net::TcpListener;
use tower_http::catch_panic::CatchPanicLayer;

use crate::config::ServerConfig;
use crate::error::ApiError;
use crate::middleware::{linger, log_access, require_key};
use crate::routes;
use crate::state::AppState;

/// All routes.
pub fn router(engine: Engine, config: ServerConfig) -> Router {
    let state = Arc::new(AppState::new(engine, config));
    Router::new()
        .route("/health", get(routes::health))
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
        .layer(from_fn_with_state(Arc::clone(&state), require_key))
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

/// Serves `router` until `stop` is ready, then lets requests under way finish for `grace` at most.
///
/// # Errors
/// The listener failed.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    grace: Duration,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let listener = listener.tap_io(|socket| {
        // Events are small and must not wait for more.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
    });
    let (stopping, stopped) = tokio::sync::oneshot::channel();
    // The address tells clients apart.
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let server = axum::serve(listener, service).with_graceful_shutdown(async move {
        stop.await;
        // Fails where the server has ended by itself.
        let _ = stopping.send(());
    });
    let out_of_time = async {
        match stopped.await {
            Ok(()) => tokio::time::sleep(grace).await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = server.into_future() => ended,
        () = out_of_time => {
            tracing::warn!("requests were still under way after {} s and are cut off", grace.as_secs());
            Ok(())
        }
    }
}
