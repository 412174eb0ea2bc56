//! Configuration of the server.

mod hosts;
mod origins;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::auth::Auth;
use crate::tls::Tls;

pub use hosts::Hosts;
pub use origins::Origins;

/// Settings of the HTTP server; [`Default`] suits a single machine. Contains secrets, hence no `Debug`.
#[derive(Clone)]
pub struct ServerConfig {
    /// Address of the server, reported to Xinference's clients.
    pub address: SocketAddr,
    /// Notified when a client asks the server to stop.
    pub stop: Arc<Notify>,
    /// Authentication; by default none.
    pub auth: Auth,
    /// Allowed CORS origins; by default none.
    pub cors_origins: Origins,
    /// Allowed host names. By default, only this machine's own while the server listens on loopback and requires no key,
    /// and any name otherwise.
    pub allowed_hosts: Hosts,
    /// The certificate; `None`: plain HTTP.
    pub tls: Option<Tls>,
    /// Whether a request waits until its model is loaded; otherwise the response is 503 with `Retry-After`.
    pub wait_for_models: bool,
    /// Checkpoints on disk, served under configured names.
    pub local_models: Vec<LocalModel>,
    /// Limits of requests and connections.
    pub limits: Limits,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 9997)),
            stop: Arc::default(),
            auth: Auth::default(),
            cors_origins: Origins::default(),
            allowed_hosts: Hosts::default(),
            tls: None,
            wait_for_models: true,
            local_models: Vec::new(),
            limits: Limits::default(),
        }
    }
}

/// A checkpoint on disk that is served under `name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalModel {
    /// Name in requests; takes precedence over a catalogue model with the same name.
    pub name: String,
    /// The checkpoint, in any supported format.
    pub path: PathBuf,
}

/// Limits of requests. The error of a refused request names the field that was exceeded.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Maximum size of an audio upload, bytes.
    pub max_upload_bytes: u64,
    /// Uploads up to this size stay in memory, bytes; larger ones go to a temporary file.
    pub upload_memory_threshold_bytes: usize,
    /// Memory for uploads, decoded audio and texts of all requests together, bytes; requests beyond it get 503.
    pub max_request_memory_bytes: u64,
    /// Maximum total text of a form, and maximum text of a speech request, bytes.
    pub max_text_bytes: usize,
    /// Maximum parts of a form.
    pub max_parts: usize,
    /// Maximum concurrent audio requests, including uploads; requests beyond it get 429.
    pub max_requests: usize,
    /// Maximum estimated wait before a request is computed; requests beyond it get 503.
    pub max_queue_wait: Duration,
    /// Maximum connections; further ones wait to be accepted.
    pub max_connections: usize,
    /// Time to receive the headers of a request, from when the connection opened or the previous response ended.
    pub header_timeout: Duration,
    /// Maximum pause in an upload.
    pub upload_stall_timeout: Duration,
    /// Maximum time for an upload.
    pub upload_timeout: Duration,
    /// Minimum mean upload rate, bytes per second, checked after twice `upload_stall_timeout`; 0: no limit.
    pub min_upload_bytes_per_s: u32,
    /// Maximum time in which a client reads nothing of a response.
    pub write_timeout: Duration,
    /// Maximum time from the end of the upload to the end of the response, including waits.
    pub request_timeout: Duration,
    /// Maximum requests per minute from one address; `None`: no limit.
    pub requests_per_minute_per_address: Option<u32>,
    /// Maximum wrong keys and passwords per minute from one address; `None`: no limit.
    pub failed_logins_per_minute: Option<u32>,
    /// Time that requests get to finish after a signal to stop.
    pub shutdown_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_upload_bytes: 512 << 20,
            upload_memory_threshold_bytes: 1 << 20,
            max_request_memory_bytes: 2 << 30,
            max_text_bytes: 1 << 20,
            max_parts: 1000,
            max_requests: 256,
            max_queue_wait: Duration::from_secs(30),
            max_connections: 1024,
            header_timeout: Duration::from_secs(60),
            upload_stall_timeout: Duration::from_secs(30),
            upload_timeout: Duration::from_secs(600),
            min_upload_bytes_per_s: 1024,
            write_timeout: Duration::from_secs(60),
            request_timeout: Duration::from_secs(3600),
            requests_per_minute_per_address: None,
            failed_logins_per_minute: Some(30),
            shutdown_timeout: Duration::from_secs(30),
        }
    }
}
