//! `mynah keys` and `mynah users`: who may use the server. Without `--endpoint` they change the file that servers of the
//! same MYNAH_HOME read, which is how the first key comes into being.

use std::io::{self, Write};

use mynah_api::{Key, NewKey as Made};
use mynah_engine::Settings;
use mynah_server::auth::{AuthError, KeyHash, NewKey, Scopes, Store, StoredKey, format_moment};
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::args::{AddKeyArgs, ConnectionArgs, KeysCommand, ListKeysArgs, RemoteArgs, UsersCommand};
use crate::client::{self, Server, session, table};
use crate::exit::Failure;
use crate::{interrupt, output};

/// File of keys within the home folder.
pub(crate) const FILE: &str = "keys.json";

/// Runs `mynah keys`.
pub(crate) fn run(command: KeysCommand) -> Result<(), Failure> {
    match command {
        KeysCommand::List(args) => list(&args),
        KeysCommand::Add(args) => add(args),
        KeysCommand::Revoke(args) => match ask(&args.remote, async |server: Server| {
            let path = ["v1", "admin", "keys", &args.id.to_string()];
            server.request("revoke the key", Method::DELETE, &path).send().await
        })? {
            Some(_) => Ok(()),
            None => Ok(store()?.revoke_key(args.id).map(drop)?),
        },
        KeysCommand::Hash => {
            let key = client::line_of_input("Key: ")?;
            Ok(writeln!(io::stdout(), "sha256:{}", KeyHash::of(key.as_bytes()))?)
        }
    }
}

/// Runs `mynah users`.
pub(crate) fn users(command: UsersCommand) -> Result<(), Failure> {
    let store = store()?;
    match command {
        UsersCommand::List => {
            let contents = store.contents();
            let users = contents.as_deref().map_or(&[][..], |contents| contents.users());
            let rows: Vec<_> = users
                .iter()
                .map(|user| [user.name.clone(), names(&user.scopes), format_moment(user.created_at)])
                .collect();
            client::print(&table::simple(["NAME", "RIGHTS", "SINCE"], &rows))
        }
        UsersCommand::Add(args) => {
            let password = client::line_of_input("Password: ")?;
            Ok(store.set_user(&args.name, &password, args.scopes.into_iter().collect())?)
        }
        UsersCommand::Remove(args) => Ok(store.remove_user(&args.name)?),
    }
}

fn list(args: &ListKeysArgs) -> Result<(), Failure> {
    let remote = ask(&args.remote, async |server: Server| {
        server.get("list keys", &["v1", "admin", "keys"]).send().await
    })?;
    let keys: Vec<Key> = match remote {
        Some(answer) => understood(answer)?,
        None => {
            let contents = store()?.contents();
            contents
                .as_deref()
                .map_or(&[][..], |contents| contents.keys())
                .iter()
                .map(StoredKey::shown)
                .collect()
        }
    };
    if args.json {
        return client::print(&output::line(&keys)?);
    }
    let rows: Vec<_> = keys
        .into_iter()
        .map(|key| {
            [
                key.id.to_string(),
                key.name,
                key.key_prefix + "...",
                key.scopes.join(","),
                key.requests_per_minute.map_or("-".to_owned(), |number| number.to_string()),
                key.expires_at.unwrap_or("-".to_owned()),
                key.created_at,
            ]
        })
        .collect();
    client::print(&table::simple(["ID", "NAME", "KEY", "SCOPES", "PER MINUTE", "EXPIRES", "CREATED"], &rows))
}

fn add(args: AddKeyArgs) -> Result<(), Failure> {
    let own = if args.own { Some(client::line_of_input("Key: ")?) } else { None };
    let scopes: Scopes = args.scopes.into_iter().collect();
    let body = json!({
        "name": args.name,
        "key": own,
        "scopes": scopes,
        "expires_at": args.expires,
        "requests_per_minute": args.requests_per_minute,
    });
    let remote = ask(&args.remote, async |server: Server| {
        let request = server.request("make a key", Method::POST, &["v1", "admin", "keys"]);
        request.json(&body).send().await
    })?;
    let key = match remote {
        Some(answer) => understood::<Made>(answer)?.key,
        None => {
            let new = NewKey {
                name: args.name,
                key: own,
                scopes,
                expires_at: args.expires,
                requests_per_minute: args.requests_per_minute,
            };
            store()?.add_key(new)?.1
        }
    };
    tracing::warn!("store this key now: it is not shown again");
    Ok(writeln!(io::stdout(), "{key}")?)
}

/// Asks the server that is named, if one is.
fn ask<F: AsyncFnOnce(Server) -> Result<Value, Failure>>(
    remote: &RemoteArgs,
    question: F,
) -> Result<Option<Value>, Failure> {
    if remote.endpoint.is_none() {
        return Ok(None);
    }
    let connection = ConnectionArgs { endpoint: remote.endpoint.clone(), api_key: remote.api_key.clone() };
    interrupt::runtime()?.block_on(async { question(session::open(&connection).await?).await.map(Some) })
}

fn understood<T: DeserializeOwned>(answer: Value) -> Result<T, Failure> {
    serde_json::from_value(answer)
        .map_err(|error| Failure::Failed(Some(format!("unexpected response of the server: {error}"))))
}

fn store() -> Result<Store, Failure> {
    Ok(Store::open(Settings::from_env()?.home.join(FILE))?)
}

fn names(scopes: &Scopes) -> String {
    scopes.iter().map(mynah_server::auth::Scope::as_str).collect::<Vec<_>>().join(",")
}

impl From<AuthError> for Failure {
    fn from(error: AuthError) -> Self {
        Failure::Failed(Some(error.to_string()))
    }
}
