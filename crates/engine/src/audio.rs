//! The recording of a request, as samples.

use std::path::Path;
use std::sync::Arc;

use mynah_audio::{DecodeError, DecodeLimits, Decoded, decode_bytes, decode_file};
use mynah_models::CancelFlag;

use crate::{AudioSource, Error};

/// Decodes to 16 kHz mono. A temporary file is deleted afterwards.
pub(crate) fn decode(
    audio: AudioSource,
    limits: &DecodeLimits,
    cancel: &CancelFlag,
) -> Result<Decoded, Error> {
    let cancelled = || cancel.is_cancelled();
    let from_file = |path: &Path| decode_file(path, limits, &cancelled);
    let decoded = match audio {
        AudioSource::Path(path) => from_file(&path),
        AudioSource::Bytes(bytes) => decode_bytes(bytes, limits, &cancelled),
        AudioSource::TempFile(path) => from_file(&path),
    };
    decoded.map_err(|error| match error {
        DecodeError::Cancelled => Error::Cancelled,
        other => Error::Audio(Arc::new(other)),
    })
}
