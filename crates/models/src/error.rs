//! What can go wrong in loading and running a model.

use std::path::PathBuf;

/// Failure of a model; the text is fit for the person who asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the checkpoint cannot be read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The folder or file is no checkpoint that we know.
    #[error("{path} is not a Whisper checkpoint: {reason}")]
    NotACheckpoint {
        /// The file or folder that was looked at.
        path: PathBuf,
        /// What was looked for and not found.
        reason: String,
    },
    /// A checkpoint's file is damaged or contradicts itself.
    #[error("{path} is damaged: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the place.
        reason: String,
    },
    /// A tensor is missing, or has another shape or type than the configuration says.
    #[error("tensor {name}: {reason}")]
    Tensor {
        /// Canonical (Hugging Face) name of the tensor.
        name: String,
        /// Expected and found shape or type.
        reason: String,
    },
    /// The request asks for something this model cannot do, e.g. translation with an English-only model.
    #[error("{0}")]
    Unsupported(String),
    /// A request's value is outside what is allowed.
    #[error("{0}")]
    BadInput(String),
    /// Somebody raised the [`CancelFlag`](crate::CancelFlag).
    #[error("cancelled")]
    Cancelled,
}
