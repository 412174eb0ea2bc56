//! From results of the engine to the bodies of answers.

pub(crate) mod speech;
pub(crate) mod transcription;
pub(crate) mod transcription_sse;
