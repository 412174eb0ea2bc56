//! What all requests share.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use mynah_engine::{Engine, Error, LaunchRequest, ModelRef, Selected};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::ServerConfig;
use crate::error::ApiError;

pub(crate) struct AppState {
    pub(crate) engine: Engine,
    pub(crate) config: ServerConfig,
    pub(crate) started: Instant,
    places: Arc<Semaphore>,
}

impl AppState {
    pub(crate) fn new(engine: Engine, config: ServerConfig) -> Self {
        let places = Arc::new(Semaphore::new(config.limits.max_requests.min(Semaphore::MAX_PERMITS)));
        for local in &config.local_models {
            if let Err(error) = engine.serve_path(&local.name, local.path.clone()) {
                tracing::warn!(%error, path = %local.path.display(), "a checkpoint is not served");
            }
        }
        Self { engine, config, started: Instant::now(), places }
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

    /// The model that a request names.
    pub(crate) fn select(&self, name: &str) -> Result<Selected, ApiError> {
        let selected = self.engine.select(name)?;
        let Selected { model: ModelRef::Named(model), lease: None } = &selected else { return Ok(selected) };
        if self.config.wait_for_models || self.engine.find_running(model).is_ok() {
            return Ok(selected);
        }
        match self.engine.launch(LaunchRequest::new(model)) {
            // Another request was faster.
            Ok(_) | Err(Error::UidTaken(_)) => Ok(self.engine.select(name)?),
            Err(error) => Err(error.into()),
        }
    }

    /// Does what looks at the disk or waits, off the async threads. `what` fails is told where it panics.
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
