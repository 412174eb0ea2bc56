//! Multipart forms. Parts arrive in any order; the audio is stored as it arrives.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, BodyDataStream};
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use mynah_engine::Reservation;
use serde_json::{Map, Value};

use super::fields::Fields;
use super::upload::{Spool, Upload, too_large};
use crate::config::Limits;
use crate::error::ApiError;
use crate::limits::interrupted;

/// Maximum bytes of the headers of a part.
const MAX_HEADER_BYTES: u64 = 64 << 10;

/// Reads a whole form with the audio in the part `part`. Files in other parts are skipped; their fields become empty objects.
pub(crate) async fn read(
    request: Request,
    part: &'static str,
    limits: &Limits,
    memory: &mut Reservation,
) -> Result<(Fields, Option<Upload>), ApiError> {
    let (parts, body) = request.into_parts();
    let budget = Arc::new(AtomicU64::new(MAX_HEADER_BYTES));
    let paced = BudgetedBody { inner: body.into_data_stream(), budget: Arc::clone(&budget), rest: false };
    let mut form = Multipart::from_request(Request::from_parts(parts, Body::from_stream(paced)), &())
        .await
        .map_err(|rejection| ApiError::new(StatusCode::BAD_REQUEST, rejection.body_text()))?;

    let mut fields = Fields::default();
    let mut upload = None;
    let mut text_left = limits.max_text_bytes;
    for _ in 0..limits.max_parts {
        budget.store(MAX_HEADER_BYTES, Ordering::Relaxed);
        let Some(field) = form.next_field().await.map_err(|error| broken(&error))? else {
            return Ok((fields, upload));
        };
        budget.store(u64::MAX, Ordering::Relaxed);
        let name = field.name().unwrap_or_default().to_owned();
        if name == part {
            upload = Some(audio(field, part, limits, memory).await?);
        } else if field.file_name().is_some() {
            skip(field, limits).await?;
            fields.push(&name, Value::Object(Map::new()));
        } else {
            let value = text(field, &mut text_left, limits).await?;
            memory.grow(value.len() as u64)?;
            fields.push_text(&name, value);
        }
    }
    Err(ApiError::new(
        StatusCode::BAD_REQUEST,
        format!("The form has more than {} parts (limit: max_parts).", limits.max_parts),
    ))
}

async fn audio(
    mut field: Field<'_>,
    part: &'static str,
    limits: &Limits,
    memory: &mut Reservation,
) -> Result<Upload, ApiError> {
    let mut spool = Spool::new(part, limits, memory);
    while let Some(piece) = field.chunk().await.map_err(|error| broken(&error))? {
        spool.write(&piece).await?;
    }
    spool.finish().await
}

/// Skips a file in another part.
async fn skip(mut field: Field<'_>, limits: &Limits) -> Result<(), ApiError> {
    let mut length = 0;
    while let Some(piece) = field.chunk().await.map_err(|error| broken(&error))? {
        length += piece.len() as u64;
        if length > limits.max_upload_bytes {
            return Err(too_large("file", limits));
        }
    }
    Ok(())
}

async fn text(mut field: Field<'_>, left: &mut usize, limits: &Limits) -> Result<String, ApiError> {
    let mut bytes = Vec::new();
    while let Some(piece) = field.chunk().await.map_err(|error| broken(&error))? {
        *left = left.checked_sub(piece.len()).ok_or_else(|| {
            let message = format!(
                "The parts other than file are larger than {} bytes (limit: max_text_bytes).",
                limits.max_text_bytes
            );
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message)
        })?;
        bytes.extend_from_slice(&piece);
    }
    let name = field.name().unwrap_or_default();
    String::from_utf8(bytes).map_err(|_| {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            format!("The part {name:?} is not UTF-8. Audio belongs in the part file."),
        )
    })
}

fn broken(error: &MultipartError) -> ApiError {
    interrupted(error).unwrap_or_else(|| {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            format!("The multipart form is malformed: {}", error.body_text()),
        )
    })
}

/// A body that is passed on one chunk at a time, up to `budget` bytes. The form parser buffers whatever is ready; this limits
/// its buffer to one chunk, and to the budget if the headers of a part never end.
struct BudgetedBody {
    inner: BodyDataStream,
    budget: Arc<AtomicU64>,
    rest: bool,
}

impl Stream for BudgetedBody {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.rest) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let left = self.budget.load(Ordering::Relaxed);
        if left == 0 {
            return Poll::Ready(Some(Err(axum::Error::new("the headers of a part are too long"))));
        }
        let piece = std::task::ready!(self.inner.try_poll_next_unpin(context)?);
        if let Some(piece) = &piece {
            self.budget.store(left.saturating_sub(piece.len() as u64), Ordering::Relaxed);
            self.rest = true;
        }
        Poll::Ready(piece.map(Ok))
    }
}
