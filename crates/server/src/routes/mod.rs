//! One file a family of routes.

mod deadline;
mod models;
mod speech;
mod status;
mod transcriptions;
mod voices;

pub(crate) use deadline::Deadline;
pub(crate) use models::{list_models, retrieve_model};
pub(crate) use speech::{TimedSpeech, speech};
pub(crate) use status::{auth_probe, health, no_such_method, no_such_path};
pub(crate) use transcriptions::{TimedJob, transcriptions, translations};
pub(crate) use voices::{list_speech_models, list_voices};
