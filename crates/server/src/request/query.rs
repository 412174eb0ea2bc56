//! Query parameters, for Xinference's own routes.

use std::collections::HashMap;

use mynah_api::ValidationError;
use serde_json::Value;

use crate::error::ApiError;

/// The query parameters. Empty ones count as absent; the last one counts if one is repeated.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(transparent)]
pub(crate) struct Parameters(HashMap<String, String>);

impl Parameters {
    /// A string.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// A required string.
    pub(crate) fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.text(name).ok_or_else(|| invalid(name, "missing", "Field required", Value::Null))
    }

    /// A boolean in any spelling that FastAPI accepts.
    pub(crate) fn boolean(&self, name: &str, default: bool) -> Result<bool, ApiError> {
        let Some(text) = self.0.get(name) else { return Ok(default) };
        match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "on" | "1" => Ok(true),
            "false" | "f" | "no" | "n" | "off" | "0" => Ok(false),
            _ => {
                let message = "Input should be a valid boolean, unable to interpret input";
                Err(invalid(name, "bool_parsing", message, Value::String(text.clone())))
            }
        }
    }
}

fn invalid(name: &str, kind: &str, message: &str, input: Value) -> ApiError {
    let loc = vec!["query".to_owned(), name.to_owned()];
    ApiError::unprocessable(vec![ValidationError {
        kind: kind.to_owned(),
        loc,
        msg: message.to_owned(),
        input,
    }])
}
