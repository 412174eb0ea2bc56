//! How long a request may take.

use std::time::Duration;

use axum::http::StatusCode;
use tokio::time::Instant;

use crate::error::ApiError;

/// The end of a request's time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    at: Instant,
    bound: Duration,
}

impl Deadline {
    /// `bound` from now; it is the setting `request_timeout`.
    pub(crate) fn after(bound: Duration) -> Self {
        Self { at: Instant::now() + bound, bound }
    }

    /// Waits for a job's next event. `what` the job makes is named in the error.
    pub(crate) async fn wait<E>(
        &self,
        what: &str,
        next: impl Future<Output = Option<E>>,
    ) -> Result<E, ApiError> {
        match tokio::time::timeout_at(self.at, next).await {
            Ok(Some(event)) => Ok(event),
            Ok(None) => {
                Err(ApiError::internal(&"the job ended without a result", &format!("The {what} failed")))
            }
            Err(_) => {
                let message =
                    format!("The {what} took longer than request_timeout_s, {} s.", self.bound.as_secs());
                Err(ApiError::new(StatusCode::GATEWAY_TIMEOUT, message).code("timeout"))
            }
        }
    }
}
