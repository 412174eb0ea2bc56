//! What all requests share.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use mynah_engine::{Ability, Engine, ModelRef};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::ServerConfig;
use crate::error::ApiError;

pub(crate) struct AppState {
    pub(crate) engine: Engine,
    pub(crate) config: ServerConfig,
    /// What each of the operator's own checkpoints does, in the configuration's order.
    pub(crate) local_abilities: Vec<Ability>,
    places: Arc<Semaphore>,
}

impl AppState {
    pub(crate) fn new(engine: Engine, config: ServerConfig) -> Self {
        let places = Arc::new(Semaphore::new(config.limits.max_requests.min(Semaphore::MAX_PERMITS)));
        let local_abilities =
            config.local_models.iter().map(|local| Ability::of_checkpoint(&local.path)).collect();
        Self { engine, config, local_abilities, places }
    }

    /// A place for one audio request, held until it is answered.
    pub(crate) fn place(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let message = format!(
                "The server is busy: max_requests is {}. Try again.",
                self.config.limits.max_requests
            );
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
