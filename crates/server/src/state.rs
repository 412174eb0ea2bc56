//! What all requests share.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::http::StatusCode;
use mynah_engine::{Ability, Engine, ModelRef};
use tokio::sync::Semaphore;

use crate::auth::{Auth, CallerId};
use crate::config::{Limits, ServerConfig};
use crate::error::ApiError;
use crate::places::{Place, Places};
use crate::rate::RateLimiter;

/// Changes what a running server keeps to. Copies are handles of the same server.
#[derive(Clone)]
pub struct Control(pub(crate) Arc<AppState>);

impl Control {
    /// Sets the bounds for all requests to come.
    pub fn set_limits(&self, limits: Limits) {
        *self.0.limits.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(limits);
    }
}

/// Requests counted by who sent them.
#[derive(Default)]
pub(crate) struct Rates {
    pub(crate) addresses: RateLimiter<IpAddr>,
    pub(crate) callers: RateLimiter<CallerId>,
    /// Wrong keys and passwords.
    pub(crate) failures: RateLimiter<IpAddr>,
}

pub(crate) struct AppState {
    pub(crate) engine: Engine,
    pub(crate) config: ServerConfig,
    pub(crate) auth: Auth,
    pub(crate) rates: Rates,
    /// Passwords that are compared at once.
    pub(crate) logins: Semaphore,
    /// Those of the configuration until they are reloaded.
    limits: RwLock<Arc<Limits>>,
    /// What each of the operator's own checkpoints does, in the configuration's order.
    pub(crate) local_abilities: Vec<Ability>,
    pub(crate) places: Places,
    pub(crate) connections: Places,
}

impl AppState {
    pub(crate) fn new(engine: Engine, config: ServerConfig) -> Self {
        let local_abilities =
            config.local_models.iter().map(|local| Ability::of_checkpoint(&local.path)).collect();
        let (auth, limits) = (config.auth.clone(), RwLock::new(Arc::new(config.limits.clone())));
        let (rates, logins) = (Rates::default(), Semaphore::new(1));
        let (places, connections) = (Places::default(), Places::default());
        Self { engine, config, auth, rates, logins, limits, local_abilities, places, connections }
    }

    /// The bounds of now.
    pub(crate) fn limits(&self) -> Arc<Limits> {
        Arc::clone(&self.limits.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A place for one audio request, held until it is answered.
    pub(crate) fn place(&self) -> Result<Place, ApiError> {
        let max_requests = self.limits().max_requests;
        self.places.take(max_requests).ok_or_else(|| {
            let message = format!("The server is busy: max_requests is {max_requests}. Try again.");
            ApiError::new(StatusCode::TOO_MANY_REQUESTS, message)
                .code("rate_limit_exceeded")
                .retry_after(Duration::from_secs(1))
        })
    }

    /// The model that a request names: one of this server's own checkpoints, or one of the catalogue.
    pub(crate) fn model(&self, name: &str) -> Result<ModelRef, ApiError> {
        match self.config.local_models.iter().find(|local| local.name == name) {
            Some(local) => Ok(ModelRef::Path(local.path.clone())),
            None => Ok(self.engine.resolve(name)?),
        }
    }
}
