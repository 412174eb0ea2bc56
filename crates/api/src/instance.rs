//! Models that run: their launch, their progress, their replicas.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Answer of `POST /v1/models`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Launched {
    /// The handle of the running model, to be used as `model` in requests.
    pub model_uid: String,
}

/// Where a running model is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum InstanceStatus {
    /// Being fetched and loaded.
    Creating,
    /// It answers requests.
    Ready,
    /// Its launch failed.
    Error,
    /// It answers its last requests.
    Terminating,
}

/// One of `GET /v1/models/instances`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Instance {
    /// Catalogue name.
    pub model_name: String,
    /// Its handle.
    pub model_uid: String,
    /// Always null.
    pub model_version: Option<String>,
    /// What it does; empty until it is ready.
    pub model_ability: Vec<String>,
    /// Copies that answer requests.
    pub replica: u32,
    /// Where it is in its life.
    pub status: InstanceStatus,
    /// Unix seconds of its launch.
    pub instance_created_ts: u64,
    /// Always 1.
    pub n_worker: u32,
    /// The same for each replica.
    pub replica_statuses: Vec<ReplicaStatus>,
}

/// One replica of an [`Instance`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplicaStatus {
    /// 0, 1, 2...
    pub replica_id: u32,
    /// The uid with `-rep` and the number.
    pub replica_model_uid: String,
    /// Address of the server.
    pub worker_address: String,
    /// As the instance's.
    pub status: InstanceStatus,
    /// Empty until it is ready or failed, then `ready`, `error`, or `unloaded` while its weights are not in memory.
    pub model_state: String,
    /// Unix seconds of its launch.
    pub created_ts: u64,
    /// Why its launch failed.
    pub error_message: Option<String>,
    /// Always null.
    pub replica_uid: Option<String>,
    /// Always null.
    pub gpu_idx: Option<Vec<u32>>,
}

/// One of `GET /v1/models/{uid}/replicas`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Replica {
    /// 0, 1, 2...
    pub replica_id: u32,
    /// The uid with `-rep` and the number.
    pub replica_model_uid: String,
    /// Address of the server.
    pub worker_address: String,
    /// Address of the server.
    pub model_address: String,
    /// Devices it occupies; empty on a CPU.
    pub accelerators: Vec<String>,
    /// As the instance's.
    pub status: InstanceStatus,
    /// Unix seconds of its launch.
    pub created_ts: u64,
    /// Why its launch failed.
    pub error_message: Option<String>,
    /// Always null.
    pub replica_uid: Option<String>,
    /// Always null.
    pub gpu_idx: Option<Vec<u32>>,
}

/// What a launch is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Nothing yet.
    Pending,
    /// Fetching weights.
    Downloading,
    /// Reading them into memory; also once that is done.
    Loading,
}

/// Answer of `GET /v1/models/{uid}/progress`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LaunchProgress {
    /// 0 to 1.
    pub progress: f64,
    /// What is being done.
    pub stage: Stage,
    /// What is being fetched.
    pub download_files: Vec<DownloadFile>,
    /// The same for each replica.
    pub replicas: Vec<ReplicaProgress>,
}

/// A download under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DownloadFile {
    /// The model.
    pub name: String,
    /// Bytes that are on disk.
    pub downloaded: u64,
    /// Bytes of all, where known.
    pub total: Option<u64>,
}

/// One replica of a [`LaunchProgress`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplicaProgress {
    /// 0, 1, 2...
    pub replica_id: u32,
    /// The uid with `-rep` and the number.
    pub replica_model_uid: String,
    /// 0 to 1.
    pub progress: f64,
    /// What is being done.
    pub stage: Stage,
    /// The same in words.
    pub info: String,
    /// Unix seconds.
    pub updated_at: f64,
    /// What is being fetched.
    pub download_files: Vec<DownloadFile>,
    /// Always null: nothing is installed.
    pub dependency_install_completed: Option<u64>,
    /// Always null.
    pub dependency_install_total: Option<u64>,
    /// Always null.
    pub dependency_install_plan: Option<Vec<String>>,
    /// Always null.
    pub dependency_install_status: Option<String>,
}

/// Something that happened to a model, of `GET /v1/models/{uid}/events`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// `INFO` or `ERROR`.
    pub event_type: String,
    /// Unix seconds.
    pub event_ts: u64,
    /// What happened.
    pub event_content: String,
}
