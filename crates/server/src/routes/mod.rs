//! One file a family of routes.

mod embeddings;
mod metrics;
pub(crate) mod models;
mod speech;
mod status;
mod transcriptions;
mod voices;

pub(crate) use embeddings::embeddings;
pub(crate) use metrics::metrics;
pub(crate) use models::list_models;
pub(crate) use speech::speech;
pub(crate) use status::{health, no_such_method, no_such_path, ready};
pub(crate) use transcriptions::{transcriptions, translations};
pub(crate) use voices::{list_speech_models, list_voices};
