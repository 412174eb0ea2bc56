//! `POST /v1/audio/transcriptions` and `POST /v1/audio/translations`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use mynah_engine::{Job, JobEvent, Lease, Reservation, Selected, TranscribeRequest};
use mynah_models::{Task, Transcript};

use crate::client_id::client_id;
use crate::error::ApiError;
use crate::limits::Deadline;
use crate::metrics::Stopwatch;
use crate::request::{TranscriptionParams, read};
use crate::responses::transcription::render;
use crate::responses::transcription_sse as events;
use crate::state::AppState;

/// Speech to text in the spoken language.
pub(crate) async fn transcriptions(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Response, ApiError> {
    answer(&state, Task::Transcribe, request).await
}

/// Speech to English text.
pub(crate) async fn translations(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Response, ApiError> {
    answer(&state, Task::Translate, request).await
}

/// Where the client leaves, this future or the answer's body is dropped, and with it the job.
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
    let mut job = TimedJob {
        job: state.engine.transcribe(TranscribeRequest { model, audio, options, client })?,
        stopwatch,
        lease,
        deadline: Deadline::after(limits.request_time),
        _memory: memory,
    };
    if response.stream {
        return events::answer(job, response.logprobs, open_language, permit).await;
    }
    let transcript = job.transcript().await?;
    render(&transcript, &response, open_language)
}

/// A job that may take a while and no longer.
pub(crate) struct TimedJob {
    job: Job,
    stopwatch: Stopwatch,
    /// Of the running model; `None` where the request loads one.
    lease: Option<Lease>,
    deadline: Deadline,
    /// Of the upload.
    _memory: Reservation,
}

impl TimedJob {
    /// The next event that is not a failure.
    pub(crate) async fn next(&mut self) -> Result<JobEvent, ApiError> {
        match self.deadline.wait("transcription", self.job.next()).await? {
            JobEvent::Failed(error) => {
                if let Some(lease) = &self.lease {
                    lease.note_failure(&error.to_string());
                }
                Err(error.into())
            }
            event => {
                match &event {
                    JobEvent::Turn { waited_s } => self.stopwatch.turn(*waited_s),
                    JobEvent::Segment(_) => self.stopwatch.result(),
                    JobEvent::Done(transcript) => {
                        let tokens =
                            transcript.segments.iter().map(|segment| segment.tokens.len() as u64).sum();
                        self.stopwatch.done(transcript.duration_s, tokens);
                    }
                    _ => {}
                }
                Ok(event)
            }
        }
    }

    async fn transcript(&mut self) -> Result<Arc<Transcript>, ApiError> {
        loop {
            if let JobEvent::Done(transcript) = self.next().await? {
                return Ok(transcript);
            }
        }
    }
}
