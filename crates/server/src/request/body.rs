//! Reads a request's body, a form or JSON, within the limits.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::StreamExt;
use mynah_engine::Reservation;
use serde_json::{Map, Value};

use super::fields::Fields;
use super::upload::{Upload, too_large};
use super::{json, multipart};
use crate::config::Limits;
use crate::error::ApiError;
use crate::limits::{UploadTimeout, interrupted};
use crate::state::AppState;

/// Parameters of a speech request, and its reference audio. Other files are read and replaced by an empty field, so that the
/// route can refuse them. In a JSON body the reference audio counts as text.
pub(crate) async fn read_speech(
    request: Request,
    limits: &Limits,
    memory: &mut Reservation,
) -> Result<(Fields, Option<Upload>), ApiError> {
    let kind = media_type(request.headers());
    let too_long = || {
        let message =
            format!("The request is larger than {} bytes (limit: max_text_bytes).", limits.max_text_bytes);
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message).param("input")
    };
    let slack = 64 << 10;
    let largest = limits.max_text_bytes as u64 + slack;
    let request = request.map(|body| Body::from_stream(UploadTimeout::new(body, limits)));
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
    // From here on the job accounts for the text.
    memory.shrink_to(upload.as_ref().map_or(0, Upload::bytes_in_memory));
    Ok((fields, upload))
}

/// The JSON object in a request to one of Xinference's own routes, whatever its content type.
pub(crate) async fn read_object(request: Request, state: &AppState) -> Result<Map<String, Value>, ApiError> {
    let limits = &state.limits();
    let memory = &mut state.memory()?;
    let largest = limits.max_text_bytes as u64;
    let too_long = || {
        let message = format!("The request is larger than {largest} bytes (limit: max_text_bytes).");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    };
    let request = request.map(|body| Body::from_stream(UploadTimeout::new(body, limits)));
    json::read_object(&collect(request, largest, memory, too_long).await?)
}

/// Parameters and audio of a request to a transcription route.
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
    let request = request.map(|body| Body::from_stream(UploadTimeout::new(body, limits)));
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

/// Copies in memory while a JSON body is read: the body, its texts, and audio without white space.
const COPIES_OF_BODY: u64 = 3;

/// Reads a whole body. If its declared length does not fit into the memory limit, it is refused before any of it is read;
/// but memory is reserved only as bytes arrive, so that declared lengths alone cannot block other clients.
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
