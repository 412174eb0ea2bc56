//! The HTTP server: OpenAI's and Xinference's audio routes on an [`Engine`](mynah_engine::Engine).
//!
//! [`router()`] is all of it as a value, for embedding and for tests; [`serve()`] runs it on a socket until it is stopped.
//! Handlers only move bytes. A request's parameters are checked before its job starts, its audio waits in memory or in a
//! temporary file, and a client that leaves drops its handler and so its job.

pub mod auth;
mod client_id;
mod config;
mod error;
mod jobs;
mod limits;
mod metrics;
mod middleware;
mod openapi;
mod request;
mod responses;
mod router;
mod routes;
mod serve;
mod state;
mod system_info;
mod tls;
mod xinference;

pub use config::{Hosts, Limits, LocalModel, Origins, ServerConfig};
pub use error::ApiError;
pub use router::{router, router_and_control};
pub use serve::serve;
pub use state::Control;
pub use tls::Tls;
