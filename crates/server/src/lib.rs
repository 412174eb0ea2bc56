//! The HTTP server: OpenAI's and Xinference's audio routes on an [`Engine`](mynah_engine::Engine).
//!
//! [`router()`] returns the routes, for embedding and for tests; [`serve()`] serves them on a socket until it is stopped.
//! Handlers do not compute. The parameters of a request are checked before its job starts; its audio is kept in memory or in
//! a temporary file. When a client disconnects, its handler is dropped, which stops the job.

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
