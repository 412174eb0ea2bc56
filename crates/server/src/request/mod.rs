//! From the bytes of a request to checked parameters and audio.

mod body;
mod fields;
mod json;
mod launch;
mod multipart;
mod query;
mod speech;
mod transcription;
mod upload;

pub(crate) use body::{read, read_object, read_speech};
pub(crate) use launch::read as read_launch;
pub(crate) use query::Parameters;
pub(crate) use speech::SpeechParams;
pub(crate) use transcription::{ResponseOptions, TranscriptionParams};
