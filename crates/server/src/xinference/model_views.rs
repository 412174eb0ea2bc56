//! What the engine knows of models, in the words of the API.

use std::time::{SystemTime, UNIX_EPOCH};

use mynah_api::{
    DownloadFile, Event, Instance, InstanceStatus, LaunchProgress, Model, ModelDescription, Replica,
    ReplicaProgress, ReplicaStatus, Stage,
};
use mynah_engine::{
    Ability, Entry, Error, LaunchRequest, ModelStatus, Phase, PullProgress, Running, Severity, Source,
    family_of_checkpoint,
};
use mynah_models::whisper::Compute;
use mynah_text::languages::LANGUAGES;

/// Share of a launch that its download is counted as.
const DOWNLOAD_SHARE: f64 = 0.8;

/// A description under a name.
pub(crate) fn model(id: &str, description: ModelDescription) -> Model {
    Model {
        id: id.to_owned(),
        object: "model".to_owned(),
        created: 0,
        owned_by: "xinference".to_owned(),
        description,
    }
}

/// A model that runs.
pub(crate) fn running(running: &Running, address: &str) -> ModelDescription {
    let request = &running.request;
    let described = match &running.entry {
        Some(entry) => described(entry, request, address),
        None => checkpoint(running, address),
    };
    ModelDescription { replica: request.replicas, launch_options: request.others.clone(), ..described }
}

/// A model of the catalogue that a request may load.
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
        model_ability: vec![entry.ability.as_str().to_owned()],
        model_engine: Some(request.engine_name.clone().unwrap_or_else(|| "mynah".to_owned())),
        quantization: precision(request.compute).to_owned(),
        n_worker: None,
        replica: 1,
        multilingual: entry.is_multilingual(),
        on_disk: true,
        launch_options: serde_json::Map::new(),
    }
}

/// A checkpoint without a name of the catalogue; its languages show when it is loaded.
fn checkpoint(running: &Running, address: &str) -> ModelDescription {
    let path = running.request.path.clone().unwrap_or_default();
    let speaks = Ability::of_checkpoint(&path) == Ability::Text2audio;
    let family = family_of_checkpoint(&path);
    let ability = if speaks { Ability::Text2audio } else { Ability::Audio2text };
    let entry = Entry {
        name: running.uid.clone(),
        aliases: Vec::new(),
        family: family.to_owned(),
        ability,
        languages: if family == "hibari" { vec!["en".to_owned()] } else { Vec::new() },
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

fn precision(compute: Option<Compute>) -> &'static str {
    match compute {
        None => "none",
        Some(Compute::Auto) => "auto",
        Some(Compute::F32) => "f32",
        Some(Compute::F16) => "f16",
        Some(Compute::Int8) => "int8",
    }
}

fn all_languages() -> Vec<String> {
    LANGUAGES.iter().map(|language| language.code.to_owned()).collect()
}

/// A running model as `GET /v1/models/instances` shows it.
pub(crate) fn instance(running: &Running, address: &str) -> Instance {
    let status = status(&running.phase);
    let ability = running.entry.as_ref().map(|entry| entry.ability.as_str().to_owned());
    let created_ts = unix_seconds(running.since);
    let replica_status = |replica_id| ReplicaStatus {
        replica_id,
        replica_model_uid: replica_uid(running, replica_id),
        worker_address: address.to_owned(),
        status,
        model_state: model_state(running).to_owned(),
        created_ts,
        error_message: failure(&running.phase),
        replica_uid: None,
        gpu_idx: None,
    };
    let ready = matches!(running.phase, Phase::Ready | Phase::Unloading);
    Instance {
        model_name: running.entry.as_ref().map_or_else(|| running.uid.clone(), |entry| entry.name.clone()),
        model_uid: running.uid.clone(),
        model_version: None,
        model_ability: if ready { ability.into_iter().collect() } else { Vec::new() },
        replica: running.request.replicas,
        status,
        instance_created_ts: created_ts,
        n_worker: 1,
        replica_statuses: (0..running.request.replicas).map(replica_status).collect(),
    }
}

/// The replicas of a running model.
pub(crate) fn replicas(running: &Running, address: &str) -> Vec<Replica> {
    let replica = |status: ReplicaStatus| Replica {
        replica_id: status.replica_id,
        replica_model_uid: status.replica_model_uid,
        model_address: status.worker_address.clone(),
        worker_address: status.worker_address,
        accelerators: Vec::new(),
        status: status.status,
        created_ts: status.created_ts,
        error_message: status.error_message,
        replica_uid: None,
        gpu_idx: None,
    };
    instance(running, address).replica_statuses.into_iter().map(replica).collect()
}

/// Handle of a replica, as Xinference makes it.
pub(crate) fn replica_uid(running: &Running, replica_id: u32) -> String {
    format!("{}-rep{replica_id}", running.uid)
}

fn status(phase: &Phase) -> InstanceStatus {
    match phase {
        Phase::Starting | Phase::Downloading(_) | Phase::Loading => InstanceStatus::Creating,
        Phase::Ready => InstanceStatus::Ready,
        Phase::Failed(_) => InstanceStatus::Error,
        Phase::Unloading => InstanceStatus::Terminating,
    }
}

fn model_state(running: &Running) -> &'static str {
    match running.phase {
        Phase::Starting | Phase::Downloading(_) | Phase::Loading => "",
        Phase::Ready | Phase::Unloading if running.in_memory => "ready",
        Phase::Ready | Phase::Unloading => "unloaded",
        Phase::Failed(_) => "error",
    }
}

/// Null where somebody stopped the launch.
fn failure(phase: &Phase) -> Option<String> {
    match phase {
        Phase::Failed(error) if !matches!(error, Error::Cancelled) => Some(error.to_string()),
        _ => None,
    }
}

/// How far a launch is; `None` for a model that was never launched.
pub(crate) fn progress(running: Option<&Running>) -> LaunchProgress {
    let Some(running) = running else {
        return LaunchProgress {
            progress: 0.0,
            stage: Stage::Pending,
            download_files: Vec::new(),
            replicas: Vec::new(),
        };
    };
    let (progress, stage) = match &running.phase {
        Phase::Starting | Phase::Failed(_) => (0.0, Stage::Pending),
        Phase::Downloading(PullProgress::Bytes { done, total: Some(total), .. }) if *total > 0 => {
            (DOWNLOAD_SHARE * (*done as f64 / *total as f64).min(1.0), Stage::Downloading)
        }
        Phase::Downloading(_) => (0.0, Stage::Downloading),
        Phase::Loading => (DOWNLOAD_SHARE, Stage::Loading),
        Phase::Ready | Phase::Unloading => (1.0, Stage::Loading),
    };
    let download_files: Vec<DownloadFile> = match &running.phase {
        Phase::Downloading(PullProgress::Bytes { done, total, .. }) => {
            vec![DownloadFile { name: running.request.model_name.clone(), downloaded: *done, total: *total }]
        }
        _ => Vec::new(),
    };
    let info = match stage {
        Stage::Pending => "Waiting",
        Stage::Downloading => "Downloading model",
        Stage::Loading => "Loading model",
    };
    let updated_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let replica = |replica_id| ReplicaProgress {
        replica_id,
        replica_model_uid: replica_uid(running, replica_id),
        progress,
        stage,
        info: info.to_owned(),
        updated_at,
        download_files: download_files.clone(),
        dependency_install_completed: None,
        dependency_install_total: None,
        dependency_install_plan: None,
        dependency_install_status: None,
    };
    let replicas = (0..running.request.replicas).map(replica).collect();
    LaunchProgress { progress, stage, download_files, replicas }
}

/// Something that happened to a model.
pub(crate) fn event(event: mynah_engine::Event) -> Event {
    let kind = match event.severity {
        Severity::Info => "INFO",
        Severity::Error => "ERROR",
    };
    Event { event_type: kind.to_owned(), event_ts: unix_seconds(event.time), event_content: event.text }
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
