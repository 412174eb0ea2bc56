//! API keys.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use subtle::ConstantTimeEq;

use crate::error::ApiError;
use crate::state::AppState;

/// Paths that answer without a key: probes, and the question whether a key is needed.
const OPEN: [&str; 2] = ["/health", "/v1/cluster/auth"];

/// Middleware.
pub(crate) async fn require_key(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let keys = &state.config.api_keys;
    if keys.is_empty()
        || OPEN.contains(&request.uri().path())
        || bearer(request.headers()).is_some_and(|k| known(keys, k))
    {
        return Ok(next.run(request).await);
    }
    let message = "The API key is missing or wrong. Send it in the header Authorization: Bearer KEY.";
    Err(ApiError::new(StatusCode::UNAUTHORIZED, message).code("invalid_api_key"))
}

/// The key that a request carries.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, key) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| key.trim_ascii())
}

/// Looks at every byte of every key, so that the time taken tells nothing about how much of a guess is right.
fn known(keys: &[String], guess: &[u8]) -> bool {
    keys.iter().fold(subtle::Choice::from(0), |found, key| found | key.as_bytes().ct_eq(guess)).into()
}
