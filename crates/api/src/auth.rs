//! Keys and tokens.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Answer of `POST /token` and `POST /v1/auth/refresh`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenPair {
    /// To be brought with requests.
    pub access_token: String,
    /// To be exchanged, once, for the next pair.
    pub refresh_token: String,
    /// Always `bearer`.
    pub token_type: String,
}

/// Response of `POST /v1/admin/keys`: the only time that a key is shown in clear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewKey {
    /// Number by which it is revoked.
    pub id: u64,
    /// The key.
    pub key: String,
    /// How it begins.
    pub prefix: String,
    /// What it is called.
    pub name: String,
}

/// A key in the answer of `GET /v1/admin/keys`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Key {
    /// Number by which it is revoked.
    pub id: u64,
    /// How it begins.
    pub key_prefix: String,
    /// What it is called.
    pub name: String,
    /// Always null.
    pub description: Option<String>,
    /// Always true: a key that is not wanted is revoked.
    pub enabled: bool,
    /// What it may do: `list`, `use`, `launch`, `admin`.
    pub scopes: Vec<String>,
    /// Maximum requests per minute.
    pub requests_per_minute: Option<u32>,
    /// From when on it is refused, UTC, as `2026-11-25 04:05:06`.
    pub expires_at: Option<String>,
    /// When it was made, UTC.
    pub created_at: String,
}
