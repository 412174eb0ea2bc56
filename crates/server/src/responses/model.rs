//! A model as `GET /v1/models` describes it.

use mynah_api::{Model, ModelDescription};
use mynah_core::{ComputeType, ModelTask};
use mynah_engine::{CheckpointInfo, Entry, LaunchRequest, ModelStatus, Running, Source};
use mynah_text::languages::LANGUAGES;

/// A model with this id.
pub(crate) fn model(id: &str, description: ModelDescription) -> Model {
    Model {
        id: id.to_owned(),
        object: "model".to_owned(),
        created: 0,
        owned_by: "xinference".to_owned(),
        description,
    }
}

/// A running model.
pub(crate) fn running(running: &Running, address: &str) -> ModelDescription {
    let request = &running.request;
    let described = match &running.entry {
        Some(entry) => described(entry, request, address),
        None => checkpoint(running, address),
    };
    ModelDescription { replica: request.replicas, launch_options: request.others.clone(), ..described }
}

/// A catalogue model that a request can load.
pub(crate) fn catalogued(status: &ModelStatus, address: &str) -> ModelDescription {
    let request = LaunchRequest::new(&status.entry.name);
    ModelDescription { on_disk: status.on_disk.is_some(), ..described(&status.entry, &request, address) }
}

fn described(entry: &Entry, request: &LaunchRequest, address: &str) -> ModelDescription {
    ModelDescription {
        model_type: "audio".to_owned(),
        address: address.to_owned(),
        accelerators: Vec::new(),
        model_name: entry.name.clone(),
        model_lang: if entry.languages.is_empty() { all_languages() } else { entry.languages.clone() },
        model_family: entry.family.clone(),
        model_revision: revision(entry),
        model_ability: vec![entry.task.as_str().to_owned()],
        model_engine: Some(request.engine_name.clone().unwrap_or_else(|| "mynah".to_owned())),
        quantization: request.compute.map_or("none", ComputeType::as_str).to_owned(),
        n_worker: None,
        replica: 1,
        multilingual: entry.is_multilingual(),
        on_disk: true,
        launch_options: serde_json::Map::new(),
    }
}

/// A checkpoint without a catalogue entry; its languages are known once it is loaded.
fn checkpoint(running: &Running, address: &str) -> ModelDescription {
    // A deleted checkpoint has no family.
    let unknown = CheckpointInfo { family: "", task: ModelTask::Transcription, languages: Vec::new() };
    let CheckpointInfo { family, task, languages } = running.checkpoint.clone().unwrap_or(unknown);
    let entry = Entry {
        name: running.uid.clone(),
        aliases: Vec::new(),
        family: family.to_owned(),
        task,
        languages,
        licence: String::new(),
        notice: None,
        parameters_m: 0,
        sources: Vec::new(),
        voices: Vec::new(),
    };
    described(&entry, &running.request, address)
}

/// Revision of the weights at the first hub that has them.
pub(crate) fn revision(entry: &Entry) -> Option<String> {
    entry.sources.iter().find_map(|source| match source {
        Source::Huggingface { revision, .. } | Source::Modelscope { revision, .. } => Some(revision.clone()),
        Source::Local { .. } | Source::Pip { .. } => None,
    })
}

fn all_languages() -> Vec<String> {
    LANGUAGES.iter().map(|language| language.code.to_owned()).collect()
}
