//! Jobs: one request for a transcript or for speech each, on a thread of its own.

pub(crate) mod audio;
pub(crate) mod encoding_sink;
pub(crate) mod request_memory;
pub(crate) mod speak;
pub(crate) mod speech;
pub(crate) mod speech_cache;
pub(crate) mod transcription;
