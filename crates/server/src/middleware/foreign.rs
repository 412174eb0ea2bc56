//! Refuses requests with an unknown host name, and requests from pages of other origins.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::error::ApiError;
use crate::state::AppState;

/// Middleware: refuses requests that call the server by a name that is not its own.
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

/// Middleware. Browsers send forms and texts to other origins without asking first, and merely hide the answer; so what
/// a foreign page sends is refused here, before it does anything.
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

/// Whether a page is one of this server's own. A proxy in front may speak TLS, hence the scheme says nothing.
fn is_own(origin: &HeaderValue, host: Option<&HeaderValue>) -> bool {
    let authority = origin.to_str().ok().and_then(|origin| Some(origin.split_once("://")?.1));
    authority.is_some() && authority == host.and_then(|host| host.to_str().ok())
}
