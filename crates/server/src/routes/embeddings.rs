//! `POST /v1/audio/embeddings`.

use std::sync::Arc;

use axum::extract::{Request, State};

use crate::error::ApiError;
use crate::request::read;
use crate::state::AppState;

/// Speaker embeddings, which no model here supports.
pub(super) async fn embeddings(State(state): State<Arc<AppState>>, request: Request) -> Result<(), ApiError> {
    let (fields, _) = read(request, &state.limits(), &mut state.memory()?).await?;
    let model = fields.text("model")?;
    let model = model.ok_or_else(|| ApiError::missing("model", "Name the model in the parameter model."))?;
    state.select(&model)?;
    let message = format!("Model {model:.100} is not for creating audio embeddings; no model here is.");
    Err(ApiError::unsupported("model", message))
}
