//! `POST /v1/audio/speech`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use mynah_engine::{ReferenceSource, Selected, SpeakRequest};

use crate::client_id::client_id;
use crate::error::ApiError;
use crate::jobs::TimedJob;
use crate::limits::Deadline;
use crate::metrics::Stopwatch;
use crate::request::{SpeechParams, read_speech};
use crate::responses::speech;
use crate::state::AppState;

/// Text to speech. If the client disconnects, this future or the response body is dropped, which stops the job.
pub(super) async fn speech(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Response, ApiError> {
    let client = client_id(&request);
    let permit = state.permit(client)?;
    let limits = &state.limits();
    let mut memory = state.memory()?;
    let (fields, upload) = read_speech(request, limits, &mut memory).await?;
    let SpeechParams { model, text, options, format, encoding, sse, words, transcript } =
        SpeechParams::from_fields(fields)?;
    let recording = match (upload, transcript) {
        (None, None) => None,
        (Some(upload), Some(transcript)) => Some(ReferenceSource { audio: upload.into(), transcript }),
        (Some(_), None) => {
            let message = "Send the transcript of prompt_speech in the parameter prompt_text.";
            return Err(ApiError::missing("prompt_text", message));
        }
        (None, Some(_)) => {
            let message =
                "prompt_text is the transcript of reference audio; send the audio in prompt_speech.";
            return Err(ApiError::missing("prompt_speech", message));
        }
    };
    let Selected { model, lease } = state.select(&model)?;
    let request = SpeakRequest { model, text, options, format, encoding, client };
    let stopwatch = Stopwatch::start(&state.metrics, "speech");
    let job = match recording {
        Some(recording) => state.engine.speak_with_reference(request, recording)?,
        None => state.engine.speak(request)?,
    };
    let deadline = Deadline::after(limits.request_timeout);
    let job = TimedJob::new(job, stopwatch, deadline, lease, memory, permit);
    if sse { speech::events(job, words).await } else { speech::bytes(job, format).await }
}
