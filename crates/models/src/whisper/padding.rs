//! Keys and values of the padding after short audio: computed once, used by every window.
//!
//! Whisper encodes windows of 30 s, and its output degrades without the padding after a short clip. But that padding is always
//! the same: its keys and values in each encoder layer, and those that the decoder's cross-attention derives from the final
//! states, depend very little on the clip before it. So a window computes its own positions and a margin, and attends to their
//! keys and values and to the stored ones of the positions after them; the decoder does the same. The stored ones come from a
//! window of padding alone and ignore the clip; the margin keeps the resulting error small.

use mynah_core::{JobContext, ModelError};

use super::key_values::{AudioKeyValues, Layout, POOL_CROSS, POOL_ENCODER};
use super::weights::Weights;
use super::{Config, decoder, encoder};

/// Log-mel value of all bands after the end of the audio. Silence, as in training, would be about -0.5 to -1. faster-whisper
/// pads with this value, and it lowers the word error rate of short, difficult clips by half a point.
pub(super) const PADDING: f32 = 0.0;

/// Positions of 20 ms after the audio that are computed with it: 1 s. With fewer, the last words are less accurate.
pub(super) const MARGIN: usize = 50;
/// The same for English text of low confidence: 4 s, which is as accurate as all of the 30 s.
pub(super) const WIDE_MARGIN: usize = 200;

/// Keys and values of a window of padding alone.
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
            let layout = Layout { pool: POOL_ENCODER, ..layout };
            encoder.push(AudioKeyValues::pack(weights.wide_key_values, layout, keys, values));
        };
        let states = encoder::encode(weights, config, &mel, None, Some(keep), context)?;
        let cross = decoder::cross_key_values(weights, config, &states, POOL_CROSS, context)?;
        Ok(Self { encoder, cross })
    }
}

/// Number of positions to compute for `content_frames` frames of audio and a margin; `None` if that is the whole window.
pub(super) fn trimmed_positions(
    content_frames: usize,
    margin: usize,
    audio_positions: usize,
) -> Option<usize> {
    let positions = (content_frames.div_ceil(2) + margin).next_multiple_of(POOL_ENCODER);
    (positions < audio_positions).then_some(positions)
}
