//! Routes that only Xinference's clients use.

mod cache;
mod catalogue;
mod cluster;
mod instances;
mod keys;
mod launch;
mod launch_request;
mod login;
mod model_subroutes;
mod model_views;
mod registrations;

pub(crate) use cache::{list_cached, list_cached_files, remove_cached};
pub(crate) use catalogue::{engines, engines_of_language_model, families, prompts, vllm_supported};
pub(crate) use cluster::{
    auth_probe, cluster_devices, cluster_info, cluster_version, request_progress, status, stop, supervisor,
    supervisor_address, ui_config, workers,
};
pub(crate) use instances::list_instances;
pub(crate) use keys::{list_keys, make_key, revoke_key};
pub(crate) use launch::{launch_by_version, launch_model};
pub(crate) use login::{log_in, log_out, refresh};
pub(crate) use model_subroutes::below_models;
pub(crate) use registrations::{list_registrations, register_model, retrieve_registration, unregister_model};
