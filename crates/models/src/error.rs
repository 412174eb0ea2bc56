//! Errors of loading a model, with the texts of the `mynah_weights` errors.

use std::io;
use std::path::PathBuf;

use mynah_core::ModelError;
use mynah_weights::Error;

/// A file cannot be read.
pub(crate) fn io(path: impl Into<PathBuf>, source: io::Error) -> ModelError {
    Error::Io { path: path.into(), source }.into()
}

/// A folder or file is not a checkpoint of the model.
pub(crate) fn not_a_checkpoint(path: impl Into<PathBuf>, reason: impl Into<String>) -> ModelError {
    Error::NotACheckpoint { path: path.into(), reason: reason.into() }.into()
}

/// A file is damaged or contradicts itself.
pub(crate) fn malformed(path: impl Into<PathBuf>, reason: impl Into<String>) -> ModelError {
    Error::Malformed { path: path.into(), reason: reason.into() }.into()
}

/// A tensor is missing, or has another shape or type than the configuration says.
pub(crate) fn tensor(name: impl Into<String>, reason: impl Into<String>) -> ModelError {
    Error::Tensor { name: name.into(), reason: reason.into() }.into()
}
