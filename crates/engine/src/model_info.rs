//! What is known of models and voices, for lists.

use mynah_core::ModelTask;

use crate::catalogue::{Entry, Voice};
use crate::store::OnDisk;

/// A model of the catalogue and what is here of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelStatus {
    /// The catalogue's entry.
    pub entry: Entry,
    /// Where its weights are, if they are here.
    pub on_disk: Option<OnDisk>,
    /// Whether it is in memory.
    pub loaded: bool,
}

/// A voice of the catalogue and whether it is here.
#[derive(Clone, Debug, PartialEq)]
pub struct VoiceStatus {
    /// Catalogue name of its model.
    pub model: String,
    /// The catalogue's entry.
    pub voice: Voice,
    /// Whether it speaks without anything being fetched.
    pub on_disk: bool,
}

/// What a checkpoint on disk is.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckpointInfo {
    /// Name of its family.
    pub family: &'static str,
    /// What it does.
    pub task: ModelTask,
    /// Codes of the languages it knows; empty: that shows when it is loaded.
    pub languages: Vec<String>,
}
