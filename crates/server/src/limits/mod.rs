//! Limits of requests and connections: how many at once, how many per minute, how long.

mod deadline;
mod permits;
mod rate_limit;
mod upload_timeout;
mod write_timeout;

pub(crate) use deadline::Deadline;
pub(crate) use permits::{Permit, Permits};
pub(crate) use rate_limit::RateLimiter;
pub(crate) use upload_timeout::{UploadTimeout, interrupted};
pub(crate) use write_timeout::WriteTimeout;
