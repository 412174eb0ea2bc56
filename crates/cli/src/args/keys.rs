//! Options of `mynah keys` and `mynah users`.

use clap::{Args, Subcommand};
use mynah_server::auth::{Scope, parse_moment, unix_now};

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// List the keys; the keys themselves are never shown
    #[command(after_help = "Example:\n  mynah keys list --json")]
    List(ListKeysArgs),
    /// Create a key and print it once
    #[command(after_help = "Examples:\n  mynah keys add dify --expires 90d --requests-per-minute 60\n  \
        mynah keys add operator --scope admin\n  \
        mynah keys add ci -e http://127.0.0.1:9997 --api-key KEY")]
    Add(AddKeyArgs),
    /// Revoke a key; running servers refuse it within a second
    #[command(after_help = "Example:\n  mynah keys revoke 3")]
    Revoke(RevokeKeyArgs),
    /// Read a key from standard input and print its hash for api_keys of the configuration
    #[command(after_help = "Example:\n  echo sk-my-own-long-secret-key | mynah keys hash")]
    Hash,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UsersCommand {
    /// List the users
    #[command(after_help = "Example:\n  mynah users list")]
    List,
    /// Add or change a user; the password is read from standard input
    #[command(after_help = "Example:\n  mynah users add ann --scope admin")]
    Add(AddUserArgs),
    /// Remove a user
    #[command(after_help = "Example:\n  mynah users remove ann")]
    Remove(UserArgs),
}

/// A running server instead of the key file in MYNAH_HOME.
#[derive(Args, Debug)]
pub(crate) struct RemoteArgs {
    /// Use this running server instead of the key file in MYNAH_HOME
    #[arg(short, long, value_name = "URL")]
    pub(crate) endpoint: Option<String>,

    /// API key for it [default: the token of `mynah login`]
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
    /// Name of the key
    pub(crate) name: String,

    #[command(flatten)]
    pub(crate) remote: RemoteArgs,

    /// Scopes: list, use, launch, admin; several, comma-separated
    #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',', default_values = ["list", "use"])]
    pub(crate) scopes: Vec<Scope>,

    /// Expiry: after 12h or 30d, or on a date such as 2027-01-31
    #[arg(long, value_name = "WHEN", value_parser = end)]
    pub(crate) expires: Option<u64>,

    /// Maximum requests per minute
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) requests_per_minute: Option<u32>,

    /// Read the key from standard input instead of creating one; at least 16 characters
    #[arg(long)]
    pub(crate) own: bool,
}

#[derive(Args, Debug)]
pub(crate) struct RevokeKeyArgs {
    /// Number, as listed by `mynah keys list`
    pub(crate) id: u64,

    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
}

#[derive(Args, Debug)]
pub(crate) struct AddUserArgs {
    /// User name
    pub(crate) name: String,

    /// Scopes: list, use, launch, admin; several, comma-separated
    #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',', default_values = ["list", "use", "launch"])]
    pub(crate) scopes: Vec<Scope>,
}

#[derive(Args, Debug)]
pub(crate) struct UserArgs {
    /// User name
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
