//! Decoding of a request's audio to samples.

use std::fs::File;
use std::io::Cursor;
use std::path::Path;
use std::sync::{Arc, Mutex};

use mynah_audio::{DecodeError, DecodeHooks, DecodeLimits, Decoded, decode_at};
use mynah_core::CancelFlag;

use crate::Error;
use crate::jobs::request_memory::Reservation;
use crate::jobs::transcription::AudioSource;
use crate::sync::lock;

/// Decodes to mono at `rate_hz`, taking the memory of the samples from `memory`. A temporary file is deleted afterwards.
pub(crate) fn decode(
    audio: AudioSource,
    rate_hz: u32,
    limits: &DecodeLimits,
    memory: &mut Reservation,
    cancel: &CancelFlag,
) -> Result<Decoded, Error> {
    let watch = Accounted { cancel, memory: Mutex::new((memory, None)) };
    let from_file = |path: &Path| decode_at(rate_hz, File::open(path)?, limits, &watch);
    let decoded = match audio {
        AudioSource::Path(path) => from_file(&path),
        AudioSource::Bytes(bytes) => decode_at(rate_hz, Cursor::new(bytes), limits, &watch),
        AudioSource::TempFile(path) => from_file(&path),
    };
    let refused = lock(&watch.memory).1.take();
    decoded.map_err(|error| match (error, refused) {
        (DecodeError::Cancelled, _) => Error::Cancelled,
        (DecodeError::NoMemory, Some(refused)) => refused,
        (other, _) => Error::Audio(Arc::new(other)),
    })
}

/// Reserves memory for a request's samples, and keeps the error if there is too little.
struct Accounted<'a> {
    cancel: &'a CancelFlag,
    memory: Mutex<(&'a mut Reservation, Option<Error>)>,
}

impl DecodeHooks for Accounted<'_> {
    fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    fn reserve(&self, bytes: usize) -> bool {
        let (memory, refused) = &mut *lock(&self.memory);
        memory.grow(bytes as u64).map_err(|error| *refused = Some(error)).is_ok()
    }
}
