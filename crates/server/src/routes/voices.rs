//! `GET /v1/audio/voices` and `GET /v1/audio/models`, which clients use to fill their menus.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use mynah_api::{Voice, VoiceList};
use mynah_core::ModelTask;
use mynah_engine::VoiceStatus;
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::state::AppState;

/// All voices that requests can name.
pub(super) async fn list_voices(State(state): State<Arc<AppState>>) -> Result<Json<VoiceList>, ApiError> {
    let engine = state.engine.clone();
    // Reads the disk, so it runs off the async threads.
    let statuses = tokio::task::spawn_blocking(move || engine.voices()).await;
    let statuses = statuses.map_err(|error| ApiError::internal(&error, "Cannot list the voices"))?;
    let mut voices: Vec<Voice> = Vec::new();
    for status in statuses {
        let default = voices.last().is_none_or(|last| last.model != status.model);
        voices.push(voice(status, default));
    }
    Ok(Json(VoiceList { object: "list".to_owned(), data: voices.clone(), voices }))
}

fn voice(status: VoiceStatus, default: bool) -> Voice {
    let VoiceStatus { model, voice, on_disk } = status;
    Voice {
        id: voice.name.clone(),
        name: voice.name,
        model,
        language: voice.language,
        gender: voice.gender,
        aliases: [voice.aliases, voice.stands_for].concat(),
        default,
        on_disk,
    }
}

/// The text-to-speech models.
pub(super) async fn list_speech_models(State(state): State<Arc<AppState>>) -> Result<Json<Value>, ApiError> {
    let engine = state.engine.clone();
    let statuses = tokio::task::spawn_blocking(move || engine.models()).await;
    let statuses = statuses.map_err(|error| ApiError::internal(&error, "Cannot list the models"))?;
    let speaking = statuses.iter().filter(|status| status.entry.task == ModelTask::Speech);
    let models: Vec<Value> = speaking.map(|status| json!({"id": status.entry.name})).collect();
    Ok(Json(json!({"models": models})))
}
