//! Information on models and voices, for lists.

use mynah_core::ModelTask;

use crate::catalogue::{Entry, Voice};
use crate::store::OnDisk;

/// A catalogue model and its state on this machine.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelStatus {
    /// The catalogue's entry.
    pub entry: Entry,
    /// Its weights, if they are on this disk.
    pub on_disk: Option<OnDisk>,
    /// Whether it is in memory.
    pub loaded: bool,
}

/// A voice of the catalogue and its state on this machine.
#[derive(Clone, Debug, PartialEq)]
pub struct VoiceStatus {
    /// Catalogue name of its model.
    pub model: String,
    /// The catalogue's entry.
    pub voice: Voice,
    /// Whether it can be used without a download.
    pub on_disk: bool,
}

/// Information on a checkpoint on disk.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckpointInfo {
    /// Name of its family.
    pub family: &'static str,
    /// Its task.
    pub task: ModelTask,
    /// Codes of the languages it supports; empty: known once it is loaded.
    pub languages: Vec<String>,
}
