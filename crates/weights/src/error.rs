//! Errors of reading weights.

use std::path::PathBuf;

use mynah_core::ModelError;

/// Error of reading weights. Its text can be shown to the client.
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
    /// The folder or file has no supported format.
    #[error("{path} is not a checkpoint: {reason}")]
    NotACheckpoint {
        /// The file or folder.
        path: PathBuf,
        /// What was expected and not found.
        reason: String,
    },
    /// A file is damaged or contradicts itself.
    #[error("{path} is damaged: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// A tensor is missing or has the wrong shape or type.
    #[error("tensor {name}: {reason}")]
    Tensor {
        /// Name of the tensor.
        name: String,
        /// Expected and found shape or type.
        reason: String,
    },
    /// A valid file uses an unsupported part of its format.
    #[error("{0}")]
    Unsupported(String),
}

impl From<Error> for ModelError {
    fn from(error: Error) -> Self {
        match error {
            // Valid but unsupported files are treated like unsupported requests.
            Error::Unsupported(reason) => Self::Unsupported(reason),
            error => Self::Weights(error.to_string()),
        }
    }
}
