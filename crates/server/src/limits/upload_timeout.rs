//! Time limits of receiving a request's body.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::StatusCode;
use futures_util::{Stream, TryStreamExt};
use tokio::time::{Instant, Sleep, sleep};

use crate::config::Limits;
use crate::error::ApiError;

/// The error of an upload that is too slow.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("The upload is too slow: {name} is {limit}.")]
struct TooSlow {
    name: &'static str,
    limit: f64,
}

/// The response, if `error` was caused by an upload that is too slow.
pub(crate) fn interrupted(error: &(dyn Error + 'static)) -> Option<ApiError> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(slow) = error.downcast_ref::<TooSlow>() {
            return Some(ApiError::new(StatusCode::REQUEST_TIMEOUT, slow.to_string()).param("file"));
        }
        cause = error.source();
    }
    None
}

/// A body that fails if it stalls, is too slow, or takes too long in total.
pub(crate) struct UploadTimeout {
    inner: BodyDataStream,
    idle: Duration,
    total: Duration,
    bytes_per_s: u32,
    begin: Instant,
    received: u64,
    end: Pin<Box<Sleep>>,
    /// The limit that is exceeded at `end`.
    reason: TooSlow,
}

impl UploadTimeout {
    pub(crate) fn new(body: Body, limits: &Limits) -> Self {
        let mut timed = Self {
            inner: body.into_data_stream(),
            idle: limits.upload_stall_timeout,
            total: limits.upload_timeout,
            bytes_per_s: limits.min_upload_bytes_per_s,
            begin: Instant::now(),
            received: 0,
            end: Box::pin(sleep(limits.upload_stall_timeout)),
            reason: TooSlow { name: "upload_stall_timeout_s", limit: 0.0 },
        };
        timed.restart();
        timed
    }

    /// Finds the limit that expires first.
    fn restart(&mut self) {
        let lag = match self.bytes_per_s {
            0 => self.total,
            // One allowed pause, and the same time again for the bytes after it.
            rate => (self.idle * 2).saturating_add(Duration::from_secs(self.received / u64::from(rate))),
        };
        let candidates = [
            (Instant::now() + self.idle, "upload_stall_timeout_s", self.idle.as_secs_f64()),
            (self.begin + lag, "min_upload_bytes_per_s", f64::from(self.bytes_per_s)),
            (self.begin + self.total, "upload_timeout_s", self.total.as_secs_f64()),
        ];
        let Some(&(at, name, limit)) = candidates.iter().min_by_key(|(at, ..)| *at) else { return };
        self.reason = TooSlow { name, limit };
        self.end.as_mut().reset(at);
    }
}

impl Stream for UploadTimeout {
    type Item = Result<Bytes, axum::BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.end.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(self.reason.into())));
        }
        let piece = std::task::ready!(self.inner.try_poll_next_unpin(context));
        if let Some(Ok(piece)) = &piece {
            self.received += piece.len() as u64;
        }
        self.restart();
        Poll::Ready(piece.map(|piece| piece.map_err(Into::into)))
    }
}
