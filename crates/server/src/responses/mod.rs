//! From results of the engine to the bodies of answers.

pub(crate) mod model;
pub(crate) mod speech;
mod sse;
pub(crate) mod transcription;
pub(crate) mod transcription_sse;
