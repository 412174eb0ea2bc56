//! Routes that only Xinference's clients use, in its format. One file per family.

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

use std::sync::Arc;

use axum::Router;
use axum::routing::{any, delete, get, post};

use crate::state::AppState;

/// All routes.
pub(crate) fn router() -> Router<Arc<AppState>> {
    Router::new()
        .route("/status", get(cluster::status))
        .route("/token", post(login::log_in))
        .route("/v1/address", get(cluster::supervisor_address))
        .route("/v1/admin/keys", get(keys::list_keys).post(keys::make_key))
        .route("/v1/admin/keys/{id}", delete(keys::revoke_key))
        .route("/v1/auth/logout", post(login::log_out))
        .route("/v1/auth/refresh", post(login::refresh))
        .route("/v1/cache/models", get(cache::list_cached).delete(cache::remove_cached))
        .route("/v1/cache/models/files", get(cache::list_cached_files))
        .route("/v1/cluster/auth", get(cluster::auth_probe))
        .route("/v1/cluster/devices", get(cluster::cluster_devices))
        .route("/v1/cluster/info", get(cluster::cluster_info))
        .route("/v1/cluster/ui_config", get(cluster::ui_config))
        .route("/v1/cluster/version", get(cluster::cluster_version))
        .route("/v1/clusters", delete(cluster::stop))
        .route("/v1/engines/{name}", get(catalogue::engines_of_language_model))
        .route("/v1/engines/{type}/{*name}", get(catalogue::engines))
        .route(
            "/v1/model_registrations/{type}",
            get(registrations::list_registrations).post(registrations::register_model),
        )
        .route(
            "/v1/model_registrations/{type}/{*name}",
            get(registrations::retrieve_registration).delete(registrations::unregister_model),
        )
        .route("/v1/models", post(launch::launch_model))
        .route("/v1/models/families", get(catalogue::families))
        .route("/v1/models/instance", post(launch::launch_by_version))
        .route("/v1/models/instances", get(instances::list_instances))
        .route("/v1/models/prompts", get(catalogue::prompts))
        .route("/v1/models/vllm-supported", get(catalogue::vllm_supported))
        .route("/v1/models/{*path}", any(model_subroutes::below_models))
        .route("/v1/requests/{id}/progress", get(cluster::request_progress))
        .route("/v1/supervisor", get(cluster::supervisor))
        .route("/v1/workers", get(cluster::workers))
}
