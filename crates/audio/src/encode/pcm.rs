//! 16-bit samples, raw or in RIFF WAVE.

use super::{Codec, EncodeError};

/// Full scale of 16-bit samples. No dither is added: the noise of speech models is far above the rounding error,
/// and digital silence stays digital silence, which also keeps flac small.
const FULL_SCALE: f32 = 32768.0;

/// Length fields of a WAVE file of unknown length.
const UNKNOWN: u32 = u32::MAX;
/// Bytes of the header that the RIFF chunk's size includes: all but its own eight.
const COUNTED_HEADER: u32 = 36;

/// Converts a sample from −1 to 1 to 16 bits, rounded.
pub(super) fn quantize(sample: f32) -> i16 {
    /// Adding and subtracting 1.5 * 2^23 rounds to the nearest integer without a function call.
    const TO_INTEGER: f32 = 12_582_912.0;
    // The cast saturates: +1 becomes 32767.
    ((sample * FULL_SCALE).clamp(-FULL_SCALE, FULL_SCALE) + TO_INTEGER - TO_INTEGER) as i16
}

fn write(samples: &[f32], out: &mut Vec<u8>) {
    let first = out.len();
    out.resize(first + 2 * samples.len(), 0);
    for (to, &sample) in out[first..].as_chunks_mut::<2>().0.iter_mut().zip(samples) {
        *to = quantize(sample).to_le_bytes();
    }
}

/// Samples without a header.
pub(super) struct Pcm;

impl Codec for Pcm {
    fn encode(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        write(samples, out);
        Ok(())
    }

    fn finish(self: Box<Self>, _out: &mut Vec<u8>) -> Result<Vec<u8>, EncodeError> {
        Ok(Vec::new())
    }
}

/// Samples after the canonical 44-byte header.
pub(super) struct Wav {
    rate_hz: u32,
    data_bytes: u64,
}

impl Wav {
    pub(super) fn new(rate_hz: u32) -> Self {
        Self { rate_hz, data_bytes: 0 }
    }

    /// The header of a file of unknown length.
    pub(super) fn header(&self) -> Vec<u8> {
        header(self.rate_hz, UNKNOWN, UNKNOWN)
    }
}

impl Codec for Wav {
    fn encode(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.data_bytes += 2 * samples.len() as u64;
        write(samples, out);
        Ok(())
    }

    fn finish(self: Box<Self>, _out: &mut Vec<u8>) -> Result<Vec<u8>, EncodeError> {
        // Over 4 GiB the length stays unknown, which readers interpret as "to the end".
        let data = u32::try_from(self.data_bytes).ok().filter(|&data| data < UNKNOWN - COUNTED_HEADER);
        Ok(data.map_or_else(|| self.header(), |data| header(self.rate_hz, COUNTED_HEADER + data, data)))
    }
}

fn header(rate_hz: u32, riff_bytes: u32, data_bytes: u32) -> Vec<u8> {
    const PCM: u16 = 1;
    const CHANNELS: u16 = 1;
    const BITS: u16 = 16;
    const BLOCK_ALIGN: u16 = CHANNELS * BITS / 8;
    let mut header = Vec::with_capacity(44);
    header.extend_from_slice(b"RIFF");
    header.extend_from_slice(&riff_bytes.to_le_bytes());
    header.extend_from_slice(b"WAVEfmt ");
    header.extend_from_slice(&16_u32.to_le_bytes());
    header.extend_from_slice(&PCM.to_le_bytes());
    header.extend_from_slice(&CHANNELS.to_le_bytes());
    header.extend_from_slice(&rate_hz.to_le_bytes());
    header.extend_from_slice(&(rate_hz * u32::from(BLOCK_ALIGN)).to_le_bytes());
    header.extend_from_slice(&BLOCK_ALIGN.to_le_bytes());
    header.extend_from_slice(&BITS.to_le_bytes());
    header.extend_from_slice(b"data");
    header.extend_from_slice(&data_bytes.to_le_bytes());
    header
}
