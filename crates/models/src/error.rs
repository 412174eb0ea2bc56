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
    #[error("{path} is not a checkpoint: {reason}")]
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
    /// One named option of a request has a value that this model does not take.
    #[error("{reason}")]
    Option {
        /// Name of the option, as the field of the options' type is called; `text` for the text to speak.
        name: &'static str,
        /// What is wrong with the value and what to do.
        reason: String,
    },
    /// The text to speak is in letters that the model cannot read.
    #[error("the text has {script} letters ({sample:?}), which this model cannot read")]
    Script {
        /// English name of the script, such as `Cyrillic`.
        script: &'static str,
        /// A word of it.
        sample: String,
    },
    /// Somebody raised the [`CancelFlag`](crate::CancelFlag).
    #[error("cancelled")]
    Cancelled,
}
