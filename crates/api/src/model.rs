//! Models as the server lists them.

use serde::{Deserialize, Serialize};

/// One model: OpenAI's four keys, then those by which Xinference's clients tell what a model can do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Name to be used as `model` in requests.
    pub id: String,
    /// Always `model`.
    pub object: String,
    /// Unix seconds; 0, since the catalogue carries no dates.
    pub created: u64,
    /// Who provides the model.
    pub owned_by: String,
    /// Always `audio`.
    pub model_type: String,
    /// Catalogue name.
    pub model_name: String,
    /// Architecture, e.g. `whisper`.
    pub model_family: String,
    /// What it does, e.g. `audio2text`.
    pub model_ability: Vec<String>,
    /// Codes of its languages.
    pub model_lang: Vec<String>,
    /// Whether it knows more languages than one.
    pub multilingual: bool,
    /// Devices it occupies; empty on a CPU.
    pub accelerators: Vec<String>,
    /// Copies that answer requests.
    pub replica: u32,
    /// Whether its weights are on this machine already.
    pub on_disk: bool,
}

/// Answer of `GET /v1/models`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelList {
    /// Always `list`.
    pub object: String,
    /// The models.
    pub data: Vec<Model>,
}
