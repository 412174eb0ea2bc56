//! Options of `mynah serve`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;

use super::{Compute, positive_f64};

#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    /// Address to listen on [default: 127.0.0.1]
    #[arg(short = 'H', long, env = "MYNAH_HOST")]
    pub(crate) host: Option<IpAddr>,

    /// Port to listen on; 0 takes a free one [default: 9997]
    #[arg(short, long, env = "MYNAH_PORT")]
    pub(crate) port: Option<u16>,

    /// Key that requests must bring as bearer token; may be given several times
    #[arg(long, value_name = "KEY", env = "MYNAH_API_KEY", hide_env_values = true, value_delimiter = ',')]
    pub(crate) api_key: Vec<String>,

    /// Settings as TOML: host, port, api_keys, compute, threads, queue_length, speech_cache_bytes, [models] name = path, [limits]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Checkpoint on disk to serve under a name; may be given several times
    #[arg(long, value_name = "[NAME=]PATH")]
    pub(crate) model_path: Vec<String>,

    /// Precision of the weights at run time [default: auto]
    #[arg(long, value_enum)]
    pub(crate) compute: Option<Compute>,

    /// Threads to compute with [default: one per physical core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,

    /// Largest audio upload, bytes [default: 536870912]
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_upload_bytes: Option<u64>,

    /// Longest audio, seconds [default: 14400]
    #[arg(long, value_name = "S", value_parser = positive_f64)]
    pub(crate) max_audio_s: Option<f64>,

    /// Audio requests under way at once, uploads included [default: 64]
    #[arg(long, value_name = "N")]
    pub(crate) max_requests: Option<usize>,

    /// Jobs at once in the engine, waiting ones included [default: 32]
    #[arg(long, value_name = "N")]
    pub(crate) queue_length: Option<usize>,

    /// Finished speech that is kept for those who ask for the same again, bytes; 0 keeps none [default: 16777216]
    #[arg(long, value_name = "BYTES")]
    pub(crate) speech_cache_bytes: Option<usize>,
}
