//! Versions and engines of models, and lists of other kinds of models, which are empty.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use mynah_api::ModelVersion;
use mynah_core::ModelTask;
use mynah_engine::Engine;
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::state::AppState;

/// `GET /v1/models/{type}/{name}/versions`. Unknown models have none.
pub(super) async fn versions(
    state: &AppState,
    kind: &str,
    name: String,
) -> Result<Json<Vec<ModelVersion>>, ApiError> {
    if kind != "audio" {
        return Ok(Json(Vec::new()));
    }
    let statuses = state.blocking("Cannot list the versions", Engine::models).await?;
    let address = state.config.address.to_string();
    let version = statuses.into_iter().find(|status| status.entry.name == name).map(|status| {
        let at = |path: String| BTreeMap::from([(address, path)]);
        ModelVersion {
            cache_status: status.on_disk.is_some(),
            model_file_location: status.on_disk.map(|found| at(found.path.display().to_string())),
            model_version: name,
            model_type: "audio".to_owned(),
        }
    });
    Ok(Json(version.into_iter().collect()))
}

/// `GET /v1/engines/{type}/{name}`: null where there is no choice of engines.
pub(super) async fn engines(
    State(state): State<Arc<AppState>>,
    Path((kind, name)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let statuses = state.blocking("Cannot list the engines", Engine::models).await?;
    let known = statuses
        .iter()
        .find(|status| status.entry.name == name && status.entry.task == ModelTask::Transcription);
    Ok(Json(match known {
        // The names that Xinference's clients can choose. All run the same code.
        Some(_) if kind == "audio" => json!({
            "transformers": [{"model_name": name, "model_format": "pytorch"}],
            "MLX": "Models run on the CPU here, whatever the engine",
        }),
        _ => Value::Null,
    }))
}

/// `GET /v1/engines/{name}`: for language models only, of which there are none.
pub(super) async fn engines_of_language_model() -> Json<Value> {
    Json(Value::Null)
}

/// `GET /v1/models/prompts`.
pub(super) async fn prompts() -> Json<Value> {
    Json(json!({}))
}

/// `GET /v1/models/families`: families of language models.
pub(super) async fn families() -> Json<Value> {
    Json(json!({
        "chat": [], "generate": [], "tools": [], "vision": [], "reasoning": [], "audio": [], "omni": [], "hybrid": [],
    }))
}

/// `GET /v1/models/vllm-supported`.
pub(super) async fn vllm_supported() -> Json<Value> {
    Json(json!({"chat": [], "generate": []}))
}
