//! Parameters in the address, for Xinference's own routes.

use std::collections::HashMap;

use mynah_api::ValidationError;
use serde_json::Value;

use crate::error::ApiError;

/// The parameters of an address. Empty ones count as absent; the last counts where one came more than once.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(transparent)]
pub(crate) struct Parameters(HashMap<String, String>);

impl Parameters {
    /// A text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// A text that must be there.
    pub(crate) fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.text(name).ok_or_else(|| fault(name, "missing", "Field required", Value::Null))
    }

    /// A truth value in any spelling that FastAPI takes.
    pub(crate) fn boolean(&self, name: &str, default: bool) -> Result<bool, ApiError> {
        let Some(text) = self.0.get(name) else { return Ok(default) };
        match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "on" | "1" => Ok(true),
            "false" | "f" | "no" | "n" | "off" | "0" => Ok(false),
            _ => {
                let message = "Input should be a valid boolean, unable to interpret input";
                Err(fault(name, "bool_parsing", message, Value::String(text.clone())))
            }
        }
    }
}

fn fault(name: &str, kind: &str, message: &str, input: Value) -> ApiError {
    let loc = vec!["query".to_owned(), name.to_owned()];
    ApiError::unprocessable(vec![ValidationError {
        kind: kind.to_owned(),
        loc,
        msg: message.to_owned(),
        input,
    }])
}
