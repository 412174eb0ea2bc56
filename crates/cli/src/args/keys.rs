//! Options of `mynah keys` and `mynah users`.

use clap::{Args, Subcommand};
use mynah_server::auth::{Scope, parse_moment, unix_now};

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// List the keys; none is shown in clear
    #[command(after_help = "Example:\n  mynah keys list --json")]
    List(ListKeysArgs),
    /// Make a key and print it, this one time
    #[command(after_help = "Examples:\n  mynah keys add dify --expires 90d --requests-per-minute 60\n  \
        mynah keys add operator --right admin\n  \
        mynah keys add ci -e http://127.0.0.1:9997 --api-key KEY")]
    Add(AddKeyArgs),
    /// Revoke a key; running servers refuse it within a second
    #[command(after_help = "Example:\n  mynah keys revoke 3")]
    Revoke(RevokeKeyArgs),
    /// Read a key from standard input and print its hash, as api_keys of the settings file takes it
    #[command(after_help = "Example:\n  echo sk-my-own-long-secret-key | mynah keys hash")]
    Hash,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UsersCommand {
    /// List the users
    #[command(after_help = "Example:\n  mynah users list")]
    List,
    /// Add a user, or give one another password and other rights; the password is read from standard input
    #[command(after_help = "Example:\n  mynah users add ann --right admin")]
    Add(AddUserArgs),
    /// Take a user away
    #[command(after_help = "Example:\n  mynah users remove ann")]
    Remove(UserArgs),
}

/// A running server in place of the file of keys in MYNAH_HOME.
#[derive(Args, Debug)]
pub(crate) struct RemoteArgs {
    /// Ask this running server instead of the file in MYNAH_HOME
    #[arg(short, long, value_name = "URL")]
    pub(crate) endpoint: Option<String>,

    /// Key to bring to it [default: the token of `mynah login`]
    #[arg(long, value_name = "KEY", env = "MYNAH_API_KEY", hide_env_values = true)]
    pub(crate) api_key: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct ListKeysArgs {
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,

    /// One JSON array
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct AddKeyArgs {
    /// What it is called
    pub(crate) name: String,

    #[command(flatten)]
    pub(crate) remote: RemoteArgs,

    /// What it may do: list, use, launch, admin; several, comma-separated
    #[arg(long = "right", value_name = "RIGHT", value_delimiter = ',', default_values = ["list", "use"])]
    pub(crate) rights: Vec<Scope>,

    /// When it ends: after 12h or 30d, or at a date such as 2027-01-31
    #[arg(long, value_name = "WHEN", value_parser = end)]
    pub(crate) expires: Option<u64>,

    /// Requests it may send in a minute
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) requests_per_minute: Option<u32>,

    /// Read the key from standard input instead of making one; 16 characters at least
    #[arg(long)]
    pub(crate) own: bool,
}

#[derive(Args, Debug)]
pub(crate) struct RevokeKeyArgs {
    /// Number of `mynah keys list`
    pub(crate) id: u64,

    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
}

#[derive(Args, Debug)]
pub(crate) struct AddUserArgs {
    /// Name to log in by
    pub(crate) name: String,

    /// What they may do: list, use, launch, admin; several, comma-separated
    #[arg(long = "right", value_name = "RIGHT", value_delimiter = ',', default_values = ["list", "use", "launch"])]
    pub(crate) rights: Vec<Scope>,
}

#[derive(Args, Debug)]
pub(crate) struct UserArgs {
    /// Name of `mynah users list`
    pub(crate) name: String,
}

/// `12h` and `30d` from now, or a moment; in seconds since 1970.
fn end(text: &str) -> Result<u64, String> {
    for (unit, seconds) in [("h", 3600), ("d", 86_400)] {
        if let Some(count) = text.strip_suffix(unit).and_then(|count| count.parse::<u32>().ok()) {
            return Ok(unix_now() + u64::from(count) * seconds);
        }
    }
    parse_moment(text).map_err(|error| format!("{error}, or 12h or 30d"))
}
