//! `GET /v1/models` and `GET /v1/models/{name}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use mynah_api::{Model, ModelList};
use mynah_engine::{Ability, ModelRef, ModelStatus};
use mynah_text::languages::LANGUAGES;

use crate::error::ApiError;
use crate::state::AppState;

/// All models that requests can name.
pub(crate) async fn list_models(State(state): State<Arc<AppState>>) -> Result<Json<ModelList>, ApiError> {
    let mut data: Vec<Model> =
        state.config.local_models.iter().map(|model| own(&state, &model.name)).collect();
    let named =
        catalogue(&state).await?.iter().map(|status| model(&status.entry.name, status)).collect::<Vec<_>>();
    data.extend(
        named.into_iter().filter(|model| state.config.local_models.iter().all(|own| own.name != model.id)),
    );
    Ok(Json(ModelList { object: "list".to_owned(), data }))
}

/// One model, under the name that was asked for; names may hold slashes.
pub(crate) async fn retrieve_model(
    State(state): State<Arc<AppState>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<Model>, ApiError> {
    let Path(name) = name.map_err(|error| ApiError::new(error.status(), error.body_text()).param("model"))?;
    let wanted = match state.model(&name)? {
        ModelRef::Path(_) => return Ok(Json(own(&state, &name))),
        ModelRef::Named(wanted) => wanted,
    };
    let statuses = catalogue(&state).await?;
    let status = statuses.iter().find(|status| status.entry.name == wanted);
    let status = status.ok_or_else(|| ApiError::internal(&wanted, "The model has no status"))?;
    Ok(Json(model(&name, status)))
}

/// Looks at the disk, hence off the async threads.
async fn catalogue(state: &AppState) -> Result<Vec<ModelStatus>, ApiError> {
    let engine = state.engine.clone();
    let statuses = tokio::task::spawn_blocking(move || engine.models()).await;
    statuses.map_err(|error| ApiError::internal(&error, "The models cannot be listed"))
}

fn model(id: &str, status: &ModelStatus) -> Model {
    let entry = &status.entry;
    Model {
        model_name: entry.name.clone(),
        model_family: entry.family.clone(),
        model_ability: vec![entry.ability.as_str().to_owned()],
        model_lang: if entry.languages.is_empty() { all_languages() } else { entry.languages.clone() },
        multilingual: entry.is_multilingual(),
        on_disk: status.on_disk.is_some(),
        ..local(id)
    }
}

/// A checkpoint of the operator's; its languages show when it is loaded.
fn own(state: &AppState, name: &str) -> Model {
    let abilities = state.config.local_models.iter().zip(&state.local_abilities);
    let ability = abilities.into_iter().find(|(model, _)| model.name == name).map(|(_, ability)| *ability);
    match ability {
        Some(Ability::Text2audio) => Model {
            model_family: "hibari".to_owned(),
            model_ability: vec![Ability::Text2audio.as_str().to_owned()],
            model_lang: vec!["en".to_owned()],
            multilingual: false,
            ..local(name)
        },
        _ => local(name),
    }
}

/// What all models have in common.
fn local(name: &str) -> Model {
    Model {
        id: name.to_owned(),
        object: "model".to_owned(),
        created: 0,
        owned_by: "mynah".to_owned(),
        model_type: "audio".to_owned(),
        model_name: name.to_owned(),
        model_family: "whisper".to_owned(),
        model_ability: vec!["audio2text".to_owned()],
        model_lang: all_languages(),
        multilingual: true,
        accelerators: Vec::new(),
        replica: 1,
        on_disk: true,
    }
}

fn all_languages() -> Vec<String> {
    LANGUAGES.iter().map(|language| language.code.to_owned()).collect()
}
