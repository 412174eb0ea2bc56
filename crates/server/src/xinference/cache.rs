//! `/v1/cache/models`: the models on disk.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use mynah_api::{CachedFiles, CachedModel, CachedModels, Done};
use mynah_engine::{Engine, Error, ModelStatus, Origin, Phase};

use crate::error::ApiError;
use crate::request::Parameters;
use crate::state::AppState;

/// `GET /v1/cache/models`: all of them, or the one called `model_name`.
pub(super) async fn list_cached(
    State(state): State<Arc<AppState>>,
    Query(query): Query<Parameters>,
) -> Result<Json<CachedModels>, ApiError> {
    let statuses = state.blocking("Cannot list the cache", Engine::models).await?;
    let wanted =
        |status: &&ModelStatus| query.text("model_name").is_none_or(|name| name == status.entry.name);
    let address = state.config.address.to_string();
    let cached = |status: &ModelStatus| {
        let found = status.on_disk.as_ref()?;
        let real_path = found.path.canonicalize().unwrap_or_else(|_| found.path.clone());
        Some(CachedModel {
            model_name: status.entry.name.clone(),
            model_type: "audio".to_owned(),
            model_engine: vec!["mynah".to_owned()],
            model_size_in_billions: None,
            model_format: None,
            quantization: None,
            model_version: status.entry.name.clone(),
            path: found.path.display().to_string(),
            real_path: real_path.display().to_string(),
            actor_ip_address: address.clone(),
            size_bytes: found.bytes,
        })
    };
    Ok(Json(CachedModels { list: statuses.iter().filter(wanted).filter_map(cached).collect() }))
}

/// `GET /v1/cache/models/files`: what removing `model_version` deletes.
pub(super) async fn list_cached_files(
    State(state): State<Arc<AppState>>,
    Query(query): Query<Parameters>,
) -> Result<Json<CachedFiles>, ApiError> {
    let name = query.required("model_version")?.to_owned();
    let statuses = state.blocking("Cannot list the cache", Engine::models).await?;
    let found = statuses.into_iter().find(|status| status.entry.name == name);
    // Caches of other programs are not changed.
    let ours = found.and_then(|status| status.on_disk).filter(|found| found.origin == Origin::Store);
    Ok(Json(CachedFiles {
        model_version: name,
        worker_ip: query.text("worker_ip").map(str::to_owned),
        paths: ours.into_iter().map(|found| found.path.display().to_string()).collect(),
    }))
}

/// `DELETE /v1/cache/models`: deletes `model_version` from the disk. No error if it is missing.
pub(super) async fn remove_cached(
    State(state): State<Arc<AppState>>,
    Query(query): Query<Parameters>,
) -> Result<Json<Done>, ApiError> {
    let name = query.required("model_version")?.to_owned();
    let removed = state.blocking("Cannot delete the model", move |engine| {
        let uses = |uid: &&mynah_engine::Running| {
            uid.request.model_name == name
                && uid.request.path.is_none()
                && !matches!(uid.phase, Phase::Failed(_))
        };
        if let Some(user) = engine.running().iter().find(uses) {
            let message = format!("{name} runs under the uid {}; terminate it first.", user.uid);
            return Err(ApiError::new(StatusCode::BAD_REQUEST, message).param("model_version"));
        }
        match engine.remove(&name) {
            Ok(_) | Err(Error::UnknownModel { .. } | Error::NotOnDisk(_)) => Ok(()),
            Err(error @ Error::NotOurs { .. }) => {
                Err(ApiError::new(StatusCode::BAD_REQUEST, format!("{error}.")).param("model_version"))
            }
            Err(error) => Err(error.into()),
        }
    });
    removed.await??;
    Ok(Json(Done { result: true }))
}
