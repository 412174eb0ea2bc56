//! A server's list of models that can be launched, added to and taken from.

use reqwest::Method;
use serde_json::json;

use super::session;
use crate::args::{RegisterArgs, UnregisterArgs};
use crate::exit::Failure;

/// Adds a model.
pub(super) async fn register(args: &RegisterArgs) -> Result<(), Failure> {
    // The server reads the definition; it is sent as it stands in the file.
    let definition = std::fs::read_to_string(&args.file)
        .map_err(|error| Failure::Usage(format!("cannot read {}: {error}", args.file.display())))?;
    let server = session::open(&args.connection).await?;
    let body = json!({"model": definition, "worker_ip": args.worker_ip, "persist": args.persist});
    let path = ["v1", "model_registrations", &args.model_type];
    server.request("register model", Method::POST, &path).json(&body).send().await?;
    Ok(())
}

/// Takes a model away.
pub(super) async fn unregister(args: &UnregisterArgs) -> Result<(), Failure> {
    let server = session::open(&args.connection).await?;
    let path = ["v1", "model_registrations", &args.model_type, &args.model_name];
    server.request("unregister model", Method::DELETE, &path).send().await?;
    Ok(())
}
