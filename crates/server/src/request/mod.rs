//! Parsing of requests to validated parameters and audio.

mod body;
mod dialect;
mod fields;
mod json;
mod multipart;
mod query;
mod speech;
mod transcription;
mod upload;

pub(crate) use body::{read, read_object, read_speech};
pub(crate) use dialect::Dialect;
pub(crate) use query::Parameters;
pub(crate) use speech::SpeechParams;
pub(crate) use transcription::{ResponseOptions, TranscriptionParams};
