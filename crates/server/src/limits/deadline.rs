//! Time limit of a request.

use std::time::Duration;

use axum::http::StatusCode;
use tokio::time::Instant;

use crate::error::ApiError;

/// The deadline of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    at: Instant,
    limit: Duration,
}

impl Deadline {
    /// `limit` from now; the setting `request_timeout`.
    pub(crate) fn after(limit: Duration) -> Self {
        Self { at: Instant::now() + limit, limit }
    }

    /// Waits for a job's next event. `what` names the product of the job in the error.
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
                    format!("The {what} took longer than request_timeout_s, {} s.", self.limit.as_secs());
                Err(ApiError::new(StatusCode::GATEWAY_TIMEOUT, message).code("timeout"))
            }
        }
    }
}
