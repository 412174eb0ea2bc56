//! `/v1/model_registrations`: the catalogue, and registration of models.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use mynah_api::{ModelSpec, RegistrationDetail, RegistrationName, ValidationError, VirtualEnvironment};
use mynah_core::ModelTask;
use mynah_engine::{Entry, ModelStatus, Registration, Source};
use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::request::{Parameters, read_object};
use crate::responses::model::revision;
use crate::state::AppState;

/// `GET /v1/model_registrations/{type}`: names, or all details with `detailed=true`.
pub(super) async fn list_registrations(
    State(state): State<Arc<AppState>>,
    Path(kind): Path<String>,
    Query(query): Query<Parameters>,
) -> Result<Json<Value>, ApiError> {
    let detailed = query.boolean("detailed", false)?;
    require_audio(&kind)?;
    let (mut statuses, registered) = catalogue(&state).await?;
    statuses.sort_by_key(|status| status.entry.name.to_lowercase());
    let list: Vec<Value> = statuses
        .iter()
        .map(|status| {
            let registration = registered.iter().find(|r| r.entry.name == status.entry.name);
            if detailed {
                let mut detail = detail(&status.entry, registration);
                detail.model_specs = Some(specs(status));
                detail.download_hubs = Some(hubs(&status.entry));
                serde_json::to_value(detail)
            } else {
                let model_name = status.entry.name.clone();
                serde_json::to_value(RegistrationName { model_name, is_builtin: registration.is_none() })
            }
        })
        .collect::<Result<_, _>>()
        .map_err(|error| ApiError::internal(&error, "Cannot list the registrations"))?;
    Ok(Json(Value::Array(list)))
}

/// `GET /v1/model_registrations/{type}/{name}`.
pub(super) async fn retrieve_registration(
    State(state): State<Arc<AppState>>,
    Path((kind, name)): Path<(String, String)>,
) -> Result<Json<RegistrationDetail>, ApiError> {
    let (statuses, registered) = catalogue(&state).await?;
    let status = statuses.iter().find(|status| kind == "audio" && status.entry.name == name);
    let status = status.ok_or_else(|| {
        let message = format!("Model {name:.100} not found");
        ApiError::new(StatusCode::BAD_REQUEST, message).code("model_not_found")
    })?;
    Ok(Json(detail(&status.entry, registered.iter().find(|r| r.entry.name == name))))
}

/// `POST /v1/model_registrations/{type}`.
pub(super) async fn register_model(
    State(state): State<Arc<AppState>>,
    Path(kind): Path<String>,
    request: Request,
) -> Result<Json<()>, ApiError> {
    require_audio(&kind)?;
    let body = read_object(request, &state).await?;
    let definition = match body.get("model") {
        Some(Value::String(text)) => text.clone(),
        // Some clients send the definition itself.
        Some(object @ Value::Object(_)) => object.to_string(),
        _ => return Err(ApiError::unprocessable(vec![missing("model")])),
    };
    let persist = match body.get("persist") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(persist)) => *persist,
        Some(other) => return Err(ApiError::unprocessable(vec![not_boolean("persist", other)])),
    };
    state
        .blocking("Cannot register the model", move |engine| engine.register(&definition, persist))
        .await??;
    Ok(Json(()))
}

/// `DELETE /v1/model_registrations/{type}/{name}`. No error for names that are not registered.
pub(super) async fn unregister_model(
    State(state): State<Arc<AppState>>,
    Path((kind, name)): Path<(String, String)>,
) -> Result<Json<()>, ApiError> {
    require_audio(&kind)?;
    state.blocking("Cannot unregister the model", move |engine| engine.unregister(&name)).await??;
    Ok(Json(()))
}

fn require_audio(kind: &str) -> Result<(), ApiError> {
    if kind == "audio" {
        return Ok(());
    }
    Err(ApiError::new(StatusCode::BAD_REQUEST, format!("Unsupported model type: {kind:.100}")))
}

fn missing(name: &str) -> ValidationError {
    let loc = vec!["body".to_owned(), name.to_owned()];
    ValidationError { kind: "missing".to_owned(), loc, msg: "Field required".to_owned(), input: Value::Null }
}

fn not_boolean(name: &str, input: &Value) -> ValidationError {
    ValidationError {
        kind: "bool_type".to_owned(),
        loc: vec!["body".to_owned(), name.to_owned()],
        msg: "Input should be a valid boolean".to_owned(),
        input: input.clone(),
    }
}

async fn catalogue(state: &AppState) -> Result<(Vec<ModelStatus>, Vec<Registration>), ApiError> {
    state.blocking("Cannot list the registrations", |engine| (engine.models(), engine.registrations())).await
}

fn detail(entry: &Entry, registration: Option<&Registration>) -> RegistrationDetail {
    let (model_hub, model_id) =
        hub_and_id(entry.sources.first()).unwrap_or_else(|| ("huggingface".to_owned(), None));
    let ability = vec![entry.task.as_str().to_owned()];
    let detail = RegistrationDetail {
        model_name: entry.name.clone(),
        model_id,
        model_revision: revision(entry),
        model_hub,
        cache_config: None,
        version: 2,
        model_family: entry.family.clone(),
        multilingual: entry.is_multilingual(),
        language: (entry.languages.len() == 1).then(|| entry.languages[0].clone()),
        model_lang: (!entry.languages.is_empty()).then(|| entry.languages.clone()),
        model_ability: Some(ability),
        default_model_config: None,
        default_transcription_config: None,
        engine: Some("mynah".to_owned()),
        model_format: (entry.task == ModelTask::Transcription).then(|| "pytorch".to_owned()),
        quantization: None,
        cache_name: None,
        virtualenv: registration
            .is_none()
            .then(|| VirtualEnvironment { inherit_pip_config: true, ..VirtualEnvironment::default() }),
        updated_at: 0,
        featured: false,
        licence: entry.licence.clone(),
        rest: Map::new(),
        is_builtin: registration.is_none(),
        model_specs: None,
        download_hubs: None,
    };
    let Some(registration) = registration else { return detail };
    // The remaining members of the description.
    let known = serde_json::to_value(&detail).unwrap_or_default();
    let is_new = |name: &&String| known.get(name.as_str()).is_none();
    let names = registration.definition.keys().filter(is_new);
    let rest = names.map(|name| (name.clone(), registration.definition[name].clone())).collect();
    RegistrationDetail { rest, ..detail }
}

fn hub_and_id(source: Option<&Source>) -> Option<(String, Option<String>)> {
    match source? {
        Source::Huggingface { repo, .. } => Some(("huggingface".to_owned(), Some(repo.clone()))),
        Source::Modelscope { repo, .. } => Some(("modelscope".to_owned(), Some(repo.clone()))),
        Source::Pip { packages, .. } => Some(("pip".to_owned(), Some(packages.join("+")))),
        Source::Local { .. } => None,
    }
}

fn specs(status: &ModelStatus) -> Vec<ModelSpec> {
    let spec = |source: &Source| {
        let (model_hub, model_id) = hub_and_id(Some(source))?;
        Some(ModelSpec {
            model_format: "pytorch".to_owned(),
            model_engine: Some("mynah".to_owned()),
            quantization: "none".to_owned(),
            model_hub,
            model_id: model_id?,
            cache_name: None,
            cache_status: status.on_disk.is_some(),
        })
    };
    status.entry.sources.iter().filter_map(spec).collect()
}

fn hubs(entry: &Entry) -> Vec<String> {
    entry.sources.iter().filter_map(|source| hub_and_id(Some(source)).map(|(hub, _)| hub)).collect()
}
