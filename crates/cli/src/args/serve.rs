//! Options of `mynah serve`.

use std::path::PathBuf;

use clap::Args;

use mynah_core::ComputeType;

use super::{compute_type, positive_f64};

#[derive(Args, Clone, Debug)]
pub(crate) struct ServeArgs {
    /// Address or name to listen on [default: 127.0.0.1]
    #[arg(short = 'H', long)]
    pub(crate) host: Option<String>,

    /// Port to listen on; 0 takes a free one [default: 9997]
    #[arg(short, long)]
    pub(crate) port: Option<u16>,

    /// API key required from clients, with all scopes; may be given several times
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    pub(crate) api_key: Vec<String>,

    /// Require keys: auto (once there is a key or a user), on or off [default: auto]
    #[arg(long, value_name = "WHEN", value_parser = ["auto", "on", "off"])]
    pub(crate) auth: Option<String>,

    /// Users, passwords and keys in Xinference's JSON format
    #[arg(long, value_name = "FILE")]
    pub(crate) auth_config: Option<PathBuf>,

    /// Certificate chain for HTTPS, PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// Private key of the certificate, PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,

    /// Allowed CORS origin, such as https://example.com, or *; may be given several times [default: none]
    #[arg(long, value_name = "ORIGIN", value_delimiter = ',')]
    pub(crate) cors_origin: Vec<String>,

    /// Allowed host name besides IP addresses and localhost, or *; may be given several times [default: none on loopback
    /// while no key is required, otherwise every name]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) allowed_host: Vec<String>,

    /// Configuration file, TOML; --print-config shows all settings
    #[arg(long, value_name = "FILE", env = "MYNAH_CONFIG")]
    pub(crate) config: Option<PathBuf>,

    /// Set any setting of the file; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) set: Vec<String>,

    /// Print the effective configuration as commented TOML and exit
    #[arg(long)]
    pub(crate) print_config: bool,

    /// Local checkpoint to serve under a name; may be given several times
    #[arg(long, value_name = "[NAME=]PATH")]
    pub(crate) model_path: Vec<String>,

    /// Precision of the weights at run time [default: auto]
    #[arg(long, value_name = "TYPE", value_parser = compute_type())]
    pub(crate) compute: Option<ComputeType>,

    /// Threads to compute with [default: one per physical core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,

    /// Maximum upload size, bytes [default: 536870912]
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_upload_bytes: Option<u64>,

    /// Maximum audio length, seconds [default: 14400]
    #[arg(long, value_name = "S", value_parser = positive_f64)]
    pub(crate) max_audio_s: Option<f64>,

    /// Maximum concurrent audio requests, including uploads [default: 256]
    #[arg(long, value_name = "N")]
    pub(crate) max_requests: Option<usize>,

    /// Maximum estimated wait before a request is computed, seconds; beyond it the answer is 503 [default: 30]
    #[arg(long, value_name = "S", value_parser = positive_f64)]
    pub(crate) max_queue_wait_s: Option<f64>,

    /// Maximum jobs in the engine, including waiting ones [default: 256]
    #[arg(long, value_name = "N")]
    pub(crate) queue_length: Option<usize>,

    /// Answer 404 for models that were not launched, instead of loading them
    #[arg(long)]
    pub(crate) no_load_on_request: bool,

    /// Answer 503 with Retry-After while a model is downloaded or loaded, instead of waiting
    #[arg(long)]
    pub(crate) no_wait_for_load: bool,

    /// Relaunch the models that were running when the server stopped
    #[arg(long)]
    pub(crate) restore: bool,

    /// Unload models after this idle time, seconds; a launch can set its own [default: never]
    #[arg(long, value_name = "S", value_parser = positive_f64)]
    pub(crate) unload_after_s: Option<f64>,

    /// Memory for weights, bytes; idle models are evicted, least recently used first [default: no limit]
    #[arg(long, value_name = "BYTES")]
    pub(crate) memory_budget_bytes: Option<u64>,

    /// Cache of synthesized speech, bytes; 0 disables it [default: 16777216]
    #[arg(long, value_name = "BYTES")]
    pub(crate) speech_cache_bytes: Option<usize>,

    /// Log level: error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,

    /// Log format: text or json [default: text]
    #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"])]
    pub(crate) log_format: Option<String>,

    /// Accepted for compatibility with Xinference; metrics are at /metrics of the server's own address
    #[arg(long, hide = true)]
    pub(crate) metrics_exporter_host: Option<String>,

    /// Accepted for compatibility with Xinference
    #[arg(long, hide = true)]
    pub(crate) metrics_exporter_port: Option<u16>,
}
