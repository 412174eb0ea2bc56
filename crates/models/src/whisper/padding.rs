//! What the model makes of the padding behind short audio: computed once, used by every window.
//!
//! Whisper hears windows of 30 s, and without the padding behind a short clip it goes astray. But the padding is always
//! the same: its keys and values in each encoder layer, and those that the decoder's cross-attention makes of its final
//! states, hardly depend on the clip before it. So a window computes its own positions and a margin, attends to their
//! keys and values and to the stored ones of the positions behind them, and the decoder does likewise. What is stored
//! has heard padding alone, not the clip: the error of that is what the margin is for.

use mynah_core::{JobContext, ModelError};

use super::key_values::{AudioKeyValues, Layout, POOL_CROSS, POOL_ENCODER};
use super::weights::Weights;
use super::{Config, decoder, encoder};

/// Log-mel value of all bands behind the end of the audio. Silence, as in training, would be about -0.5 to -1; this is
/// what faster-whisper pads with, and short clips of hard speech come out better by half a point of word error rate.
pub(super) const PADDING: f32 = 0.0;

/// Positions of 20 ms behind the audio that are computed in its company: 1 s. With less, the last words suffer.
pub(super) const MARGIN: usize = 50;
/// The same where English text leaves doubts: 4 s, with which it comes out as well as with all of the 30 s.
pub(super) const WIDE_MARGIN: usize = 200;

/// Keys and values of a window of nothing but padding.
pub(super) struct Padding {
    /// Per encoder layer.
    pub(super) encoder: Vec<AudioKeyValues>,
    /// Per decoder layer.
    pub(super) cross: Vec<AudioKeyValues>,
}

impl Padding {
    pub(super) fn compute(
        config: &Config,
        weights: &Weights,
        context: JobContext<'_>,
    ) -> Result<Self, ModelError> {
        let mel = vec![PADDING; config.n_mels * 2 * config.audio_positions];
        let mut encoder = Vec::with_capacity(config.encoder_layers);
        let keep: encoder::OnKeyValues<'_> = &mut |layout, keys, values| {
            let layout = Layout { alike: POOL_ENCODER, ..layout };
            encoder.push(AudioKeyValues::pack(weights.wide_key_values, layout, keys, values));
        };
        let states = encoder::encode(weights, config, &mel, None, Some(keep), context)?;
        let cross = decoder::cross_key_values(weights, config, &states, POOL_CROSS, context)?;
        Ok(Self { encoder, cross })
    }
}

/// Positions to compute for so many frames of audio and a margin, if that is worth it: less than the whole window.
pub(super) fn trimmed_positions(
    content_frames: usize,
    margin: usize,
    audio_positions: usize,
) -> Option<usize> {
    let positions = (content_frames.div_ceil(2) + margin).next_multiple_of(POOL_ENCODER);
    (positions < audio_positions).then_some(positions)
}
