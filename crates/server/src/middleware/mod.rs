//! What every request passes on its way in and out.

mod access;
mod auth;
mod foreign;
mod linger;
mod security;

pub(crate) use access::log_access;
pub(crate) use auth::authorize;
pub(crate) use foreign::{refuse_foreign_names, refuse_foreign_pages};
pub(crate) use linger::linger;
pub(crate) use security::secure;
