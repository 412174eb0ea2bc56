//! Transcripts as responses.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use mynah_core::Transcript;
use mynah_format::{RenderOptions, content_type};

use crate::request::ResponseOptions;

/// The complete response. `open_language`: the request did not set the language.
pub(crate) fn render(transcript: &Transcript, options: &ResponseOptions, open_language: bool) -> Response {
    let ResponseOptions { format, segments, words, logprobs, .. } = *options;
    let options = RenderOptions { format, segments, words, logprobs, open_language };
    let body = mynah_format::render(transcript, &options);
    ([(header::CONTENT_TYPE, content_type(format))], body).into_response()
}
