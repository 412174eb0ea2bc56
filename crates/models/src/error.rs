//! What can go wrong in loading and running a model.

use std::path::PathBuf;

/// Failure of a model; the text is fit for the person who asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A checkpoint or a file beside it cannot be read, is damaged, or lacks what the model needs.
    #[error(transparent)]
    Weights(mynah_weights::Error),
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

impl From<mynah_weights::Error> for Error {
    fn from(error: mynah_weights::Error) -> Self {
        match error {
            // Sound files that are not supported are as requests that are not.
            mynah_weights::Error::Unsupported(reason) => Self::Unsupported(reason),
            error => Self::Weights(error),
        }
    }
}

impl Error {
    /// A file that cannot be read.
    pub(crate) fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Weights(mynah_weights::Error::Io { path: path.into(), source })
    }

    /// A folder or file that is no checkpoint of the model.
    pub(crate) fn not_a_checkpoint(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::Weights(mynah_weights::Error::NotACheckpoint { path: path.into(), reason: reason.into() })
    }

    /// A file that is damaged or contradicts itself.
    pub(crate) fn malformed(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::Weights(mynah_weights::Error::Malformed { path: path.into(), reason: reason.into() })
    }

    /// A tensor that is missing, or has another shape or type than the configuration says.
    pub(crate) fn tensor(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Weights(mynah_weights::Error::Tensor { name: name.into(), reason: reason.into() })
    }
}
