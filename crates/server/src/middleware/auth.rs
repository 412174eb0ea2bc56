//! Authentication, authorization and rate limits of requests.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::auth::{Needed, Scope, needed};
use crate::client_id::address;
use crate::error::ApiError;
use crate::state::AppState;

/// Middleware.
pub(crate) async fn authorize(
    State(state): State<Arc<AppState>>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let needed = needed(request.method(), route, request.uri().path());
    let address = address(&request);
    // Probes do not count; logins do.
    let counts = needed != Needed::Open || *request.method() == Method::POST;
    if let (Some(address), Some(per_minute)) = (address, state.limits().requests_per_minute_per_address)
        && counts
    {
        state
            .rates
            .addresses
            .count(address, per_minute)
            .map_err(|wait| too_many("this address", "requests_per_minute_per_address", per_minute, wait))?;
    }
    if needed != Needed::Open && state.auth.is_on() {
        let caller = allowed(&state, needed, request.headers(), address)?;
        request.extensions_mut().insert(caller);
    }
    Ok(next.run(request).await)
}

/// The caller, if the request's credential has the required scope.
fn allowed(
    state: &AppState,
    needed: Needed,
    headers: &HeaderMap,
    address: Option<IpAddr>,
) -> Result<crate::auth::Caller, ApiError> {
    let scope = match needed {
        Needed::Scope(scope) => scope,
        Needed::Open | Needed::Key => Scope::List,
    };
    let refused = |why: &str| {
        let message =
            format!("{why}. Send a valid API key or token in the header Authorization: Bearer KEY.");
        ApiError::new(StatusCode::UNAUTHORIZED, message).code("invalid_api_key").challenge(scope)
    };
    let Some(credential) = bearer(headers) else {
        return Err(refused("Could not validate credentials"));
    };
    let caller = state.auth.caller(credential).map_err(|why| {
        // Failed attempts are limited; clients with a valid key are not affected by others at the same address.
        match state.count_failure(address) {
            Ok(()) => refused(why),
            Err(error) => error,
        }
    })?;
    if matches!(needed, Needed::Scope(scope) if !caller.scopes.include(scope)) {
        let message = format!("Not enough permissions: this key or user lacks the scope \"{scope}\".");
        return Err(ApiError::new(StatusCode::FORBIDDEN, message)
            .code("insufficient_permissions")
            .challenge(scope));
    }
    if let Some(per_minute) = caller.requests_per_minute {
        let counted = state.rates.callers.count(caller.id.clone(), per_minute);
        counted.map_err(|wait| too_many("this key", "requests_per_minute of the key", per_minute, wait))?;
    }
    Ok(caller)
}

fn too_many(who: &str, setting: &str, per_minute: u32, wait: Duration) -> ApiError {
    let message = format!("Rate limit reached: {who} may send {per_minute} requests per minute ({setting}).");
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, message).code("rate_limit_exceeded").retry_after(wait)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_at_checked("Bearer ".len())?;
    Some(key.trim()).filter(|key| scheme.eq_ignore_ascii_case("Bearer ") && !key.is_empty())
}
