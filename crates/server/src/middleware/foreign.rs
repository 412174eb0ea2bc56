//! Refuses requests with an unknown host name, and requests from pages of other origins.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::error::ApiError;
use crate::state::AppState;

/// Middleware: refuses requests with a host name that is not allowed.
pub(crate) async fn reject_unknown_host(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let hosts = &state.config.allowed_hosts;
    let looks = hosts.chosen || state.config.address.ip().is_loopback() && !state.auth.is_on();
    let named = request.headers().get_all(header::HOST).iter().map(|host| host.to_str().unwrap_or_default());
    let mut named = named.chain(request.uri().authority().map(Authority::as_str));
    if looks && !named.all(|host| hosts.include(host)) {
        let message = "Unknown host name; add it to the setting allowed_hosts.";
        return Err(ApiError::new(StatusCode::FORBIDDEN, message).code("foreign_host"));
    }
    drop(named);
    Ok(next.run(request).await)
}

/// Middleware: refuses requests from pages of other origins. Browsers send forms and plain text to other origins without a
/// preflight request, and only hide the response; so they are refused here, before they have any effect.
pub(crate) async fn reject_cross_origin(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let headers = request.headers();
    let harmless = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    if let Some(origin) = headers.get(header::ORIGIN).filter(|_| !harmless)
        && !state.config.cors_origins.include(origin)
        && !is_own(origin, headers.get(header::HOST))
    {
        let message = "Origin not allowed; add it to the setting cors_origins.";
        return Err(ApiError::new(StatusCode::FORBIDDEN, message).code("foreign_origin"));
    }
    Ok(next.run(request).await)
}

/// Whether the origin is this server. A proxy in front may add TLS, so the scheme is not compared.
fn is_own(origin: &HeaderValue, host: Option<&HeaderValue>) -> bool {
    let authority = origin.to_str().ok().and_then(|origin| Some(origin.split_once("://")?.1));
    authority.is_some() && authority == host.and_then(|host| host.to_str().ok())
}
