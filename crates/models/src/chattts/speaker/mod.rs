//! Speaker embeddings (a vector in the prompt: drawn by a seed, or read from a string or a tensor), and encoded reference audio
//! to continue.

pub(super) mod base16384;
mod saved;
pub(super) mod strings;
pub(super) mod xxh32;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use half::f16;
use mynah_core::ModelError;

use super::generate::Codes;
use super::random::Mt19937;
use crate::error;

pub use saved::SavedVoice;

/// Names longer than this are encoded speakers.
const MAX_NAME_LENGTH: usize = 400;
/// Largest encoded tensor: 768 numbers take a few kilobytes, whatever the format.
const MAX_TENSOR_BYTES: usize = 1 << 20;

/// Source of the standard deviation and mean of speaker embeddings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatisticsSource {
    /// A file of the checkpoint or of the user.
    File(PathBuf),
    /// None: all dimensions are drawn from the same distribution, so voices sound less natural and differ from those of the
    /// published statistics.
    Fallback,
}

/// Standard deviation and mean of speaker embeddings.
#[derive(Clone, Debug)]
pub(super) struct Statistics {
    deviation: Vec<f16>,
    mean: Vec<f16>,
}

impl Statistics {
    /// Used without statistics. Embeddings are normalised, so the standard deviation does not matter.
    pub(super) fn fallback(width: usize) -> Self {
        Self { deviation: vec![f16::ONE; width], mean: vec![f16::ZERO; width] }
    }

    /// Reads a tensor saved by PyTorch, or a text file with a base16384 string.
    pub(super) fn read(path: &Path, width: usize) -> Result<Self, ModelError> {
        let malformed = |reason: String| error::malformed(path, reason);
        let bytes = std::fs::read(path).map_err(|source| error::io(path, source))?;
        let values: Vec<f16> = match std::str::from_utf8(&bytes) {
            Ok(text) => {
                let bytes = base16384::decode(text)
                    .ok_or_else(|| malformed("it is neither a base16384 string nor a tensor".into()))?;
                bytes.as_chunks::<2>().0.iter().map(|&pair| f16::from_le_bytes(pair)).collect()
            }
            Err(_) => lone_tensor(&path.display().to_string(), bytes)?,
        };
        if values.len() != 2 * width {
            return Err(malformed(format!("it has {} numbers, not {}", values.len(), 2 * width)));
        }
        let (deviation, mean) = values.split_at(width);
        Ok(Self { deviation: deviation.to_vec(), mean: mean.to_vec() })
    }

    /// Draws the next speaker embedding, with every operation rounded to 16 bits.
    pub(super) fn draw(&self, generator: &mut Mt19937) -> Vec<f16> {
        let noise = generator.normal_f16(self.mean.len());
        let spread = noise.iter().zip(&self.deviation).map(|(v, deviation)| v * deviation);
        spread.zip(&self.mean).map(|(v, mean)| v + mean).collect()
    }
}

/// The numbers of a tensor saved by PyTorch, rounded to 16 bits. Nothing in the file is executed.
fn lone_tensor(name: &str, bytes: Vec<u8>) -> Result<Vec<f16>, ModelError> {
    let tensors = mynah_weights::read_state_dict(name, bytes)?;
    let names: Vec<&str> = tensors.names().collect();
    let [tensor] = names[..] else {
        return Err(ModelError::InvalidInput(format!("{name} has {} tensors, not one", names.len())));
    };
    Ok(tensors.read_f32(tensor)?.into_iter().map(f16::from_f32).collect())
}

/// Encoded reference audio and its transcript.
#[derive(Clone, Debug, PartialEq)]
pub struct VoiceSample {
    /// The audio's codes.
    pub codes: Arc<[Codes]>,
    /// Its transcript.
    pub text: String,
}

/// A voice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Voice {
    /// The speaker embedding.
    pub speaker: Option<Vec<f16>>,
    /// Reference audio to continue.
    pub sample: Option<VoiceSample>,
    /// The seed that drew the embedding. Synthesis continues with the numbers after it.
    pub(super) drawn_with: Option<u64>,
}

impl Voice {
    /// The embedding in the prompt: normalised to length 1 in 16 bits.
    pub(super) fn embedding(&self) -> Option<Arc<[f32]>> {
        Some(normalised(self.speaker.as_ref()?))
    }
}

/// A vector divided by its length, both rounded to 16 bits.
pub(super) fn normalised(vector: &[f16]) -> Arc<[f32]> {
    let square: f32 = vector.iter().map(|v| v.to_f32().powi(2)).sum();
    let norm = f16::from_f32(square.sqrt()).to_f32();
    let scale = |v: &f16| if norm > 0.0 { f16::from_f32(v.to_f32() / norm).to_f32() } else { 0.0 };
    vector.iter().map(scale).collect()
}

/// Finds voices by name.
pub(super) struct Voices {
    pub(super) width: usize,
    pub(super) statistics: Statistics,
    /// Folder of the user's saved voices.
    pub(super) saved: Option<PathBuf>,
}

impl Voices {
    /// The voice of a seed.
    pub(super) fn seeded(&self, seed: u64) -> Voice {
        let speaker = self.statistics.draw(&mut Mt19937::new(seed));
        Voice { speaker: Some(speaker), sample: None, drawn_with: Some(seed) }
    }

    /// The voice for `name`: a saved voice, `seed:N`, a speaker string, the base64 of a tensor saved by
    /// PyTorch, or any other name, whose hash is the seed. `default` is the empty name.
    ///
    /// # Errors
    /// [`ModelError::InvalidInput`] describes an invalid encoded speaker or seed.
    pub(super) fn find(&self, name: &str) -> Result<Voice, ModelError> {
        if let Some(saved) = &self.saved
            && let Some(voice) = SavedVoice::read(saved, name)?
        {
            return voice.voice(self);
        }
        if let Some(seed) = name.strip_prefix("seed:") {
            let seed = seed.trim().parse().map_err(|_| {
                ModelError::InvalidInput(format!(
                    "voice {name:?}: \"seed:\" must be followed by a whole number of at least 0"
                ))
            })?;
            return Ok(self.seeded(seed));
        }
        if name.chars().count() > MAX_NAME_LENGTH {
            return self.encoded(name);
        }
        let name = if name == "default" { "" } else { name };
        Ok(self.seeded(xxh32::xxh32(name.as_bytes()).into()))
    }

    fn encoded(&self, text: &str) -> Result<Voice, ModelError> {
        let vector = if text.is_ascii() {
            let bytes =
                base64_bytes(text).filter(|bytes| bytes.len() <= MAX_TENSOR_BYTES).ok_or_else(|| {
                    ModelError::InvalidInput("the voice is too long for a name and is not base64".into())
                })?;
            let vector = lone_tensor("the voice", bytes).map_err(|reason| {
                ModelError::InvalidInput(format!(
                    "the voice is too long for a name and is not a saved tensor: {reason}"
                ))
            })?;
            if vector.len() != self.width {
                let reason = format!("the voice's tensor has {} numbers, not {}", vector.len(), self.width);
                return Err(ModelError::InvalidInput(reason));
            }
            vector
        } else {
            strings::decode_speaker(text, self.width)?
        };
        Ok(Voice { speaker: Some(vector), ..Voice::default() })
    }
}

/// The bytes of base64 (RFC 4648) in either alphabet; white space and padding are skipped.
fn base64_bytes(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut count) = (Vec::with_capacity(text.len() * 3 / 4), 0_u32, 0);
    for byte in text.bytes().filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=') {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
