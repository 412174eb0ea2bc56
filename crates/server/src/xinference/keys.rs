//! `/v1/admin/keys`: lists, creates and revokes keys, in Xinference's format.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use mynah_api::{Key, NewKey as Made};
use serde_json::{Value, json};

use crate::auth::{AuthError, NewKey, Scope, Scopes, Store, StoredKey, parse_moment};
use crate::error::ApiError;
use crate::request::read_object;
use crate::state::AppState;

/// All keys of the store, without the keys themselves.
pub(super) async fn list_keys(State(state): State<Arc<AppState>>) -> Result<Json<Vec<Key>>, ApiError> {
    let contents = store(&state)?.contents();
    let keys = contents.as_deref().map_or(&[][..], |contents| contents.keys());
    Ok(Json(keys.iter().map(StoredKey::shown).collect()))
}

/// Creates a key; only this response contains it.
pub(super) async fn make_key(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<(StatusCode, Json<Made>), ApiError> {
    store(&state)?;
    let new = new_key(&Value::Object(read_object(request, &state).await?))?;
    let (kept, key) = changed(&state, move |store| store.add_key(new)).await?;
    tracing::info!(id = kept.id, name = kept.name, "key created");
    Ok((StatusCode::CREATED, Json(Made { id: kept.id, key, prefix: kept.prefix, name: kept.name })))
}

/// Revokes a key.
pub(super) async fn revoke_key(
    State(state): State<Arc<AppState>>,
    id: Result<Path<u64>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    store(&state)?;
    let Path(id) = id.map_err(|error| ApiError::invalid("id", error.body_text()))?;
    let key = changed(&state, move |store| store.revoke_key(id)).await?;
    tracing::info!(id = key.id, name = key.name, "key revoked");
    Ok(Json(json!({"ok": true})))
}

/// The store, if keys are required. Otherwise any client could create a key and lock out all others.
fn store(state: &AppState) -> Result<&Store, ApiError> {
    state.auth.store().filter(|_| state.auth.is_on()).ok_or_else(|| {
        let message = "Not Found: this server requires no keys. Create the first one with `mynah keys add`.";
        ApiError::new(StatusCode::NOT_FOUND, message).code("not_found")
    })
}

/// Changes the key file, off the async threads.
async fn changed<T: Send + 'static>(
    state: &Arc<AppState>,
    change: impl FnOnce(&Store) -> Result<T, AuthError> + Send + 'static,
) -> Result<T, ApiError> {
    let state = Arc::clone(state);
    let outcome = tokio::task::spawn_blocking(move || change(store(&state)?).map_err(refusal)).await;
    outcome.map_err(|error| ApiError::internal(&error, "Cannot change the keys"))?
}

fn refusal(error: AuthError) -> ApiError {
    match error {
        AuthError::Unknown(what) => {
            ApiError::new(StatusCode::NOT_FOUND, format!("Not Found: {what}.")).code("not_found")
        }
        AuthError::Refused(why) => {
            ApiError::new(StatusCode::BAD_REQUEST, format!("{why}.")).code("invalid_value")
        }
        error => ApiError::internal(&error, "Cannot change the keys"),
    }
}

/// Parses the request. Only `name` is Xinference's; all others are optional.
fn new_key(body: &Value) -> Result<NewKey, ApiError> {
    let Some(name) = body["name"].as_str() else {
        return Err(ApiError::missing("name", "The key needs a name."));
    };
    let scopes = match &body["scopes"] {
        Value::Null => Scopes::default_client(),
        Value::Array(names) => names.iter().map(scope).collect::<Result<_, _>>()?,
        _ => {
            return Err(ApiError::invalid("scopes", "scopes must be a list of list, use, launch and admin."));
        }
    };
    let expires_at = match &body["expires_at"] {
        Value::Null => None,
        Value::String(text) => {
            Some(parse_moment(text).map_err(|error| ApiError::invalid("expires_at", format!("{error}.")))?)
        }
        number => Some(number.as_u64().ok_or_else(|| {
            ApiError::invalid("expires_at", "expires_at must be a date and a time, or seconds since 1970.")
        })?),
    };
    let requests_per_minute = match &body["requests_per_minute"] {
        Value::Null => None,
        number => {
            let number = number.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|n| *n > 0);
            Some(number.ok_or_else(|| {
                ApiError::invalid("requests_per_minute", "requests_per_minute must be a positive number.")
            })?)
        }
    };
    let key = body["key"].as_str().map(str::to_owned);
    Ok(NewKey { name: name.to_owned(), key, scopes, expires_at, requests_per_minute })
}

fn scope(name: &Value) -> Result<Scope, ApiError> {
    let name = name.as_str().unwrap_or_default();
    name.parse().map_err(|error: String| ApiError::invalid("scopes", format!("{error}.")))
}
