//! One file a family of routes.

mod deadline;
mod keys;
mod models;
mod speech;
mod status;
mod token;
mod transcriptions;
mod voices;

pub(crate) use deadline::Deadline;
pub(crate) use keys::{list_keys, make_key, revoke_key};
pub(crate) use models::{list_models, retrieve_model};
pub(crate) use speech::{TimedSpeech, speech};
pub(crate) use status::{auth_probe, health, no_such_method, no_such_path, ready};
pub(crate) use token::{log_in, log_out, refresh};
pub(crate) use transcriptions::{TimedJob, transcriptions, translations};
pub(crate) use voices::{list_speech_models, list_voices};
