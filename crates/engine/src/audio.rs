//! The recording of a request, as samples.

use mynah_models::CancelFlag;

use crate::{AudioSource, Error};

/// Hertz of the samples that models take.
pub(crate) const SAMPLE_RATE: u32 = 16_000;

/// Decodes to 16 kHz mono. A temporary file is deleted afterwards.
pub(crate) fn decode(audio: AudioSource, cancel: &CancelFlag) -> Result<Vec<f32>, Error> {
    let _ = (audio, cancel);
    Err(Error::Internal("audio cannot be decoded yet".to_owned()))
}
