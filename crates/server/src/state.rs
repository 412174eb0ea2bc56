//! Shared state of all requests.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use mynah_engine::{ClientId, Engine, Error, LaunchRequest, ModelRef, Reservation, Selected};
use tokio::sync::Semaphore;

use crate::auth::{Auth, CallerId};
use crate::config::{Limits, ServerConfig};
use crate::error::ApiError;
use crate::limits::{Permit, Permits, RateLimiter};
use crate::metrics::Metrics;
use crate::tls::Tls;

/// Changes limits and certificate of a running server. Clones control the same server.
#[derive(Clone)]
pub struct Control(pub(crate) Arc<AppState>);

impl Control {
    /// Sets the limits of new requests.
    pub fn set_limits(&self, limits: Limits) {
        apply(&self.0.engine, &limits);
        *self.0.limits.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(limits);
    }

    /// Reloads the certificate, if there is one, for new connections.
    ///
    /// # Errors
    /// Those of [`Tls::reload`].
    pub fn reload_tls(&self) -> std::io::Result<()> {
        self.0.config.tls.as_ref().map_or(Ok(()), Tls::reload)
    }
}

/// Passes the limits to the engine.
fn apply(engine: &Engine, limits: &Limits) {
    engine.request_memory().set_limit(limits.max_request_memory_bytes);
    engine.set_max_wait(limits.max_queue_wait);
}

/// Rate limiters.
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
    pub(crate) metrics: Arc<Metrics>,
    /// Limits the passwords that are verified concurrently.
    pub(crate) logins: Semaphore,
    /// The limits of the configuration, until they are reloaded.
    limits: RwLock<Arc<Limits>>,
    pub(crate) permits: Permits,
    pub(crate) connections: Permits,
    pub(crate) started: Instant,
}

impl AppState {
    pub(crate) fn new(engine: Engine, config: ServerConfig) -> Self {
        for local in &config.local_models {
            if let Err(error) = engine.serve_path(&local.name, local.path.clone()) {
                tracing::warn!(%error, path = %local.path.display(), "checkpoint not served");
            }
        }
        apply(&engine, &config.limits);
        let (auth, limits) = (config.auth.clone(), RwLock::new(Arc::new(config.limits.clone())));
        Self {
            engine,
            config,
            auth,
            rates: Rates::default(),
            metrics: Arc::default(),
            logins: Semaphore::new(1),
            limits,
            permits: Permits::default(),
            connections: Permits::default(),
            started: Instant::now(),
        }
    }

    /// The current limits.
    pub(crate) fn limits(&self) -> Arc<Limits> {
        Arc::clone(&self.limits.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A permit for one audio request, held until it is answered. Without one, none of the upload is read.
    pub(crate) fn permit(&self, client: Option<ClientId>) -> Result<Permit, ApiError> {
        self.engine.has_room(client)?;
        let max_requests = self.limits().max_requests;
        self.permits.take(max_requests).ok_or_else(|| {
            let message = format!("The server is busy: max_requests is {max_requests}. Try again.");
            ApiError::new(StatusCode::TOO_MANY_REQUESTS, message)
                .code("rate_limit_exceeded")
                .retry_after(Duration::from_secs(1))
        })
    }

    /// Counts a wrong key or password.
    ///
    /// # Errors
    /// The limit is exceeded.
    pub(crate) fn count_failure(&self, address: Option<IpAddr>) -> Result<(), ApiError> {
        let (Some(address), Some(per_minute)) = (address, self.limits().failed_logins_per_minute) else {
            return Ok(());
        };
        self.rates.failures.count(address, per_minute).map_err(banned)
    }

    /// Refuses an address with too many failed attempts.
    ///
    /// # Errors
    /// The limit is exceeded.
    pub(crate) fn refuse_guessing(&self, address: Option<IpAddr>) -> Result<(), ApiError> {
        let (Some(address), Some(per_minute)) = (address, self.limits().failed_logins_per_minute) else {
            return Ok(());
        };
        self.rates.failures.wait(&address, per_minute).map_or(Ok(()), |wait| Err(banned(wait)))
    }

    /// Reserves memory for a request whose body is about to be read.
    pub(crate) fn memory(&self) -> Result<Reservation, ApiError> {
        // The buffer of the form parser.
        const PIECE_BYTES: u64 = 64 << 10;
        Ok(self.engine.request_memory().reserve(PIECE_BYTES)?)
    }

    /// The model that a request names.
    pub(crate) fn select(&self, name: &str) -> Result<Selected, ApiError> {
        let selected = self.engine.select(name)?;
        let Selected { model: ModelRef::Named(model), lease: None } = &selected else { return Ok(selected) };
        if self.config.wait_for_models || self.engine.find_running(model).is_ok() {
            return Ok(selected);
        }
        match self.engine.launch(LaunchRequest::new(model)) {
            // Another request has launched it in the meantime.
            Ok(_) | Err(Error::UidTaken(_)) => Ok(self.engine.select(name)?),
            Err(error) => Err(error.into()),
        }
    }

    /// Runs blocking work off the async threads. `what` is the message of the error if it panics.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        what: &str,
        work: impl FnOnce(&Engine) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let engine = self.engine.clone();
        tokio::task::spawn_blocking(move || work(&engine))
            .await
            .map_err(|error| ApiError::internal(&error, what))
    }
}

fn banned(wait: Duration) -> ApiError {
    let message = "Too many failed attempts. IP temporarily banned (failed_logins_per_minute).";
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, message).code("rate_limit_exceeded").retry_after(wait)
}
