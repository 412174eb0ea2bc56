//! The routes as clients see them, on an engine whose model is scripted.

mod access;
mod auth;
mod bounds;
mod errors;
mod formats;
mod metrics;
mod models;
mod parameters;
mod speech;
mod stream;
mod support;
