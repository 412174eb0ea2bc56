//! Errors of loading and running a model.

/// Error of a model. Its text can be shown to the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The weights cannot be used: a file is missing, damaged, or belongs to another model.
    #[error("{0}")]
    Weights(String),
    /// The checkpoint or the request needs something that this program does not support.
    #[error("{0}")]
    Unsupported(String),
    /// The model cannot honour this option, whatever its value.
    #[error("{reason}")]
    UnsupportedOption {
        /// Name of the option's field.
        name: &'static str,
        /// What the model does not support, and what to do instead.
        reason: String,
    },
    /// An option has a value that this model does not accept.
    #[error("{reason}")]
    InvalidOption {
        /// Name of the option's field; `text` for the text to speak.
        name: &'static str,
        /// What is wrong with the value, and what to do.
        reason: String,
    },
    /// The input is invalid.
    #[error("{0}")]
    InvalidInput(String),
    /// The text to speak is in a script that the model cannot read.
    #[error("the text has {script} letters ({sample:?}), which this model cannot read")]
    Script {
        /// English name of the script, such as `Cyrillic`.
        script: &'static str,
        /// A word in it.
        sample: String,
    },
    /// A bug in this program.
    #[error("internal error: {0}")]
    Internal(String),
    /// The [`CancelFlag`](crate::CancelFlag) was set.
    #[error("cancelled")]
    Cancelled,
}
