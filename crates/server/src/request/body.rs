//! Reads a request's body in either form, within its bounds.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::{Stream, StreamExt, TryStreamExt};
use mynah_engine::Reservation;
use serde_json::{Map, Value};
use tokio::time::{Instant, Sleep, sleep};

use super::fields::Fields;
use super::upload::{Upload, too_large};
use super::{json, multipart};
use crate::config::Limits;
use crate::error::ApiError;
use crate::state::AppState;

/// Parameters of a request for speech, and the recording of a voice in it; other files are read and named by a field of
/// their own, so that the route can refuse them. In a JSON body the recording counts as text.
pub(crate) async fn read_speech(
    request: Request,
    limits: &Limits,
    memory: &mut Reservation,
) -> Result<(Fields, Option<Upload>), ApiError> {
    let kind = media_type(request.headers());
    let too_long = || {
        let message =
            format!("The request is larger than {} bytes, the bound max_text_bytes.", limits.max_text_bytes);
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message).param("input")
    };
    let slack = 64 << 10;
    let largest = limits.max_text_bytes as u64 + slack;
    let request = request.map(|body| Body::from_stream(Timed::new(body, limits)));
    let (fields, upload) = match kind {
        MediaType::Multipart => multipart::read(request, "prompt_speech", limits, memory).await?,
        MediaType::Json => {
            if announced_length(request.headers()).is_some_and(|length| length > largest) {
                return Err(too_long());
            }
            let body = collect(request, largest, memory, too_long).await?;
            json::read(&body, "prompt_speech", limits, memory).await?
        }
        MediaType::Other => {
            let message = "Send application/json or multipart/form-data.";
            return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        }
    };
    // The text is the job's from here on.
    memory.shrink_to(upload.as_ref().map_or(0, Upload::bytes_in_memory));
    Ok((fields, upload))
}

/// The JSON object that a request of Xinference's own routes carries, whatever content type it names.
pub(crate) async fn read_object(request: Request, state: &AppState) -> Result<Map<String, Value>, ApiError> {
    let limits = &state.limits();
    let memory = &mut state.memory()?;
    let largest = limits.max_text_bytes as u64;
    let too_long = || {
        let message = format!("The request is larger than {largest} bytes, the bound max_text_bytes.");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    };
    let request = request.map(|body| Body::from_stream(Timed::new(body, limits)));
    json::read_object(&collect(request, largest, memory, too_long).await?)
}

/// Parameters and audio of an audio route's request.
pub(crate) async fn read(
    request: Request,
    limits: &Limits,
    memory: &mut Reservation,
) -> Result<(Fields, Upload), ApiError> {
    let kind = media_type(request.headers());
    let slack = limits.max_text_bytes as u64;
    let largest = match kind {
        MediaType::Multipart => limits.max_upload_bytes.saturating_add(slack),
        MediaType::Json => (limits.max_upload_bytes / 3 * 4).saturating_add(slack),
        MediaType::Other => {
            let message = "Send multipart/form-data with the audio in the part file, or application/json with the audio \
                           in file as base64.";
            return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        }
    };
    if announced_length(request.headers()).is_some_and(|length| length > largest) {
        return Err(too_large("file", limits));
    }
    let request = request.map(|body| Body::from_stream(Timed::new(body, limits)));
    let (fields, upload) = match kind {
        MediaType::Multipart => multipart::read(request, "file", limits, memory).await?,
        _ => {
            let body = collect(request, largest, memory, || too_large("file", limits)).await?;
            json::read(&body, "file", limits, memory).await?
        }
    };
    let upload = upload.ok_or_else(|| ApiError::missing("file", "Send the audio in the parameter file."))?;
    memory.shrink_to(upload.bytes_in_memory());
    Ok((fields, upload))
}

enum MediaType {
    Multipart,
    Json,
    Other,
}

fn media_type(headers: &HeaderMap) -> MediaType {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "multipart/form-data" => MediaType::Multipart,
        "application/json" => MediaType::Json,
        _ => MediaType::Other,
    }
}

fn announced_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// What stands in memory while a JSON body is read: the body, its texts, and audio without white space.
const COPIES_OF_BODY: u64 = 3;

/// Reads a whole body. One whose announced length finds no memory is refused before any of it is read; but memory is taken
/// as bytes come, so that nobody keeps others out by mere announcements.
async fn collect(
    request: Request,
    largest: u64,
    memory: &mut Reservation,
    too_large: impl Fn() -> ApiError,
) -> Result<Vec<u8>, ApiError> {
    let announced = announced_length(request.headers()).unwrap_or(0).min(largest);
    memory.check(announced.saturating_mul(COPIES_OF_BODY))?;
    let mut pieces = request.into_body().into_data_stream();
    let mut whole = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| {
            interrupted(&error).unwrap_or_else(|| {
                ApiError::new(StatusCode::BAD_REQUEST, "The body ended before it was complete.")
            })
        })?;
        let length = (whole.len() + piece.len()) as u64;
        if length > largest {
            return Err(too_large());
        }
        memory.grow(piece.len() as u64 * COPIES_OF_BODY)?;
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

/// The upload came too slowly.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("The upload came too slowly: {name} is {bound}.")]
struct TooSlow {
    name: &'static str,
    bound: f64,
}

/// The answer, where `error` goes back to an upload that came too slowly.
pub(crate) fn interrupted(error: &(dyn Error + 'static)) -> Option<ApiError> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(slow) = error.downcast_ref::<TooSlow>() {
            return Some(ApiError::new(StatusCode::REQUEST_TIMEOUT, slow.to_string()).param("file"));
        }
        cause = error.source();
    }
    None
}

/// A body that fails where it pauses too long, comes too slowly or takes too long as a whole.
struct Timed {
    inner: BodyDataStream,
    idle: Duration,
    total: Duration,
    bytes_per_s: u32,
    begin: Instant,
    received: u64,
    end: Pin<Box<Sleep>>,
    /// What it runs into at `end`.
    reason: TooSlow,
}

impl Timed {
    fn new(body: Body, limits: &Limits) -> Self {
        let mut timed = Self {
            inner: body.into_data_stream(),
            idle: limits.upload_idle,
            total: limits.upload_time,
            bytes_per_s: limits.upload_bytes_per_s,
            begin: Instant::now(),
            received: 0,
            end: Box::pin(sleep(limits.upload_idle)),
            reason: TooSlow { name: "upload_idle", bound: 0.0 },
        };
        timed.wait_anew();
        timed
    }

    /// Finds which bound comes first.
    fn wait_anew(&mut self) {
        let lag = match self.bytes_per_s {
            0 => self.total,
            // A pause that is allowed, and as long again for the bytes behind it.
            rate => (self.idle * 2).saturating_add(Duration::from_secs(self.received / u64::from(rate))),
        };
        let bounds = [
            (Instant::now() + self.idle, "upload_idle", self.idle.as_secs_f64()),
            (self.begin + lag, "upload_bytes_per_s", f64::from(self.bytes_per_s)),
            (self.begin + self.total, "upload_time", self.total.as_secs_f64()),
        ];
        let Some(&(at, name, bound)) = bounds.iter().min_by_key(|(at, ..)| *at) else { return };
        self.reason = TooSlow { name, bound };
        self.end.as_mut().reset(at);
    }
}

impl Stream for Timed {
    type Item = Result<Bytes, axum::BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.end.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(self.reason.into())));
        }
        let piece = std::task::ready!(self.inner.try_poll_next_unpin(context));
        if let Some(Ok(piece)) = &piece {
            self.received += piece.len() as u64;
        }
        self.wait_anew();
        Poll::Ready(piece.map(|piece| piece.map_err(Into::into)))
    }
}
