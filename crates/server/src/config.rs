//! What an operator can set.

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

/// Settings of the HTTP side; [`Default`] suits one machine. Holds secrets, hence no `Debug`.
#[derive(Clone)]
pub struct ServerConfig {
    /// Address of the server, reported to Xinference's clients.
    pub address: SocketAddr,
    /// Notified where a client asks the server to stop.
    pub stop: Arc<Notify>,
    /// Who may do what; by default everybody everything.
    pub auth: Auth,
    /// Origins whose pages may call; by default none.
    pub cors_origins: Origins,
    /// Host names that requests may use; by default this machine's own, where no other machine can reach it and no key
    /// is asked for, and any otherwise.
    pub allowed_hosts: Hosts,
    /// The certificate to show; `None`: plain HTTP.
    pub tls: Option<Tls>,
    /// Whether a request that names a model which is not in memory waits until it is; else it is answered 503 at once, with
    /// the time to come again.
    pub wait_for_models: bool,
    /// Checkpoints on disk that are served under names of the operator's choice.
    pub local_models: Vec<LocalModel>,
    /// Bounds on what one request and all together may take.
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
    /// What requests call it; goes before a model of the catalogue with the same name.
    pub name: String,
    /// The checkpoint, in any format that is read.
    pub path: PathBuf,
}

/// Bounds on requests. A message that refuses a request names the field here that it ran into.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of one audio upload.
    pub max_upload_bytes: u64,
    /// Bytes of an upload that stay in memory; a larger one goes to a temporary file.
    pub upload_memory_threshold_bytes: usize,
    /// Bytes of memory for uploads, decoded audio and texts of all requests together; what finds no room is answered 503.
    pub max_request_memory_bytes: u64,
    /// Bytes of all the text parts of one form together, and of a text to speak.
    pub max_text_bytes: usize,
    /// Parts of one form.
    pub max_parts: usize,
    /// Audio requests under way, uploads included; one more is answered 429.
    pub max_requests: usize,
    /// Longest time that a request is expected to wait for its first turn; who would wait longer is answered 503.
    pub max_queue_wait: Duration,
    /// Connections at once; further ones wait to be taken.
    pub max_connections: usize,
    /// Time in which a request's head must have come, counted from its connection's opening or the answer before.
    pub header_timeout: Duration,
    /// Longest pause between two pieces of an upload.
    pub upload_stall_timeout: Duration,
    /// Longest time for a whole upload.
    pub upload_timeout: Duration,
    /// Minimum mean upload rate, bytes per second, checked after twice `upload_stall_timeout`; 0: no limit.
    pub min_upload_bytes_per_s: u32,
    /// Longest time in which a client takes nothing of its answer.
    pub write_timeout: Duration,
    /// Longest time from the upload's end to that of the transcript or the speech, waiting included.
    pub request_timeout: Duration,
    /// Maximum requests per minute from one address; `None`: no limit.
    pub requests_per_minute_per_address: Option<u32>,
    /// Maximum wrong keys and passwords per minute from one address; `None`: no limit.
    pub failed_logins_per_minute: Option<u32>,
    /// Time that requests under way get to finish after the signal to stop.
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
