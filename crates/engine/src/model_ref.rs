//! Reference to the model of a job.

use std::fmt;
use std::path::PathBuf;

use mynah_core::ComputeType;

/// A model that a job can use.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ModelRef {
    /// A catalogue model by its exact name; [`Engine::resolve`](crate::Engine::resolve) finds it.
    Named(String),
    /// A checkpoint on disk, in any format that is read.
    Path(PathBuf),
    /// A catalogue model that was launched with other weights or in another precision than the default.
    Variant(Variant),
}

/// See [`ModelRef::Variant`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Variant {
    /// Catalogue name.
    pub name: String,
    /// A checkpoint on disk instead of the model's own weights.
    pub path: Option<PathBuf>,
    /// Precision of the weights; `None`: the engine's.
    pub compute: Option<ComputeType>,
}

impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ModelRef::Named(name) | ModelRef::Variant(Variant { name, .. }) => f.write_str(name),
            ModelRef::Path(path) => f.write_str(&path.file_name().unwrap_or_default().to_string_lossy()),
        }
    }
}
