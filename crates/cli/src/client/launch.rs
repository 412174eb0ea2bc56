//! `launch`: asks for a model and watches it until it is ready.

use std::io::{self, IsTerminal};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{Out, Server, confirm, print, session};
use crate::args::LaunchArgs;
use crate::exit::Failure;
use crate::interrupt::Signals;

/// Time between two looks at a launch.
const POLL: Duration = Duration::from_millis(500);

/// Launches a model; Ctrl-C offers to call it off.
pub(super) async fn launch(args: LaunchArgs, out: &Out<'_>) -> Result<(), Failure> {
    let body = body(&args)?;
    let server = session::open(&args.connection).await?;
    let request = server.request("launch model", Method::POST, &["v1", "models"]);
    let answer = request.query(&[("wait_ready", "False")]).json(&body).send().await?;
    let uid = answer["model_uid"].as_str().unwrap_or(&args.model_name).to_owned();

    let mut signals = Signals::new()?;
    let watching = watch(&server, &args.model_name, &uid, out);
    tokio::select! {
        outcome = watching => outcome?,
        signal = signals.next() => return interrupted(&server, &uid, signal).await,
    }
    out.result(&format!("Model uid: {uid}\n"))
}

/// Returns when the model is ready.
async fn watch(server: &Server, name: &str, uid: &str, out: &Out<'_>) -> Result<(), Failure> {
    let mut bar = out.bars.add(uid);
    loop {
        let path = ["v1", "models", "instances"];
        let query = [("model_name", name), ("model_uid", uid)];
        let instances = server.get("get instance info", &path).query(&query).send().await?;
        let instances = instances.as_array().cloned().unwrap_or_default();
        let ended = |status: &Value| ["READY", "ERROR", "TERMINATED"].iter().any(|end| status == end);
        if instances.iter().all(|instance| ended(&instance["status"])) {
            return outcome(uid, &instances);
        }
        let path = ["v1", "models", uid, "progress"];
        let progress = server.get("get model launch progress", &path).send().await?;
        bar.part(
            progress["progress"].as_f64().unwrap_or(0.0),
            progress["stage"].as_str().unwrap_or("launching"),
        );
        tokio::time::sleep(POLL).await;
    }
}

/// How a launch ended.
fn outcome(uid: &str, instances: &[Value]) -> Result<(), Failure> {
    if instances.is_empty() {
        let message = format!("Model {uid} was terminated before it became ready.");
        return Err(Failure::Failed(Some(message)));
    }
    if instances.iter().all(|instance| instance["status"] == "READY") {
        return Ok(());
    }
    let replicas =
        instances.iter().flat_map(|instance| instance["replica_statuses"].as_array().into_iter().flatten());
    let reasons: Vec<&str> =
        replicas.filter_map(|replica| replica["error_message"].as_str()).map(str::trim).collect();
    let reasons =
        if reasons.is_empty() { "see the server logs for details.".to_owned() } else { reasons.join("; ") };
    Err(Failure::Failed(Some(format!("Failed to launch model {uid}: {reasons}"))))
}

async fn interrupted(server: &Server, uid: &str, signal: u8) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        tracing::warn!("the launch of {uid} continues; cancel it with `mynah terminate --model-uid {uid}`");
        return Err(Failure::Interrupted(signal));
    }
    let answer = tokio::task::spawn_blocking(|| confirm("Do you want to cancel model launching? (y/[n]): "));
    let yes = answer.await.map_err(|error| Failure::Failed(Some(error.to_string())))??;
    if !yes {
        return print("Skip cancel, launching model will be running still.\n");
    }
    let path = ["v1", "models", uid, "cancel"];
    server.request("cancel launching model", Method::POST, &path).send().await?;
    print(&format!("Cancel request sent: {uid}\n"))
}

/// The request's body: all that Xinference's command line sends.
fn body(args: &LaunchArgs) -> Result<Value, Failure> {
    let usage = |option: &str, why: String| Failure::Usage(format!("{option} {why}"));
    let n_gpu = match args.n_gpu.to_ascii_lowercase().as_str() {
        "none" => Value::Null,
        "auto" => json!("auto"),
        number => match number.parse::<i64>() {
            Ok(number) => json!(number),
            Err(_) => return Err(usage("--n-gpu", "must be auto, none or a number".to_owned())),
        },
    };
    let replica_config = match &args.replica_config {
        None => Value::Null,
        Some(text) => match serde_json::from_str(text) {
            Ok(Value::Array(list)) if !list.is_empty() => Value::Array(list),
            Ok(_) => return Err(usage("--replica-config", "must be a JSON array with entries".to_owned())),
            Err(error) => return Err(usage("--replica-config", format!("must be valid JSON: {error}"))),
        },
    };
    let virtual_env = match (args.enable_virtual_env, args.disable_virtual_env) {
        (_, true) => json!(false),
        (true, _) => json!(true),
        _ => Value::Null,
    };
    let environment: Map<String, Value> =
        args.env.chunks_exact(2).map(|pair| (pair[0].clone(), json!(pair[1]))).collect();
    let mut body = json!({
        "model_uid": args.model_uid,
        "model_name": args.model_name,
        "model_engine": args.model_engine,
        "peft_model_config": null,
        "model_type": args.model_type,
        "model_size_in_billions": args.size_in_billions.as_deref().map(number_or_text),
        "model_format": args.model_format,
        "quantization": args.quantization,
        "replica": args.replica,
        "n_worker": args.n_worker,
        "n_gpu": n_gpu,
        "request_limits": null,
        "worker_ip": args.worker_ip,
        "gpu_idx": some(&args.gpu_idx),
        "replica_config": replica_config,
        "model_path": args.model_path.as_deref().map(absolute),
        "enable_thinking": args.enable_thinking,
        "enable_virtual_env": virtual_env,
        "virtual_env_packages": some(&args.virtual_env_package),
        "virtual_env_find_links": some(&args.virtual_env_find_link),
        "envs": if environment.is_empty() { Value::Null } else { Value::Object(environment) },
        "trust_remote_code": args.trust_remote_code,
    });
    for option in &args.extra {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        body[name] = python_literal(value);
    }
    Ok(body)
}

/// A list, or nothing where it is empty.
fn some<T>(list: &[T]) -> Option<&[T]> {
    (!list.is_empty()).then_some(list)
}

/// A path on this disk, whole, since the server may run elsewhere in the tree; of another machine's disk, as it is.
fn absolute(path: &str) -> String {
    let here = std::path::Path::new(path);
    match std::path::absolute(here) {
        Ok(whole) if here.exists() => whole.to_string_lossy().into_owned(),
        _ => path.to_owned(),
    }
}

fn number_or_text(text: &str) -> Value {
    text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number))
}

/// A further option's value: what looks like a value of Python's is one.
fn python_literal(text: &str) -> Value {
    match text {
        "None" => Value::Null,
        "True" | "true" => json!(true),
        "False" | "false" => json!(false),
        _ => {
            let float = || text.parse::<f64>().ok().filter(|number| number.is_finite());
            text.parse::<i64>()
                .ok()
                .map(Value::from)
                .or_else(|| float().map(Value::from))
                .unwrap_or(json!(text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_options_have_types() {
        for (text, value) in [
            ("None", Value::Null),
            ("true", json!(true)),
            ("False", json!(false)),
            ("7", json!(7)),
            ("-0.5", json!(-0.5)),
            ("nan", json!("nan")),
            ("cpu", json!("cpu")),
        ] {
            assert_eq!(python_literal(text), value, "{text}");
        }
    }

    #[test]
    fn the_reasons_of_a_failure_are_reported() {
        let failed = json!({"status": "ERROR", "replica_statuses": [{"error_message": " no weights "}, {}]});
        let ready = json!({"status": "READY"});
        assert!(outcome("a", std::slice::from_ref(&ready)).is_ok());
        for (instances, text) in [
            (vec![], "Model a was terminated before it became ready."),
            (vec![ready, failed], "Failed to launch model a: no weights"),
            (vec![json!({"status": "ERROR"})], "Failed to launch model a: see the server logs for details."),
        ] {
            let Err(Failure::Failed(Some(message))) = outcome("a", &instances) else { panic!("{text}") };
            assert_eq!(message, text);
        }
    }
}
