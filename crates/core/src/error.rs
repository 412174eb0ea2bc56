//! What can go wrong in loading and running a model.

/// Failure of a model; the text is fit for the person who asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The weights cannot be used: a file is missing, damaged, or of another model.
    #[error("{0}")]
    Weights(String),
    /// The checkpoint, or the request, needs something that this program does not do.
    #[error("{0}")]
    Unsupported(String),
    /// The model cannot honour this option, whatever its value.
    #[error("{reason}")]
    UnsupportedOption {
        /// Name of the option's field.
        name: &'static str,
        /// What the model cannot do, and what to do instead.
        reason: String,
    },
    /// An option has a value that this model does not take.
    #[error("{reason}")]
    InvalidOption {
        /// Name of the option's field; `text` for the text to speak.
        name: &'static str,
        /// What is wrong with the value and what to do.
        reason: String,
    },
    /// The input is outside what is allowed.
    #[error("{0}")]
    InvalidInput(String),
    /// The text to speak is in letters that the model cannot read.
    #[error("the text has {script} letters ({sample:?}), which this model cannot read")]
    Script {
        /// English name of the script, such as `Cyrillic`.
        script: &'static str,
        /// A word of it.
        sample: String,
    },
    /// A defect of ours.
    #[error("internal error: {0}")]
    Internal(String),
    /// The [`CancelFlag`](crate::CancelFlag) was set.
    #[error("cancelled")]
    Cancelled,
}
