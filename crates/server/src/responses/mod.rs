//! From results of the engine to response bodies.

pub(crate) mod model;
pub(crate) mod speech;
mod sse;
pub(crate) mod transcription;
pub(crate) mod transcription_sse;
