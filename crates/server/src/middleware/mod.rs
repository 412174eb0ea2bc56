//! What every request passes on its way in and out.

mod access;
mod auth;
mod linger;
mod security;

pub(crate) use access::log_access;
pub(crate) use auth::{address, authorize, count_failure, refuse_guessing};
pub(crate) use linger::linger;
pub(crate) use security::secure;
