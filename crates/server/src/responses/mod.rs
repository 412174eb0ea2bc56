//! From results of the engine to the bodies of answers.

pub(crate) mod model;
mod numbers;
pub(crate) mod speech;
pub(crate) mod speech_words;
mod sse;
pub(crate) mod transcription;
pub(crate) mod transcription_sse;
