//! What a server has: running models, models that can be launched, and engines.

use serde_json::Value;

use super::session::{self, python};
use super::{Out, Server, table};
use crate::args::{EngineArgs, RegistrationsArgs};
use crate::exit::Failure;

/// Models that are loaded.
pub(super) async fn running(server: &Server, out: &Out<'_>) -> Result<(), Failure> {
    let answer = server.get("list model", &["v1", "models"]).send().await?;
    let rows: Vec<_> = entries(&answer["data"])
        .map(|model| [&model["id"], &model["model_type"], &model["model_name"]].map(python))
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    out.result(&table::simple(["UID", "Type", "Name"], &rows))
}

/// Models that can be launched.
pub(super) async fn registrations(args: &RegistrationsArgs, out: &Out<'_>) -> Result<(), Failure> {
    let server = session::open(&args.connection).await?;
    // One request in place of one for each model.
    let request = server.get("list model registration", &["v1", "model_registrations", &args.model_type]);
    let answer = request.query(&[("detailed", "true")]).send().await?;
    let rows: Vec<_> = entries(&answer)
        .map(|model| {
            [
                args.model_type.clone(),
                python(&model["model_name"]),
                python(&model["model_family"]),
                python(&model["multilingual"]),
                python(&model["is_builtin"]),
            ]
        })
        .collect();
    out.result(&table::simple(["Type", "Name", "Family", "Multilingual", "Is-built-in"], &rows))
}

/// Engines that a model can be launched with.
pub(super) async fn engines(args: &EngineArgs, out: &Out<'_>) -> Result<(), Failure> {
    let server = session::open(&args.connection).await?;
    let path = ["v1", "engines", "audio", &args.model_name];
    let answer = server.get("query engine parameters by model name", &path).send().await?;
    let fits = |wanted: &Option<String>, found: &str| {
        wanted.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(found))
    };
    let mut rows = Vec::new();
    for (engine, choices) in answer.as_object().into_iter().flatten() {
        // A text says why the engine cannot be used here.
        for choice in entries(choices).filter(|_| fits(&args.model_engine, engine)) {
            let format = python(&choice["model_format"]);
            if fits(&args.model_format, &format) {
                let quantization = python(&choice["quantization"]);
                rows.push([args.model_name.clone(), engine.clone(), format, quantization]);
            }
        }
    }
    if rows.is_empty() {
        let message = format!("{} has no engine to choose among that fits.", args.model_name);
        return out.result(&(message + "\n"));
    }
    out.result(&table::simple(["Name", "Engine", "Format", "Quantization"], &rows))
}

fn entries(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}
