//! Which of the two APIs a client uses, for paths that both have with different meanings.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;

/// The API that a client expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// OpenAI's: the list of models includes all that can be requested, and an unknown model is 404.
    OpenAi,
    /// Xinference's: the list has the running models, and an unknown model is 400.
    Xinference,
}

impl Dialect {
    /// Status of the response for an unknown model.
    pub(crate) fn no_such_model(self) -> StatusCode {
        match self {
            Dialect::OpenAi => StatusCode::NOT_FOUND,
            Dialect::Xinference => StatusCode::BAD_REQUEST,
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Dialect {
    type Rejection = Infallible;

    /// OpenAI's clients send their programming language in a header that no other client has.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let known = parts.headers.contains_key("x-stainless-lang");
        Ok(if known { Dialect::OpenAi } else { Dialect::Xinference })
    }
}
