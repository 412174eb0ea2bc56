//! One file a family of routes.

mod cache;
mod catalogue;
mod cluster;
mod embeddings;
mod instances;
mod keys;
mod metrics;
mod model_path;
mod models;
mod registrations;
mod speech;
mod status;
mod token;
mod transcriptions;
mod view;
mod voices;

pub(crate) use cache::{list_cached, list_cached_files, remove_cached};
pub(crate) use catalogue::{engines, engines_of_language_model, families, prompts, vllm_supported};
pub(crate) use cluster::{
    auth_probe, cluster_devices, cluster_info, cluster_version, request_progress, status, stop, supervisor,
    supervisor_address, ui_config, workers,
};
pub(crate) use embeddings::embeddings;
pub(crate) use instances::{launch_by_version, list_instances};
pub(crate) use keys::{list_keys, make_key, revoke_key};
pub(crate) use metrics::metrics;
pub(crate) use model_path::below_models;
pub(crate) use models::{launch_model, list_models};
pub(crate) use registrations::{list_registrations, register_model, retrieve_registration, unregister_model};
pub(crate) use speech::{TimedSpeech, speech};
pub(crate) use status::{health, no_such_method, no_such_path, ready};
pub(crate) use token::{log_in, log_out, refresh};
pub(crate) use transcriptions::{TimedJob, transcriptions, translations};
pub(crate) use voices::{list_speech_models, list_voices};
