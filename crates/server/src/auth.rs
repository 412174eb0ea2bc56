//! Authentication and scopes: keys, users and their tokens. Disabled until there is a key or a user; then clients without
//! credentials can only use the probes.
//!
//! Keys and users come from the configuration (flags, environment, settings file), which lasts as long as the process,
//! and from a [`Store`], which the API and the command line change.

mod key;
mod password;
mod scopes;
mod store;
mod time;
mod token;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

pub use key::{KeyHash, MIN_KEY_CHARS, NewKey, StoredKey};
pub use password::MIN_PASSWORD_CHARS;
pub(crate) use scopes::{Needed, needed};
pub use scopes::{Scope, Scopes};
pub use store::{Contents, Store, StoredUser};
pub use time::{format_moment, parse_moment, unix_now};

/// Lifetime of a refresh token, seconds, as in Xinference.
const REFRESH_S: u64 = 7 * 86_400;

/// Maximum refresh tokens that are kept.
const MAX_REFRESH_TOKENS: usize = 10_000;

/// Errors of keys and users.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// A file cannot be read or written.
    #[error("{}: {error}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        error: io::Error,
    },
    /// The key file is damaged.
    #[error("{} is not a valid key file: {reason}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A name, password or key is invalid.
    #[error("{0}")]
    Refused(String),
    /// There is no such key or user.
    #[error("{0}")]
    Unknown(String),
}

/// Keys and users of the configuration. Contains secrets, hence no `Debug`.
#[derive(Clone, Default)]
pub struct AuthConfig {
    /// Whether keys are required; `None`: as soon as there is a key or a user.
    pub enabled: Option<bool>,
    /// Keys with all scopes, in plain text or as `sha256:` and a hash.
    pub api_keys: Vec<String>,
    /// Users, with plain-text passwords.
    pub users: Vec<ConfigUser>,
    /// Secret with which tokens are signed; default: the store's.
    pub token_secret: Option<Vec<u8>>,
    /// Lifetime of a token; default: half an hour.
    pub token_lifetime: Option<Duration>,
}

/// A user of the configuration.
#[derive(Clone)]
pub struct ConfigUser {
    /// User name.
    pub name: String,
    /// The plain-text password.
    pub password: String,
    /// Scopes of the user.
    pub scopes: Scopes,
    /// API keys of the user, with the same scopes.
    pub api_keys: Vec<String>,
}

/// Authentication and scopes. Clones share one state.
#[derive(Clone, Default)]
pub struct Auth(Arc<Inner>);

#[derive(Default)]
struct Inner {
    fixed: RwLock<Arc<Fixed>>,
    store: Option<Store>,
    /// Keys were required once; they stay required until the process ends, even if the last one is revoked.
    locked: AtomicBool,
    /// Secret for tokens if neither configuration nor store has one.
    random_secret: Mutex<Option<[u8; 32]>>,
    refresh_tokens: Mutex<HashMap<String, Refresh>>,
}

/// The configuration, with hashed keys and passwords.
#[derive(Default)]
struct Fixed {
    enabled: Option<bool>,
    keys: Vec<(KeyHash, Caller)>,
    users: Vec<StoredUser>,
    token_secret: Option<Vec<u8>>,
    token_lifetime: Option<Duration>,
}

struct Refresh {
    user: String,
    expires_at: u64,
}

/// The owner of a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) id: CallerId,
    pub(crate) scopes: Scopes,
    pub(crate) requests_per_minute: Option<u32>,
}

/// Identifies callers across requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CallerId {
    /// Key of the configuration, by its position.
    Config(usize),
    /// Key of the store, by its id.
    Key(u64),
    User(String),
}

/// The tokens of a login.
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

impl Auth {
    /// Keys and users of the configuration and, where there is one, of the store.
    ///
    /// # Errors
    /// A key or a user of the configuration is invalid.
    pub fn new(config: AuthConfig, store: Option<Store>) -> Result<Self, AuthError> {
        let fixed = RwLock::new(Arc::new(Fixed::new(config)?));
        Ok(Self(Arc::new(Inner { fixed, store, ..Inner::default() })))
    }

    /// Replaces the configuration and reloads the store.
    ///
    /// # Errors
    /// Those of [`new`](Self::new); the previous configuration then stays.
    pub fn reload(&self, config: AuthConfig) -> Result<(), AuthError> {
        let fixed = Arc::new(Fixed::new(config)?);
        // `locked` must survive the reload.
        self.is_on();
        *self.0.fixed.write().unwrap_or_else(PoisonError::into_inner) = fixed;
        if let Some(store) = &self.0.store {
            store.refresh();
        }
        Ok(())
    }

    /// Whether keys are required.
    pub fn is_on(&self) -> bool {
        let fixed = self.fixed();
        if let Some(enabled) = fixed.enabled {
            return enabled;
        }
        let on = self.0.locked.load(Ordering::Relaxed)
            || !fixed.keys.is_empty()
            || !fixed.users.is_empty()
            || self.stored().is_some();
        if on {
            self.0.locked.store(true, Ordering::Relaxed);
        }
        on
    }

    /// Whether there is any key or user, so that a login is possible.
    pub fn has_credentials(&self) -> bool {
        let fixed = self.fixed();
        let stored =
            self.stored().is_some_and(|stored| !stored.keys().is_empty() || !stored.users().is_empty());
        !fixed.keys.is_empty() || !fixed.users.is_empty() || stored
    }

    /// The store, for administrators.
    pub(crate) fn store(&self) -> Option<&Store> {
        self.0.store.as_ref()
    }

    /// The owner of a key or token, or the reason why it is refused.
    pub(crate) fn caller(&self, credential: &str) -> Result<Caller, &'static str> {
        let hash = KeyHash::of(credential.as_bytes());
        let (fixed, stored) = (self.fixed(), self.stored());
        let stored = stored.as_deref();
        // The credential is compared with all of them, each in constant time, so that the time reveals nothing.
        let mut found = None;
        for key in stored.into_iter().flat_map(Contents::keys) {
            if key.sha256.is(&hash) {
                found = Some(match key.expires_at {
                    Some(expires_at) if unix_now() >= expires_at => Err("API key has expired"),
                    _ => Ok(Caller {
                        id: CallerId::Key(key.id),
                        scopes: key.scopes.clone(),
                        requests_per_minute: key.requests_per_minute,
                    }),
                });
            }
        }
        for (key, caller) in &fixed.keys {
            if key.is(&hash) {
                found = Some(Ok(caller.clone()));
            }
        }
        found.unwrap_or_else(|| self.token_holder(credential).ok_or("Could not validate credentials"))
    }

    fn token_holder(&self, token: &str) -> Option<Caller> {
        let name = token::verify(&self.token_secret().ok()?, token, unix_now())?;
        // The current scopes, not those at the login.
        self.user(&name).map(|user| Caller {
            id: CallerId::User(user.name),
            scopes: user.scopes,
            requests_per_minute: None,
        })
    }

    /// Tokens for a name and a password. Needs some ten milliseconds of CPU time.
    pub(crate) fn log_in(&self, name: &str, password: &str) -> Result<Option<Tokens>, AuthError> {
        let user = self.user(name);
        let is_right = password::verify(password, user.as_ref().map(|user| user.password.as_str()));
        user.filter(|_| is_right).map(|user| self.tokens(&user)).transpose()
    }

    /// New tokens for a refresh token, which is then invalid.
    pub(crate) fn refresh(&self, token: &str) -> Result<Option<Tokens>, AuthError> {
        let user = self.take_refresh_token(token).and_then(|name| self.user(&name));
        user.map(|user| self.tokens(&user)).transpose()
    }

    /// Invalidates a refresh token.
    pub(crate) fn log_out(&self, token: &str) {
        self.take_refresh_token(token);
    }

    fn tokens(&self, user: &StoredUser) -> Result<Tokens, AuthError> {
        const DEFAULT_LIFETIME: Duration = Duration::from_secs(30 * 60);

        let now = unix_now();
        let expires_at = now + self.fixed().token_lifetime.unwrap_or(DEFAULT_LIFETIME).as_secs();
        let access = token::sign(&self.token_secret()?, &user.name, &user.scopes, now, expires_at);
        let refresh = key::generate().map_err(no_randomness)?;
        let mut known = self.0.refresh_tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_REFRESH_TOKENS {
            known.retain(|_, refresh| now < refresh.expires_at);
        }
        if known.len() < MAX_REFRESH_TOKENS {
            let remembered = Refresh { user: user.name.clone(), expires_at: now + REFRESH_S };
            known.insert(KeyHash::of(refresh.as_bytes()).to_string(), remembered);
        }
        Ok(Tokens { access, refresh })
    }

    fn take_refresh_token(&self, token: &str) -> Option<String> {
        let hash = KeyHash::of(token.as_bytes()).to_string();
        let known = self.0.refresh_tokens.lock().unwrap_or_else(PoisonError::into_inner).remove(&hash)?;
        (unix_now() < known.expires_at).then_some(known.user)
    }

    fn user(&self, name: &str) -> Option<StoredUser> {
        let (fixed, stored) = (self.fixed(), self.stored());
        let stored = stored.as_deref().map_or(&[][..], Contents::users);
        fixed.users.iter().chain(stored).find(|user| user.name == name).cloned()
    }

    fn token_secret(&self) -> Result<Vec<u8>, AuthError> {
        let kept = self.stored().and_then(|stored| stored.token_secret());
        if let Some(secret) = self.fixed().token_secret.clone().or(kept) {
            return Ok(secret);
        }
        let mut secret = self.0.random_secret.lock().unwrap_or_else(PoisonError::into_inner);
        let secret = match *secret {
            Some(secret) => secret,
            None => *secret.insert(random().map_err(no_randomness)?),
        };
        Ok(secret.to_vec())
    }

    fn fixed(&self) -> Arc<Fixed> {
        Arc::clone(&self.0.fixed.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn stored(&self) -> Option<Arc<Contents>> {
        self.0.store.as_ref().and_then(Store::contents)
    }
}

impl Fixed {
    fn new(config: AuthConfig) -> Result<Self, AuthError> {
        let mut keys = Vec::new();
        let own = config.api_keys.iter().map(|key| (key, Scopes::all()));
        let of_users = config.users.iter().flat_map(|user| {
            let keys = user.api_keys.iter();
            keys.map(|key| (key, user.scopes.clone()))
        });
        for (key, scopes) in own.chain(of_users) {
            let id = CallerId::Config(keys.len());
            keys.push((digest(key)?, Caller { id, scopes, requests_per_minute: None }));
        }
        let users = config.users.into_iter().map(|user| {
            let password = password::hash(&user.password).map_err(AuthError::Refused)?;
            Ok(StoredUser { name: user.name, password, scopes: user.scopes, created_at: unix_now() })
        });
        Ok(Self {
            enabled: config.enabled,
            keys,
            users: users.collect::<Result<_, AuthError>>()?,
            token_secret: config.token_secret,
            token_lifetime: config.token_lifetime,
        })
    }
}

/// The hash of a key of the configuration.
fn digest(key: &str) -> Result<KeyHash, AuthError> {
    if key.trim().is_empty() {
        return Err(AuthError::Refused("an API key is empty".to_owned()));
    }
    match key.strip_prefix("sha256:") {
        Some(hash) => hash.parse().map_err(|error: &str| AuthError::Refused(format!("an API key: {error}"))),
        None => Ok(KeyHash::of(key.trim().as_bytes())),
    }
}

/// Cryptographically random bytes.
fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

fn no_randomness(error: io::Error) -> AuthError {
    AuthError::Io { path: PathBuf::from("/dev/urandom"), error }
}
