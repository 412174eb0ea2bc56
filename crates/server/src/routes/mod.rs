//! One file a family of routes.

mod models;
mod status;
mod transcriptions;

pub(crate) use models::{list_models, retrieve_model};
pub(crate) use status::{auth_probe, health, no_such_method, no_such_path};
pub(crate) use transcriptions::{TimedJob, transcriptions, translations};
