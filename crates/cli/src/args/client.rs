//! Options of the commands that ask a running server: those of Xinference's command line, so that scripts move by
//! replacing the program's name. Its short options of several letters (`-en`, `-ak`) are rewritten in
//! [`crate::program`].

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum ClientCommand {
    /// Have a running server load a model, and wait until it is ready
    #[command(
        after_help = "Any further `--key value` goes to the model. -en, -mp, -ak, -vp and -ev are short for \
        --model-engine, --model-path, --api-key, --virtual-env-package and --env.\n\
        Examples:\n  mynah launch --model-name whisper-base --model-type audio\n  \
        mynah launch -n whisper-large-v3 -u whisper-1 --compute int8"
    )]
    Launch(Box<LaunchArgs>),
    /// List the models that a running server has loaded
    #[command(after_help = "Example:\n  mynah list --endpoint http://127.0.0.1:9997")]
    List(ConnectionArgs),
    /// Have a running server unload a model
    #[command(after_help = "Example:\n  mynah terminate --model-uid whisper-1")]
    Terminate(TerminateArgs),
    /// List the models that a running server can launch
    #[command(after_help = "Example:\n  mynah registrations --model-type audio")]
    Registrations(RegistrationsArgs),
    /// Tell a running server of a model of yours
    #[command(
        after_help = "Example:\n  mynah register --model-type audio --file my-whisper.json --persist\n\
        where my-whisper.json is {\"model_name\": \"my-whisper\", \"model_family\": \"whisper\", \
        \"multilingual\": true, \"model_uri\": \"file:///srv/my-whisper\"}"
    )]
    Register(RegisterArgs),
    /// Have a running server forget a model of yours
    #[command(after_help = "Example:\n  mynah unregister --model-type audio --model-name my-whisper")]
    Unregister(UnregisterArgs),
    /// List the models on a running server's disk
    #[command(after_help = "Example:\n  mynah cached --model_name whisper-base")]
    Cached(CachedArgs),
    /// Delete a model from a running server's disk
    #[command(after_help = "Example:\n  mynah remove-cache --model_version whisper-base --check")]
    RemoveCache(RemoveCacheArgs),
    /// List the engines that a model can be launched with
    #[command(after_help = "Example:\n  mynah engine --model-name whisper-base")]
    Engine(EngineArgs),
    /// Log in at a running server and keep its token for the other commands
    #[command(after_help = "Example:\n  mynah login --username ann --password secret-pass")]
    Login(LoginArgs),
    /// Stop a running server
    #[command(after_help = "Example:\n  mynah stop-cluster --endpoint http://127.0.0.1:9997 --check")]
    StopCluster(StopClusterArgs),
}

/// Which server is asked, and as whom.
#[derive(Args, Clone, Debug)]
pub(crate) struct ConnectionArgs {
    /// Address of the server [default: http://127.0.0.1:9997]
    #[arg(short, long, value_name = "URL", env = "XINFERENCE_ENDPOINT")]
    pub(crate) endpoint: Option<String>,

    /// Key to bring [default: the token of `mynah login`]
    #[arg(long, value_name = "KEY", env = "MYNAH_API_KEY", hide_env_values = true)]
    pub(crate) api_key: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct LaunchArgs {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,

    /// Name of `mynah registrations`
    #[arg(short = 'n', long)]
    pub(crate) model_name: String,

    /// Kind of the model
    #[arg(short = 't', long, default_value = "audio")]
    pub(crate) model_type: String,

    /// Engine to run it with [default: the server's choice]
    #[arg(long)]
    pub(crate) model_engine: Option<String>,

    /// Handle by which requests name it [default: the model's name]
    #[arg(short = 'u', long)]
    pub(crate) model_uid: Option<String>,

    /// Checkpoint on the server's disk to use instead of a download
    #[arg(long, alias = "model_path", value_name = "PATH")]
    pub(crate) model_path: Option<String>,

    /// Size of the model, of models that come in several
    #[arg(short, long)]
    pub(crate) size_in_billions: Option<String>,

    /// Format of the weights
    #[arg(short = 'f', long)]
    pub(crate) model_format: Option<String>,

    /// Precision of the weights
    #[arg(short, long)]
    pub(crate) quantization: Option<String>,

    /// Copies that answer requests
    #[arg(short, long, value_name = "N", default_value_t = 1)]
    pub(crate) replica: u32,

    /// Where each copy goes, a JSON array
    #[arg(long, alias = "replica_config", value_name = "JSON")]
    pub(crate) replica_config: Option<String>,

    /// Workers for the model
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) n_worker: u32,

    /// Graphics cards for the model: auto, none or a number
    #[arg(long, value_name = "N", default_value = "auto")]
    pub(crate) n_gpu: String,

    /// Graphics cards by number, comma-separated
    #[arg(long, value_delimiter = ',')]
    pub(crate) gpu_idx: Vec<u32>,

    /// Worker by its address
    #[arg(long)]
    pub(crate) worker_ip: Option<String>,

    /// Whether code that comes with the model may run; Mynah runs none
    #[arg(long, value_name = "BOOL", default_value = "true", value_parser = boolean)]
    pub(crate) trust_remote_code: bool,

    /// Thinking mode of language models
    #[arg(long)]
    pub(crate) enable_thinking: bool,

    /// Python environment of its own for the model
    #[arg(long, overrides_with = "disable_virtual_env")]
    pub(crate) enable_virtual_env: bool,

    /// No Python environment of its own
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

    /// Further options of the model, as `key=value`; written by [`crate::program`]
    #[arg(long = EXTRA, hide = true)]
    pub(crate) extra: Vec<String>,
}

/// Name of the hidden option that carries what `launch` hands to the model.
pub(crate) const EXTRA: &str = "model-option";

#[derive(Args, Debug)]
pub(crate) struct TerminateArgs {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,

    /// Handle of the model
    #[arg(long)]
    pub(crate) model_uid: String,
}

#[derive(Args, Debug)]
pub(crate) struct RegistrationsArgs {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,

    /// Kind of the models
    #[arg(short = 't', long, default_value = "audio")]
    pub(crate) model_type: String,
}

#[derive(Args, Debug)]
pub(crate) struct RegisterArgs {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,

    /// Kind of the model
    #[arg(short = 't', long, default_value = "audio")]
    pub(crate) model_type: String,

    /// The model's definition, a JSON file
    #[arg(short, long)]
    pub(crate) file: std::path::PathBuf,

    /// Worker by its address
    #[arg(short, long)]
    pub(crate) worker_ip: Option<String>,

    /// Remember it when the server is started anew
    #[arg(short, long)]
    pub(crate) persist: bool,
}

#[derive(Args, Debug)]
pub(crate) struct UnregisterArgs {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,

    /// Kind of the model
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

    /// Worker by its address
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

    /// Worker by its address
    #[arg(long)]
    pub(crate) worker_ip: Option<String>,

    /// Do not ask back
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

    /// Who logs in
    #[arg(long)]
    pub(crate) username: String,

    /// The password; others on this machine can see it in the list of processes [default: asked for on standard input]
    #[arg(long)]
    pub(crate) password: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct StopClusterArgs {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,

    /// Do not ask back
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
