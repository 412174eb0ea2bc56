//! The body of every answer that is not a success.

use serde::{Deserialize, Serialize};

/// OpenAI's `error` object and Xinference's `detail` side by side, so that both families of clients find their text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// Read by OpenAI's clients.
    pub error: ErrorObject,
    /// The same message, read by Xinference's clients.
    pub detail: String,
}

/// OpenAI's description of a failure; all four keys are always written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorObject {
    /// What went wrong and what to do about it.
    pub message: String,
    /// Family of the failure, e.g. `invalid_request_error`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Request parameter at fault.
    pub param: Option<String>,
    /// Code for programs, e.g. `model_not_found`.
    pub code: Option<String>,
}

impl ErrorBody {
    /// A body whose `detail` repeats the message of `error`.
    pub fn new(error: ErrorObject) -> Self {
        Self { detail: error.message.clone(), error }
    }
}
