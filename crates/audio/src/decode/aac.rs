//! AAC access units: LC, HE-AAC and HE-AAC v2 (ISO/IEC 14496-3).

use symphonia::core::codecs::audio::AudioCodecParameters;
use syom::{DecodeOptions, Decoder};

use super::packet::Undecodable;
use super::sink::Shape;

pub(super) struct Aac {
    decoder: Decoder,
    config: Vec<u8>,
    shape: Shape,
}

/// Sample rates by the index AudioSpecificConfig gives them (ISO/IEC 14496-3, table 1.18).
const RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

impl Aac {
    /// A decoder for the stream, or `None` if its type is unsupported.
    pub(super) fn new(params: &AudioCodecParameters) -> Option<Self> {
        let rate = params.sample_rate?;
        let channels = params.channels.clone()?;
        // ADTS has no AudioSpecificConfig; this one has the same information: AAC-LC, rate, channels.
        let config = params.extra_data.as_deref().map_or_else(
            || {
                let index = RATES.iter().position(|&known| known == rate)? as u16;
                let bits = (2 << 11) | (index << 7) | ((channels.count() as u16) << 3);
                Some(bits.to_be_bytes().to_vec())
            },
            |config| Some(config.to_vec()),
        )?;
        let decoder = Decoder::from_asc(&config, DecodeOptions::unbounded()).ok()?;
        Some(Self { decoder, config, shape: Shape { rate, channels } })
    }

    pub(super) fn shape(&self) -> Shape {
        self.shape.clone()
    }

    pub(super) fn decode(&mut self, unit: &[u8], out: &mut Vec<f32>) -> Result<(), Undecodable> {
        let shape = &mut self.shape;
        let outcome = self.decoder.decode_au(unit, |frame| {
            let width = frame.planar.len();
            if shape.rate != frame.sample_rate || shape.channels.count() != width {
                *shape = Shape::plain(frame.sample_rate, width);
            }
            let from = out.len();
            out.resize(from + frame.samples * width, 0.0);
            for (channel, plane) in frame.planar.iter().enumerate() {
                for (slot, sample) in out[from + channel..].iter_mut().step_by(width).zip(*plane) {
                    *slot = *sample;
                }
            }
            Ok(())
        });
        if outcome.is_err() {
            // After an error the decoder refuses everything until it is reset.
            self.decoder.reset();
            let _ = self.decoder.set_asc(&self.config);
        }
        outcome.map_err(|_| Undecodable)
    }
}
