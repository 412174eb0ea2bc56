//! The error of all routes, with a body for the clients of both APIs.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use mynah_api::{Detail, ErrorBody, ErrorObject, ValidationError};

use crate::auth::Scope;

/// Header that says to OpenAI's clients whether to retry.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// An error response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    message: String,
    param: Option<&'static str>,
    code: Option<&'static str>,
    retry_after: Option<Duration>,
    challenge: Option<Scope>,
    validation_errors: Vec<ValidationError>,
}

impl ApiError {
    /// `message` with `status`; the body's `type` follows from the status.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            param: None,
            code: None,
            retry_after: None,
            challenge: None,
            validation_errors: Vec::new(),
        }
    }

    /// A value of `param` that is not allowed: 400.
    pub fn invalid(param: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message).param(param).code("invalid_value")
    }

    /// A value of `param` that OpenAI's API has and this server does not support: 400.
    pub fn unsupported(param: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message).param(param).code("unsupported_value")
    }

    /// `param` is missing: 400.
    pub fn missing(param: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message).param(param).code("missing_required_parameter")
    }

    /// Invalid parameters of one of Xinference's own routes: 422 with the list that its clients expect.
    pub(crate) fn unprocessable(validation_errors: Vec<ValidationError>) -> Self {
        let lines: Vec<String> =
            validation_errors.iter().map(|error| format!("{}: {}", error.loc.join("."), error.msg)).collect();
        let error = Self::new(StatusCode::UNPROCESSABLE_ENTITY, lines.join("; ")).code("invalid_value");
        Self { validation_errors, ..error }
    }

    /// An internal error: 500. The cause is logged and not sent.
    pub(crate) fn internal(cause: &dyn std::fmt::Display, public: &str) -> Self {
        tracing::error!(%cause, "{public}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, format!("{public}; the server's log has the reason."))
    }

    fn undecodable(error: &mynah_audio::DecodeError) -> Self {
        use mynah_audio::{DecodeError as D, Limit};

        match error {
            D::TooLarge { limit } => {
                let (what, setting) = match limit {
                    Limit::Duration(_) => ("longer", "max_audio_s (mynah serve --max-audio-s)"),
                    Limit::Bytes(_) => ("larger", "max_upload_bytes (mynah serve --max-upload-bytes)"),
                    Limit::Channels(_) => ("wider", "max_channels"),
                };
                let message = format!("The audio is {what} than {limit} (limit: {setting}).");
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, message).param("file")
            }
            D::Io(_) => Self::internal(error, "Cannot read the upload"),
            _ => Self::new(StatusCode::BAD_REQUEST, format!("Cannot decode the audio: {error}."))
                .param("file")
                .code(if matches!(error, D::Unsupported { .. }) {
                    "unsupported_format"
                } else {
                    "invalid_value"
                }),
        }
    }

    /// Sets the status.
    pub(crate) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Sets the invalid request parameter.
    pub fn param(mut self, param: &'static str) -> Self {
        self.param = Some(param);
        self
    }

    /// Sets the machine-readable code.
    pub fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// Sets when to retry.
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Sets the missing scope, for the header `WWW-Authenticate`.
    pub(crate) fn challenge(mut self, scope: Scope) -> Self {
        self.challenge = Some(scope);
        self
    }

    /// The message, without status.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The body alone, for a stream whose status was already sent.
    pub fn body(&self) -> ErrorBody {
        let kind = match self.status {
            StatusCode::FORBIDDEN => "permission_error",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            StatusCode::SERVICE_UNAVAILABLE => "service_unavailable_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        };
        let mut body = ErrorBody::new(ErrorObject {
            message: self.message.clone(),
            kind: kind.to_owned(),
            param: self.param.map(str::to_owned),
            code: self.code.map(str::to_owned),
        });
        if !self.validation_errors.is_empty() {
            body.detail = Detail::Validation(self.validation_errors.clone());
        }
        body
    }
}

impl From<mynah_engine::Error> for ApiError {
    /// The message for the client; internal causes go to the log instead.
    fn from(error: mynah_engine::Error) -> Self {
        use mynah_core::ModelError as M;
        use mynah_engine::Error as E;

        const RETRY: Duration = Duration::from_secs(60);
        match &error {
            E::UnknownModel { name, near } => {
                let name: String = name.chars().take(100).flat_map(char::escape_debug).collect();
                let near = if near.is_empty() {
                    String::new()
                } else {
                    format!(" Did you mean {}?", near.join(" or "))
                };
                let message = format!(
                    "Model not found in the model list, uid: {name}.{near} GET /v1/models?all=true lists all models."
                );
                Self::new(StatusCode::NOT_FOUND, message).param("model").code("model_not_found")
            }
            E::NotRunning(_) => {
                let message = format!("{error}. GET /v1/models lists all running models.");
                Self::new(StatusCode::NOT_FOUND, message).param("model").code("model_not_found")
            }
            E::UidTaken(_) => Self::invalid("model_uid", error.to_string()),
            E::Launch(message) => Self::new(StatusCode::BAD_REQUEST, message.clone()).code("invalid_value"),
            E::Registration(_) => Self::invalid("model", error.to_string()),
            E::Loading { retry_after_s, .. } => Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
                .param("model")
                .code("model_loading")
                .retry_after(Duration::from_secs(*retry_after_s)),
            E::InstanceLimit { .. } => Self::new(StatusCode::TOO_MANY_REQUESTS, error.to_string())
                .param("model")
                .code("rate_limit_exceeded")
                .retry_after(Duration::from_secs(1)),
            E::ModelMemoryBudget { .. } | E::SystemMemory { .. } | E::Damaged { .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, format!("{error}."))
                    .param("model")
                    .code("model_unavailable")
                    .retry_after(RETRY)
            }
            E::RequestMemoryLimit { needed_bytes, limit_bytes, .. } => {
                let status = match needed_bytes > limit_bytes {
                    true => StatusCode::PAYLOAD_TOO_LARGE,
                    false => StatusCode::SERVICE_UNAVAILABLE,
                };
                let error = Self::new(status, format!("No memory: {error}.")).code("out_of_memory");
                if status == StatusCode::PAYLOAD_TOO_LARGE { error } else { error.retry_after(RETRY) }
            }
            E::QueueFull { retry_after_s } => Self::new(StatusCode::TOO_MANY_REQUESTS, error.to_string())
                .code("rate_limit_exceeded")
                .retry_after(Duration::from_secs(*retry_after_s)),
            E::QueueTimeExceeded { retry_after_s, .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
                    .code("overloaded")
                    .retry_after(Duration::from_secs(*retry_after_s))
            }
            E::Offline(_) | E::NoNetwork { .. } | E::Download { .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
                    .param("model")
                    .code("model_unavailable")
                    .retry_after(RETRY)
            }
            E::Cancelled => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "The server is stopping.").retry_after(RETRY)
            }
            E::Model(model_error) => match model_error {
                M::Unsupported(message) => {
                    Self::new(StatusCode::BAD_REQUEST, message.clone()).code("unsupported_value")
                }
                M::UnsupportedOption { name, reason } => {
                    Self::unsupported(parameter(name), format!("{reason}."))
                }
                M::InvalidOption { name, reason } => Self::invalid(parameter(name), format!("{reason}.")),
                M::InvalidInput(message) => {
                    Self::new(StatusCode::BAD_REQUEST, message.clone()).code("invalid_value")
                }
                M::Script { .. } => Self::unsupported("input", format!("{error}.")),
                M::Weights(_) => Self::internal(&error, "Cannot use the weights of the model"),
                M::Internal(_) | M::Cancelled => Self::internal(&error, "The server failed"),
            },
            E::UnknownVoice { .. } => Self::invalid("voice", format!("{error}.")),
            E::WrongTask { .. } => Self::unsupported("model", format!("{error}.")),
            E::Script { .. } => Self::unsupported("input", format!("{error}.")),
            E::Encode(mynah_audio::EncodeError::UnsupportedRate { .. }) => {
                Self::invalid("sample_rate", format!("{error}."))
            }
            E::Encode(_) => Self::internal(&error, "Cannot encode the speech"),
            E::Audio(audio) => Self::undecodable(audio),
            E::NoSpace { .. } => {
                Self::internal(&error, "The server's disk is full").status(StatusCode::INSUFFICIENT_STORAGE)
            }
            E::NotOnDisk(_) | E::NotOurs { .. } | E::Io { .. } | E::Settings(_) | E::Internal(_) => {
                Self::internal(&error, "The server failed")
            }
        }
    }
}

/// The request parameter of an option.
fn parameter(option: &'static str) -> &'static str {
    match option {
        "text" => "input",
        "word_timestamps" => "timestamp_granularities",
        "logprobs" => "include",
        option => option,
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        let headers = response.headers_mut();
        if let Some(after) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        } else if self.status.is_server_error() || self.status == StatusCode::REQUEST_TIMEOUT {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        // RFC 6750, section 3.
        let challenge = match self.challenge {
            Some(scope) => HeaderValue::try_from(format!("Bearer scope=\"{}\"", scope.scope())).ok(),
            None if self.status == StatusCode::UNAUTHORIZED => Some(HeaderValue::from_static("Bearer")),
            None => None,
        };
        if let Some(challenge) = challenge {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
