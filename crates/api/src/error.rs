//! The body of every answer that is not a success.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// OpenAI's `error` object and Xinference's `detail` side by side, so that both families of clients find their text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// Read by OpenAI's clients.
    pub error: ErrorObject,
    /// The same message, or the list of faults that FastAPI makes; read by Xinference's clients.
    pub detail: Detail,
}

/// What went wrong, for Xinference's clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Detail {
    /// A message.
    Text(String),
    /// Parameters that are not as they must be, with status 422.
    Validation(Vec<ValidationError>),
}

/// A parameter that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ValidationError {
    /// Kind of the fault, e.g. `missing` or `bool_parsing`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it is: `query` or `body`, then the parameter's name.
    pub loc: Vec<String>,
    /// What is wrong.
    pub msg: String,
    /// What came.
    pub input: serde_json::Value,
}

/// OpenAI's description of a failure; all four keys are always written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
        Self { detail: Detail::Text(error.message.clone()), error }
    }
}
