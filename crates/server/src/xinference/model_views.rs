//! Running models as instances, replicas, progress and events.

use std::time::{SystemTime, UNIX_EPOCH};

use mynah_api::{
    DownloadFile, Event, Instance, InstanceStatus, LaunchProgress, Replica, ReplicaProgress, ReplicaStatus,
    Stage,
};
use mynah_engine::{Error, Phase, PullProgress, Running, Severity};

/// Share of the download in the progress of a launch.
const DOWNLOAD_SHARE: f64 = 0.8;

/// A running model as in `GET /v1/models/instances`.
pub(super) fn instance(running: &Running, address: &str) -> Instance {
    let status = status(&running.phase);
    let of_checkpoint = || running.checkpoint.as_ref().map(|checkpoint| checkpoint.task);
    let task = running.entry.as_ref().map(|entry| entry.task).or_else(of_checkpoint);
    let ability = task.map(|task| task.as_str().to_owned());
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
pub(super) fn replicas(running: &Running, address: &str) -> Vec<Replica> {
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

/// Uid of a replica, as Xinference forms it.
pub(super) fn replica_uid(running: &Running, replica_id: u32) -> String {
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

/// The error message; null if the launch was cancelled.
fn failure(phase: &Phase) -> Option<String> {
    match phase {
        Phase::Failed(error) if !matches!(error, Error::Cancelled) => Some(error.to_string()),
        _ => None,
    }
}

/// Progress of a launch; `None` for a model that was never launched.
pub(super) fn progress(running: Option<&Running>) -> LaunchProgress {
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

/// An event of a model.
pub(super) fn event(event: mynah_engine::Event) -> Event {
    let kind = match event.severity {
        Severity::Info => "INFO",
        Severity::Error => "ERROR",
    };
    Event { event_type: kind.to_owned(), event_ts: unix_seconds(event.time), event_content: event.text }
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
