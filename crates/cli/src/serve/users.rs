//! The JSON file of Xinference's `--auth-config`: users, passwords and keys.

use std::path::Path;
use std::time::Duration;

use mynah_server::auth::{AuthConfig, ConfigUser};
use serde::Deserialize;

use crate::exit::Failure;

#[derive(Deserialize)]
struct File {
    auth_config: Tokens,
    #[serde(default)]
    user_config: Vec<User>,
}

#[derive(Deserialize)]
struct Tokens {
    #[serde(default)]
    algorithm: Option<String>,
    secret_key: String,
    #[serde(default)]
    token_expire_in_minutes: Option<f64>,
}

#[derive(Deserialize)]
struct User {
    username: String,
    password: String,
    #[serde(default)]
    permissions: Vec<String>,
    #[serde(default)]
    api_keys: Vec<String>,
}

/// Adds what the file says to a configuration.
pub(super) fn add(path: &Path, config: &mut AuthConfig) -> Result<(), Failure> {
    let usage = |why: String| Failure::Usage(format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| usage(error.to_string()))?;
    let file: File = serde_json::from_str(&text).map_err(|error| usage(error.to_string()))?;
    if let Some(algorithm) = file.auth_config.algorithm.filter(|algorithm| algorithm != "HS256") {
        return Err(usage(format!("tokens are signed with HS256 here, not with {algorithm}")));
    }
    config.token_secret = Some(file.auth_config.secret_key.into_bytes());
    if let Some(minutes) = file.auth_config.token_expire_in_minutes {
        config.token_lifetime = config.token_lifetime.or(Some(minutes_long(minutes)?));
    }
    for user in file.user_config {
        let scopes = user.permissions.iter().map(|name| name.parse()).collect::<Result<_, _>>();
        config.users.push(ConfigUser {
            scopes: scopes.map_err(|error: String| usage(format!("user {}: {error}", user.username)))?,
            name: user.username,
            password: user.password,
            api_keys: user.api_keys,
        });
    }
    Ok(())
}

/// A duration of minutes.
pub(super) fn minutes_long(minutes: f64) -> Result<Duration, Failure> {
    Duration::try_from_secs_f64(minutes * 60.0)
        .map_err(|_| Failure::Usage(format!("login_token_minutes: {minutes} is not a number of minutes")))
}
