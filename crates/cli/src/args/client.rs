//! Options of the commands that ask a running server: those of Xinference's command line, so that scripts move by
//! replacing the program's name. Its short options of several letters (`-en`, `-ak`) are rewritten in
//! [`crate::xinference_compat`].

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum ClientCommand {
    /// Load a model on a running server and wait until it is ready
    #[command(
        after_help = "Any further `--key value` goes to the model. -q, -en, -mp, -ak, -vp and -ev are short \
        for --quantization, --model-engine, --model-path, --api-key, --virtual-env-package and --env.\n\
        Examples:\n  mynah launch --model-name whisper-base --model-type audio\n  \
        mynah launch -n whisper-large-v3 -u whisper-1 --compute int8"
    )]
    Launch(Box<LaunchArgs>),
    /// List the models that a running server has loaded
    #[command(after_help = "Example:\n  mynah list --endpoint http://127.0.0.1:9997")]
    List(ConnectionArgs),
    /// Unload a model on a running server
    #[command(after_help = "Example:\n  mynah terminate --model-uid whisper-1")]
    Terminate(TerminateArgs),
    /// List the models that a running server can launch
    #[command(after_help = "Example:\n  mynah registrations --model-type audio")]
    Registrations(RegistrationsArgs),
    /// Register a custom model
    #[command(
        after_help = "Example:\n  mynah register --model-type audio --file my-whisper.json --persist\n\
        where my-whisper.json is {\"model_name\": \"my-whisper\", \"model_family\": \"whisper\", \
        \"multilingual\": true, \"model_uri\": \"file:///srv/my-whisper\"}"
    )]
    Register(RegisterArgs),
    /// Unregister a custom model
    #[command(after_help = "Example:\n  mynah unregister --model-type audio --model-name my-whisper")]
    Unregister(UnregisterArgs),
    /// List the models that a running server has downloaded
    #[command(after_help = "Example:\n  mynah cached --model_name whisper-base")]
    Cached(CachedArgs),
    /// Delete a downloaded model on a running server
    #[command(after_help = "Example:\n  mynah remove-cache --model_version whisper-base --check")]
    RemoveCache(RemoveCacheArgs),
    /// List the engines that a model can be launched with
    #[command(after_help = "Example:\n  mynah engine --model-name whisper-base")]
    Engine(EngineArgs),
    /// Log in to a running server and store its token
    #[command(after_help = "Example:\n  mynah login --username ann --password secret-pass")]
    Login(LoginArgs),
    /// Stop a running server
    #[command(after_help = "Example:\n  mynah stop-cluster --endpoint http://127.0.0.1:9997 --check")]
    StopCluster(StopClusterArgs),
}

/// Server and credentials.
#[derive(Args, Clone, Debug)]
pub(crate) struct ConnectionArgs {
    /// Address of the server [default: http://127.0.0.1:9997]
    #[arg(short, long, value_name = "URL", env = "XINFERENCE_ENDPOINT")]
    pub(crate) endpoint: Option<String>,

    /// API key [default: the token of `mynah login`]
    #[arg(long, value_name = "KEY", env = "MYNAH_API_KEY", hide_env_values = true)]
    pub(crate) api_key: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct LaunchArgs {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,

    /// Model name, as listed by `mynah registrations`
    #[arg(short = 'n', long)]
    pub(crate) model_name: String,

    /// Model type
    #[arg(short = 't', long, default_value = "audio")]
    pub(crate) model_type: String,

    /// Engine to run it with [default: the server's choice]
    #[arg(long)]
    pub(crate) model_engine: Option<String>,

    /// Uid by which requests name it [default: the model's name]
    #[arg(short = 'u', long)]
    pub(crate) model_uid: Option<String>,

    /// Checkpoint on the server's disk instead of a download
    #[arg(long, alias = "model_path", value_name = "PATH")]
    pub(crate) model_path: Option<String>,

    /// Model size, for models that come in several
    #[arg(short, long)]
    pub(crate) size_in_billions: Option<String>,

    /// Format of the weights
    #[arg(short = 'f', long)]
    pub(crate) model_format: Option<String>,

    /// Precision of the weights: int8, f16 or f32 [default: the server's setting]
    #[arg(long, visible_alias = "compute")]
    pub(crate) quantization: Option<String>,

    /// Number of replicas
    #[arg(short, long, value_name = "N", default_value_t = 1)]
    pub(crate) replica: u32,

    /// Placement of each replica, a JSON array
    #[arg(long, alias = "replica_config", value_name = "JSON")]
    pub(crate) replica_config: Option<String>,

    /// Number of workers
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) n_worker: u32,

    /// GPUs for the model: auto, none or a number
    #[arg(long, value_name = "N", default_value = "auto")]
    pub(crate) n_gpu: String,

    /// GPU indices, comma-separated
    #[arg(long, value_delimiter = ',')]
    pub(crate) gpu_idx: Vec<u32>,

    /// Address of the worker
    #[arg(long)]
    pub(crate) worker_ip: Option<String>,

    /// Allow code that comes with the model; Mynah runs none
    #[arg(long, value_name = "BOOL", default_value = "true", value_parser = boolean)]
    pub(crate) trust_remote_code: bool,

    /// Thinking mode of language models
    #[arg(long)]
    pub(crate) enable_thinking: bool,

    /// Separate Python environment for the model; Mynah uses none
    #[arg(long, overrides_with = "disable_virtual_env")]
    pub(crate) enable_virtual_env: bool,

    /// No separate Python environment
    #[arg(long)]
    pub(crate) disable_virtual_env: bool,

    /// Package for that environment; may be given several times
    #[arg(long, value_name = "PACKAGE")]
    pub(crate) virtual_env_package: Vec<String>,

    /// Folder of wheels for that environment; may be given several times
    #[arg(long, value_name = "DIR")]
    pub(crate) virtual_env_find_link: Vec<String>,

    /// Environment variable for the model; may be given several times
    #[arg(long, num_args = 2, value_names = ["KEY", "VALUE"])]
    pub(crate) env: Vec<String>,

    /// Further options of the model, as `key=value`; written by [`crate::xinference_compat`]
    #[arg(long = EXTRA, hide = true)]
    pub(crate) extra: Vec<String>,
}

/// Name of the hidden option that carries further options of `launch` to the model.
pub(crate) const EXTRA: &str = "model-option";

#[derive(Args, Debug)]
pub(crate) struct TerminateArgs {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,

    /// Uid of the model
    #[arg(long)]
    pub(crate) model_uid: String,
}

#[derive(Args, Debug)]
pub(crate) struct RegistrationsArgs {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,

    /// Model type
    #[arg(short = 't', long, default_value = "audio")]
    pub(crate) model_type: String,
}

#[derive(Args, Debug)]
pub(crate) struct RegisterArgs {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,

    /// Model type
    #[arg(short = 't', long, default_value = "audio")]
    pub(crate) model_type: String,

    /// The model's definition, a JSON file
    #[arg(short, long)]
    pub(crate) file: std::path::PathBuf,

    /// Address of the worker
    #[arg(short, long)]
    pub(crate) worker_ip: Option<String>,

    /// Keep it across restarts of the server
    #[arg(short, long)]
    pub(crate) persist: bool,
}

#[derive(Args, Debug)]
pub(crate) struct UnregisterArgs {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,

    /// Model type
    #[arg(short = 't', long, default_value = "audio")]
    pub(crate) model_type: String,

    /// Name of the model
    #[arg(short = 'n', long)]
    pub(crate) model_name: String,
}

#[derive(Args, Debug)]
pub(crate) struct CachedArgs {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,

    /// Only this model
    #[arg(short = 'n', long = "model_name", alias = "model-name")]
    pub(crate) model_name: Option<String>,

    /// Address of the worker
    #[arg(long)]
    pub(crate) worker_ip: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct RemoveCacheArgs {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,

    /// Version of the model, as `mynah cached` shows it
    #[arg(short = 'n', long = "model_version", alias = "model-version")]
    pub(crate) model_version: String,

    /// Address of the worker
    #[arg(long)]
    pub(crate) worker_ip: Option<String>,

    /// Skip confirmation
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Args, Debug)]
pub(crate) struct EngineArgs {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,

    /// Name of the model
    #[arg(short = 'n', long)]
    pub(crate) model_name: String,

    /// Only this engine
    #[arg(long)]
    pub(crate) model_engine: Option<String>,

    /// Only weights of this format
    #[arg(short = 'f', long)]
    pub(crate) model_format: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct LoginArgs {
    /// Address of the server [default: http://127.0.0.1:9997]
    #[arg(short, long, value_name = "URL", env = "XINFERENCE_ENDPOINT")]
    pub(crate) endpoint: Option<String>,

    /// User name
    #[arg(long)]
    pub(crate) username: String,

    /// Password; visible in the process list [default: read from standard input]
    #[arg(long)]
    pub(crate) password: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct StopClusterArgs {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,

    /// Skip confirmation
    #[arg(long)]
    pub(crate) check: bool,
}

/// As Click reads them.
fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "y" | "on" | "t" => Ok(true),
        "false" | "0" | "no" | "n" | "off" | "f" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}
