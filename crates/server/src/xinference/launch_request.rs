//! The body of `POST /v1/models`. Unsupported options that would change the result are refused; options that only other
//! servers support are kept and reported back.

use std::path::PathBuf;

use mynah_core::ComputeType;
use mynah_engine::{LaunchRequest, SourcePreference};
use serde_json::{Map, Value};

use crate::error::ApiError;

/// Keys that the official clients always send and that have no meaning on one machine without Python.
const IGNORED: [&str; 12] = [
    "model_size_in_billions",
    "model_format",
    "peft_model_config",
    "enable_thinking",
    "n_worker",
    "worker_ip",
    "replica_config",
    "enable_virtual_env",
    "virtual_env_packages",
    "virtual_env_find_links",
    "envs",
    "trust_remote_code",
];

/// Parses a launch request from a JSON object.
pub(super) fn read(mut body: Map<String, Value>) -> Result<LaunchRequest, ApiError> {
    body.retain(|_, value| !value.is_null());
    let model_name = text(&mut body, "model_name")?.filter(|name| !name.is_empty()).ok_or_else(|| {
        ApiError::missing("model_name", "Invalid input. Please specify the `model_name` field.")
    })?;
    let model_type = text(&mut body, "model_type")?.unwrap_or_else(|| "LLM".to_owned());
    if model_type != "audio" {
        let message = format!(
            "Unsupported model type: {model_type:.100}. This server runs audio models; send `model_type`: \"audio\"."
        );
        return Err(ApiError::invalid("model_type", message));
    }
    refuse_devices(&mut body)?;
    let request = LaunchRequest {
        uid: text(&mut body, "model_uid")?,
        path: text(&mut body, "model_path")?.filter(|path| !path.is_empty()).map(PathBuf::from),
        compute: precision(text(&mut body, "quantization")?)?,
        source: hub(text(&mut body, "download_hub")?)?,
        replicas: replicas(body.remove("replica"))?,
        request_limit: request_limit(body.remove("request_limits"))?,
        engine_name: text(&mut body, "model_engine")?.filter(|name| !name.is_empty()),
        unload_after_s: seconds(body.remove("unload_after_s"))?,
        pinned: boolean(body.remove("pin"))?,
        ..LaunchRequest::new(model_name)
    };
    body.retain(|name, _| !IGNORED.contains(&name.as_str()));
    Ok(LaunchRequest { others: body, ..request })
}

fn text(body: &mut Map<String, Value>, name: &'static str) -> Result<Option<String>, ApiError> {
    match body.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => {
            Err(ApiError::invalid(name, format!("Invalid input. The `{name}` field must be a string.")))
        }
    }
}

/// Refuses a choice of devices: there is only the CPU.
fn refuse_devices(body: &mut Map<String, Value>) -> Result<(), ApiError> {
    match body.remove("n_gpu") {
        None => {}
        Some(Value::String(text)) if text == "auto" => {}
        Some(Value::Number(number)) if number.as_f64() == Some(0.0) => {}
        Some(Value::Number(_)) => {
            let message = "The parameter `n_gpu` must be greater than 0 and not greater than the number of GPUs: 0 on the \
                           machine. Send \"auto\" or nothing: models run on the CPU.";
            return Err(ApiError::invalid("n_gpu", message));
        }
        Some(_) => return Err(ApiError::invalid("n_gpu", "Currently `n_gpu` only supports `auto`.")),
    }
    match body.remove("gpu_idx") {
        None => Ok(()),
        Some(Value::Array(list)) if list.is_empty() => Ok(()),
        Some(list) => {
            let message =
                format!("No GPU has the index {list:.100}: models run on the CPU. Leave `gpu_idx` out.");
            Err(ApiError::invalid("gpu_idx", message))
        }
    }
}

fn precision(name: Option<String>) -> Result<Option<ComputeType>, ApiError> {
    let Some(name) = name else { return Ok(None) };
    match name.to_ascii_lowercase().as_str() {
        "" | "none" => Ok(None),
        "auto" => Ok(Some(ComputeType::Auto)),
        "f32" | "fp32" | "float32" => Ok(Some(ComputeType::F32)),
        "f16" | "fp16" | "float16" => Ok(Some(ComputeType::F16)),
        "int8" | "8-bit" => Ok(Some(ComputeType::Int8)),
        _ => {
            let message = format!("`quantization` can be none, auto, f32, f16 or int8, not {name:.100}.");
            Err(ApiError::invalid("quantization", message))
        }
    }
}

fn hub(name: Option<String>) -> Result<Option<SourcePreference>, ApiError> {
    let Some(name) = name else { return Ok(None) };
    match name.as_str() {
        "" => Ok(None),
        "auto" => Ok(Some(SourcePreference::Auto)),
        "huggingface" => Ok(Some(SourcePreference::Huggingface)),
        "modelscope" => Ok(Some(SourcePreference::Modelscope)),
        "pip" => Ok(Some(SourcePreference::Pip)),
        _ => {
            let message =
                format!("`download_hub` can be auto, huggingface, modelscope or pip, not {name:.100}.");
            Err(ApiError::invalid("download_hub", message))
        }
    }
}

fn replicas(value: Option<Value>) -> Result<u32, ApiError> {
    let whole = |number: i64| match u32::try_from(number) {
        Ok(number) if number > 0 => Ok(number),
        Ok(_) | Err(_) if number < 1 => Err("be at least 1."),
        _ => Err("be a smaller number."),
    };
    let outcome = match value {
        None => Ok(1),
        Some(Value::Number(number)) => number.as_i64().ok_or("be an integer, got a float.").and_then(whole),
        Some(Value::String(text)) => text.trim().parse().map_err(|_| "be a valid integer.").and_then(whole),
        Some(Value::Bool(_)) => Err("be an integer, got a boolean."),
        Some(_) => Err("be an integer."),
    };
    outcome.map_err(|what| {
        ApiError::invalid("replica", format!("Invalid input. The `replica` field must {what}"))
    })
}

fn request_limit(value: Option<Value>) -> Result<Option<u32>, ApiError> {
    let Some(value) = value else { return Ok(None) };
    match value.as_i64().map(u32::try_from) {
        Some(Ok(limit)) => Ok(Some(limit)),
        _ => {
            let message = "The `request_limits` parameter must be greater or equal than 0.";
            Err(ApiError::invalid("request_limits", message))
        }
    }
}

fn seconds(value: Option<Value>) -> Result<Option<f64>, ApiError> {
    let Some(value) = value else { return Ok(None) };
    match value.as_f64() {
        Some(seconds) if (0.0..=1e9).contains(&seconds) => Ok(Some(seconds)),
        _ => {
            let message = "`unload_after_s` must be a number of seconds, 0 or more.";
            Err(ApiError::invalid("unload_after_s", message))
        }
    }
}

fn boolean(value: Option<Value>) -> Result<bool, ApiError> {
    match value {
        None => Ok(false),
        Some(Value::Bool(truth)) => Ok(truth),
        Some(_) => Err(ApiError::invalid("pin", "`pin` must be true or false.")),
    }
}
