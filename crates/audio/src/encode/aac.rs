//! AAC-LC in ADTS frames (ISO/IEC 14496-3, annex 1.A).
//!
//! ADTS cannot store a length: a decoder outputs 1024 samples of delay before the audio and up to a frame of silence
//! after it, as with every other encoder.

use std::ops::RangeInclusive;

use syom::{EncodeOptions, EncodedFrame};

use super::{Codec, EncodeError, OutputFormat};

/// Bits per second; a frame has at most 6144 bits per channel, six per sample.
pub(super) fn bitrates_bps(rate_hz: u32) -> RangeInclusive<u32> {
    8_000..=rate_hz * 6
}

/// About four bits per sample: with this simple encoder, speech is nearly transparent from there on.
pub(super) fn default_bps(rate_hz: u32) -> u32 {
    match rate_hz {
        32_000.. => 128_000,
        22_050.. => 96_000,
        16_000.. => 64_000,
        _ => 48_000,
    }
}

pub(super) struct Aac {
    encoder: syom::Encoder,
    empty: bool,
}

impl Aac {
    pub(super) fn new(rate_hz: u32, bitrate_bps: u32) -> Result<Self, EncodeError> {
        // A frame of lookahead avoids pre-echo; grouped short windows need fewer bits.
        let options =
            EncodeOptions::adts().with_bitrate_bps(bitrate_bps).with_lookahead(true).with_short_group(true);
        Ok(Self { encoder: syom::Encoder::new(rate_hz, 1, &options).map_err(failed)?, empty: true })
    }
}

impl Codec for Aac {
    fn encode(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if samples.is_empty() {
            return Ok(());
        }
        self.empty = false;
        self.encoder.feed(&[samples], |frame| append(&frame, out)).map_err(failed)?;
        Ok(())
    }

    fn finish(mut self: Box<Self>, out: &mut Vec<u8>) -> Result<Vec<u8>, EncodeError> {
        if self.empty {
            // Players reject a stream without a frame.
            self.encode(&[0.0], out)?;
        }
        self.encoder.finish(|frame| append(&frame, out)).map_err(failed)?;
        Ok(Vec::new())
    }
}

fn append(frame: &EncodedFrame<'_>, out: &mut Vec<u8>) -> syom::Result<()> {
    out.extend_from_slice(frame.au);
    Ok(())
}

fn failed(detail: impl std::fmt::Display) -> EncodeError {
    EncodeError::codec(OutputFormat::Aac, detail)
}
