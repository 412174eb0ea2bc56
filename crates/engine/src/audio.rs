//! The recording of a request, as samples.

use std::fs::File;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use mynah_audio::{DecodeError, DecodeLimits, Decoded, decode_at};
use mynah_models::CancelFlag;

use crate::{AudioSource, Error};

/// Decodes to mono at `rate_hz`. A temporary file is deleted afterwards.
pub(crate) fn decode(
    audio: AudioSource,
    rate_hz: u32,
    limits: &DecodeLimits,
    cancel: &CancelFlag,
) -> Result<Decoded, Error> {
    let cancelled = || cancel.is_cancelled();
    let from_file = |path: &Path| decode_at(rate_hz, File::open(path)?, limits, &cancelled);
    let decoded = match audio {
        AudioSource::Path(path) => from_file(&path),
        AudioSource::Bytes(bytes) => decode_at(rate_hz, Cursor::new(bytes), limits, &cancelled),
        AudioSource::TempFile(path) => from_file(&path),
    };
    decoded.map_err(|error| match error {
        DecodeError::Cancelled => Error::Cancelled,
        other => Error::Audio(Arc::new(other)),
    })
}
