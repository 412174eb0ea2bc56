//! `POST /v1/audio/transcriptions` and `POST /v1/audio/translations`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use mynah_core::Task;
use mynah_engine::{Selected, TranscribeRequest};

use crate::client_id::client_id;
use crate::error::ApiError;
use crate::jobs::TimedJob;
use crate::limits::Deadline;
use crate::metrics::Stopwatch;
use crate::request::{TranscriptionParams, read};
use crate::responses::{transcription, transcription_sse};
use crate::state::AppState;

/// Speech to text in the spoken language.
pub(super) async fn transcriptions(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Response, ApiError> {
    answer(&state, Task::Transcribe, request).await
}

/// Speech to English text.
pub(super) async fn translations(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Response, ApiError> {
    answer(&state, Task::Translate, request).await
}

/// If the client disconnects, this future or the response body is dropped, which stops the job.
async fn answer(state: &AppState, task: Task, request: Request) -> Result<Response, ApiError> {
    let client = client_id(&request);
    let permit = state.permit(client)?;
    let limits = &state.limits();
    let mut memory = state.memory()?;
    let (fields, upload) = read(request, limits, &mut memory).await?;
    let TranscriptionParams { model, options, response } = TranscriptionParams::from_fields(fields, task)?;
    let Selected { model, lease } = state.select(&model)?;
    let audio = upload.into();
    let open_language = options.language.is_none();
    let name = match task {
        Task::Transcribe => "transcription",
        Task::Translate => "translation",
    };
    let stopwatch = Stopwatch::start(&state.metrics, name);
    let job = state.engine.transcribe(TranscribeRequest { model, audio, options, client })?;
    let deadline = Deadline::after(limits.request_timeout);
    let mut job = TimedJob::new(job, stopwatch, deadline, lease, memory, permit);
    if response.stream {
        return transcription_sse::answer(job, response.logprobs, open_language).await;
    }
    let transcript = job.transcript().await?;
    Ok(transcription::render(&transcript, &response, open_language))
}
