//! Middleware of all requests.

mod access;
mod auth;
mod foreign;
mod linger;
mod security;

pub(crate) use access::log_access;
pub(crate) use auth::authorize;
pub(crate) use foreign::{reject_cross_origin, reject_unknown_host};
pub(crate) use linger::linger;
pub(crate) use security::secure;
