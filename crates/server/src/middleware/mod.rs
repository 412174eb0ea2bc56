//! What every request passes on its way in and out.

mod access;
mod auth;
mod cors;
mod hosts;
mod linger;
mod security;

pub(crate) use access::log_access;
pub(crate) use auth::{address, authorize, count_failure, refuse_guessing};
pub use cors::Origins;
pub(crate) use cors::refuse_foreign_pages;
pub use hosts::Hosts;
pub(crate) use hosts::refuse_foreign_names;
pub(crate) use linger::linger;
pub(crate) use security::secure;
