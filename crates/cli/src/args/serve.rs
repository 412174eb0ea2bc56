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

    /// Key that requests must bring as bearer token, with all rights; may be given several times
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    pub(crate) api_key: Vec<String>,

    /// Whether keys are asked for: auto (as soon as there is a key or a user), on or off [default: auto]
    #[arg(long, value_name = "WHEN", value_parser = ["auto", "on", "off"])]
    pub(crate) auth: Option<String>,

    /// Users, passwords and keys in a JSON file of Xinference's form
    #[arg(long, value_name = "FILE")]
    pub(crate) auth_config: Option<PathBuf>,

    /// Chain of certificates for HTTPS, PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// The certificate's private key, PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,

    /// Origin whose pages may call, such as https://example.com, or *; may be given several times [default: none]
    #[arg(long, value_name = "ORIGIN", value_delimiter = ',')]
    pub(crate) cors_origin: Vec<String>,

    /// Name that requests may call the server by, beside addresses and localhost, or *; may be given several times [default:
    /// none on loopback while no key is asked for, otherwise every name]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) allowed_host: Vec<String>,

    /// Settings as TOML; --print-config shows them all
    #[arg(long, value_name = "FILE", env = "MYNAH_CONFIG")]
    pub(crate) config: Option<PathBuf>,

    /// Value of any setting of the file; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) set: Vec<String>,

    /// Print all settings, explained, with the values that they would have, and end
    #[arg(long)]
    pub(crate) print_config: bool,

    /// Checkpoint on disk to serve under a name; may be given several times
    #[arg(long, value_name = "[NAME=]PATH")]
    pub(crate) model_path: Vec<String>,

    /// Precision of the weights at run time [default: auto]
    #[arg(long, value_name = "TYPE", value_parser = compute_type())]
    pub(crate) compute: Option<ComputeType>,

    /// Threads to compute with [default: one per physical core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,

    /// Largest audio upload, bytes [default: 536870912]
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_upload_bytes: Option<u64>,

    /// Longest audio, seconds [default: 14400]
    #[arg(long, value_name = "S", value_parser = positive_f64)]
    pub(crate) max_audio_s: Option<f64>,

    /// Audio requests under way at once, uploads included [default: 256]
    #[arg(long, value_name = "N")]
    pub(crate) max_requests: Option<usize>,

    /// Expected wait for a request's first turn, seconds, over which it is answered 503 [default: 30]
    #[arg(long, value_name = "S", value_parser = positive_f64)]
    pub(crate) max_queue_wait_s: Option<f64>,

    /// Jobs at once in the engine, waiting ones included [default: 256]
    #[arg(long, value_name = "N")]
    pub(crate) queue_length: Option<usize>,

    /// Answer 404 for models that were not launched, in place of loading them
    #[arg(long)]
    pub(crate) no_load_on_request: bool,

    /// Answer 503 with Retry-After while a model is fetched and loaded, in place of letting the request wait
    #[arg(long)]
    pub(crate) no_wait: bool,

    /// Launch again the models that were running when the server ended
    #[arg(long)]
    pub(crate) restore: bool,

    /// Unload models that were not used for this time, seconds; a launch can set its own [default: never]
    #[arg(long, value_name = "S", value_parser = positive_f64)]
    pub(crate) unload_after_s: Option<f64>,

    /// Weights in memory at once, bytes; models not in use make room, the longest unused first [default: no bound]
    #[arg(long, value_name = "BYTES")]
    pub(crate) memory_budget_bytes: Option<u64>,

    /// Finished speech that is kept for those who ask for the same again, bytes; 0 keeps none [default: 16777216]
    #[arg(long, value_name = "BYTES")]
    pub(crate) speech_cache_bytes: Option<usize>,

    /// error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,

    /// How log lines are written: text or json [default: text]
    #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"])]
    pub(crate) log_format: Option<String>,

    /// Taken for Xinference's sake; metrics are at /metrics of the server's own address
    #[arg(long, hide = true)]
    pub(crate) metrics_exporter_host: Option<String>,

    /// Taken for Xinference's sake
    #[arg(long, hide = true)]
    pub(crate) metrics_exporter_port: Option<u16>,
}
