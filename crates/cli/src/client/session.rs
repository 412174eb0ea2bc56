//! Credentials: keys, and tokens that a login stores for later commands; and stopping a server.

use mynah_api::AuthProbe;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Server, confirm, line_of_input, print, token};
use crate::args::{ConnectionArgs, LoginArgs, StopClusterArgs};
use crate::exit::Failure;

const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:9997";

/// A server that is shown the key or the token where it asks for one. Where it does not, nothing secret is sent.
pub(crate) async fn open(connection: &ConnectionArgs) -> Result<Server, Failure> {
    let endpoint = connection.endpoint.as_deref().unwrap_or(DEFAULT_ENDPOINT);
    let mut server = Server::at(endpoint)?;
    if asks_for_keys(&server).await? {
        server.set_key(match &connection.api_key {
            // The variable may name all keys of a server.
            Some(keys) => keys.split(',').next().unwrap_or_default().trim().to_owned(),
            None => token::read(endpoint)?,
        });
    }
    Ok(server)
}

async fn asks_for_keys(server: &Server) -> Result<bool, Failure> {
    let (status, body) = server.get("get cluster auth status", &["v1", "cluster", "auth"]).answer().await?;
    match status {
        // A server from before there was such a question.
        StatusCode::NOT_FOUND => Ok(false),
        StatusCode::OK => match serde_json::from_slice::<AuthProbe>(&body) {
            Ok(probe) => Ok(probe.auth),
            Err(_) => Err(Failure::Failed(Some("not a speech server: unexpected response".to_owned()))),
        },
        _ => Err(Failure::Failed(Some(format!("Failed to get cluster auth status, detail: {status}")))),
    }
}

/// Keeps a token for the commands that follow. Does nothing where no keys are asked for.
pub(crate) async fn login(args: LoginArgs) -> Result<(), Failure> {
    let endpoint = args.endpoint.as_deref().unwrap_or(DEFAULT_ENDPOINT);
    let server = Server::at(endpoint)?;
    if !asks_for_keys(&server).await? {
        return Ok(());
    }
    let password = match args.password {
        Some(password) => password,
        None => line_of_input("Password: ")?,
    };
    let body = json!({"username": args.username, "password": password});
    let answer = server.request("login", Method::POST, &["token"]).json(&body).send().await?;
    match answer["access_token"].as_str() {
        Some(access) => token::write(endpoint, access),
        None => Err(Failure::Failed(Some("Failed to login: the response has no token".to_owned()))),
    }
}

/// Ends a server.
pub(crate) async fn stop_server(args: &StopClusterArgs) -> Result<(), Failure> {
    let server = open(&args.connection).await?;
    if !args.check {
        let endpoint = args.connection.endpoint.as_deref().unwrap_or(DEFAULT_ENDPOINT);
        let supervisor = server.get("get supervisor info", &["v1", "supervisor"]).send().await?;
        let workers = server.get("get workers info", &["v1", "workers"]).send().await?;
        print(&format!("Supervisor information: \n{supervisor}\nWorkers information:\n{workers}\n"))?;
        if !confirm(&format!("This command will stop the server at {endpoint}. Continue? [y/N]: "))? {
            return Err(Failure::Failed(Some("Aborted!".to_owned())));
        }
    }
    let answer = server.request("abort cluster", Method::DELETE, &["v1", "clusters"]).send().await?;
    let stopped = answer["result"] == Value::Bool(true);
    print(&format!("Cluster stopped: {}\n", python(&Value::Bool(stopped))))
}

/// A value as Python prints it.
pub(super) fn python(value: &Value) -> String {
    match value {
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
