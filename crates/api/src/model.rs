//! Models as the server lists and describes them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One model: OpenAI's four keys, then Xinference's description.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Model {
    /// Name to be used as `model` in requests: the uid, or a name of the catalogue.
    pub id: String,
    /// Always `model`.
    pub object: String,
    /// Unix seconds; 0, since the catalogue carries no dates.
    pub created: u64,
    /// Who provides the model.
    pub owned_by: String,
    /// What it is.
    #[serde(flatten)]
    pub description: ModelDescription,
}

/// What Xinference's clients learn of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelDescription {
    /// Always `audio`.
    pub model_type: String,
    /// Address of the server.
    pub address: String,
    /// Devices it occupies; empty on a CPU.
    pub accelerators: Vec<String>,
    /// Catalogue name.
    pub model_name: String,
    /// Codes of its languages.
    pub model_lang: Vec<String>,
    /// Architecture, e.g. `whisper`.
    pub model_family: String,
    /// Revision of its weights at the hub.
    pub model_revision: Option<String>,
    /// What it does, e.g. `audio2text`.
    pub model_ability: Vec<String>,
    /// The engine that its launch asked for, or the one that runs it.
    pub model_engine: Option<String>,
    /// Precision of its weights, where its launch asked for one; else `none`.
    pub quantization: String,
    /// Machines it runs on: always 1. Not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_worker: Option<u32>,
    /// Copies that answer requests; they share weights.
    pub replica: u32,
    /// Whether it knows more languages than one.
    pub multilingual: bool,
    /// Whether its weights are on this machine already.
    pub on_disk: bool,
    /// Options of its launch that mean something to other servers only.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub launch_options: serde_json::Map<String, serde_json::Value>,
}

/// Answer of `GET /v1/models`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelList {
    /// Always `list`.
    pub object: String,
    /// The models.
    pub data: Vec<Model>,
}

/// A model on disk, of `GET /v1/models/audio/{name}/versions`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelVersion {
    /// The model's name.
    pub model_version: String,
    /// Where it is, by worker; null where it is not on disk.
    pub model_file_location: Option<std::collections::BTreeMap<String, String>>,
    /// Whether it is on disk.
    pub cache_status: bool,
    /// Always `audio`.
    pub model_type: String,
}
