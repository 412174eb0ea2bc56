//! What can go wrong in reading weights.

use std::path::PathBuf;

/// Failure to read weights; the text is fit for the person who named the file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The folder or file is in no format that is read.
    #[error("{path} is not a checkpoint: {reason}")]
    NotACheckpoint {
        /// The file or folder that was looked at.
        path: PathBuf,
        /// What was looked for and not found.
        reason: String,
    },
    /// A file is damaged or contradicts itself.
    #[error("{path} is damaged: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the place.
        reason: String,
    },
    /// A tensor is missing, or has another shape or type than is needed.
    #[error("tensor {name}: {reason}")]
    Tensor {
        /// Name of the tensor.
        name: String,
        /// Expected and found shape or type.
        reason: String,
    },
    /// A file is sound but uses a part of its format that is not read.
    #[error("{0}")]
    Unsupported(String),
}
