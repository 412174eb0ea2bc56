//! `POST /token`, `POST /v1/auth/refresh` and `POST /v1/auth/logout`: logins with user name and
//! password, as Xinference's clients send them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use mynah_api::TokenPair;
use serde_json::{Value, json};

use crate::auth::Tokens;
use crate::client_id::address;
use crate::error::ApiError;
use crate::request::read_object;
use crate::state::AppState;

/// Returns tokens for a user name and a password.
pub(super) async fn log_in(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Json<TokenPair>, ApiError> {
    if !state.auth.is_on() {
        let message = "Not Found: this server requires no keys, so there are no tokens.";
        return Err(ApiError::new(StatusCode::NOT_FOUND, message).code("not_found"));
    }
    let address = address(&request);
    state.refuse_guessing(address)?;
    let body = Value::Object(read_object(request, &state).await?);
    let (name, password) = (text(&body, "username"), text(&body, "password"));
    // One at a time: a password hash needs ten milliseconds of CPU time and 19 MB by design.
    let turn = state.logins.acquire().await;
    let auth = state.auth.clone();
    let outcome = tokio::task::spawn_blocking(move || auth.log_in(&name, &password)).await;
    drop(turn);
    let tokens = outcome.map_err(|error| ApiError::internal(&error, "Login failed"))?;
    match tokens.map_err(|error| ApiError::internal(&error, "Login failed"))? {
        Some(tokens) => Ok(Json(pair(tokens))),
        None => {
            state.count_failure(address)?;
            let message = "Incorrect username or password";
            Err(ApiError::new(StatusCode::UNAUTHORIZED, message).code("invalid_login"))
        }
    }
}

/// Returns new tokens for a refresh token.
pub(super) async fn refresh(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Json<TokenPair>, ApiError> {
    let address = address(&request);
    state.refuse_guessing(address)?;
    let body = Value::Object(read_object(request, &state).await?);
    let Some(token) = body["refresh_token"].as_str() else {
        return Err(ApiError::missing("refresh_token", "refresh_token required"));
    };
    let tokens = state.auth.refresh(token);
    match tokens.map_err(|error| ApiError::internal(&error, "Cannot create tokens"))? {
        Some(tokens) => Ok(Json(pair(tokens))),
        None => {
            state.count_failure(address)?;
            let message = "Invalid or expired refresh token";
            Err(ApiError::new(StatusCode::UNAUTHORIZED, message).code("invalid_login"))
        }
    }
}

/// Invalidates a refresh token.
pub(super) async fn log_out(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let body = Value::Object(read_object(request, &state).await?);
    if let Some(token) = body["refresh_token"].as_str() {
        state.auth.log_out(token);
    }
    Ok(Json(json!({"ok": true})))
}

/// A member as a string; a missing one is empty, and then refused as invalid.
fn text(body: &Value, name: &str) -> String {
    body[name].as_str().unwrap_or_default().to_owned()
}

fn pair(tokens: Tokens) -> TokenPair {
    TokenPair { access_token: tokens.access, refresh_token: tokens.refresh, token_type: "bearer".to_owned() }
}
