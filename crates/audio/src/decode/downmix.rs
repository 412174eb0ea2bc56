//! Downmix to mono that avoids cancellation.

use symphonia::core::audio::{Channels, Position};

/// Weights of the channels in the mono sum, without signs.
///
/// The ratios are those of the downmix equations of ITU-R BS.775 (Annex 4): the centre, where speech mostly is, has weight
/// 1, left and right 0.7071, surrounds 0.5; the low-frequency channel is left out. The weights sum to one, so the
/// mix never exceeds the loudest channel. Channels without a known position have equal weights.
pub(super) fn weights(channels: &Channels) -> Vec<f32> {
    let count = channels.count();
    let mut weights = match channels {
        Channels::Positioned(positions) if count > 2 => positions.iter().map(position_weight).collect(),
        _ => vec![1.0; count],
    };
    let sum: f32 = weights.iter().sum();
    if sum > 0.0 {
        weights.iter_mut().for_each(|weight| *weight /= sum);
    } else {
        weights.fill(1.0 / count.max(1) as f32);
    }
    weights
}

fn position_weight(position: Position) -> f32 {
    const SIDES: Position = Position::FRONT_LEFT
        .union(Position::FRONT_RIGHT)
        .union(Position::FRONT_LEFT_CENTER)
        .union(Position::FRONT_RIGHT_CENTER);
    const LOW: Position = Position::LFE1.union(Position::LFE2);
    if position == Position::FRONT_CENTER {
        1.0
    } else if SIDES.contains(position) {
        std::f32::consts::FRAC_1_SQRT_2
    } else if LOW.contains(position) {
        0.0
    } else {
        0.5
    }
}

/// Frames per correlation measurement, after which the signs are decided again.
const BLOCK: usize = 2048;
/// Weight of earlier measurements when a block is added: a memory of about four blocks.
const KEEP: f64 = 0.75;
/// A channel is inverted when its correlation with the loudest one falls below the first number, and no longer when
/// it rises above the second.
const INVERT_BELOW: f64 = -0.5;
const RESTORE_ABOVE: f64 = -0.2;
/// Length of the fade at a change of sign, frames.
const FADE: usize = 512;

/// A streaming weighted sum in which a channel of opposite polarity is inverted first.
///
/// Miswired balanced lines, karaoke tracks and some phones produce stereo whose sides cancel in a plain mean.
pub(super) struct Downmix {
    weights: Vec<f32>,
    /// Current signed weights; they differ from `target` during a fade.
    gains: Vec<f32>,
    target: Vec<f32>,
    /// Smoothed products of each channel pair `[a * channels + b]`, b >= a.
    products: Vec<f64>,
}

impl Downmix {
    pub(super) fn new(weights: Vec<f32>) -> Self {
        let channels = weights.len();
        Self {
            gains: weights.clone(),
            target: weights.clone(),
            weights,
            products: vec![0.0; channels * channels],
        }
    }

    /// Mixes whole frames of interleaved samples and appends them to `mono`.
    pub(super) fn mix(&mut self, interleaved: &[f32], mono: &mut Vec<f32>) {
        let channels = self.weights.len();
        if channels == 1 {
            mono.extend_from_slice(interleaved);
            return;
        }
        for block in interleaved.chunks(BLOCK * channels) {
            self.measure(block);
            self.decide();
            let mut frames = block.chunks_exact(channels);
            if self.gains != self.target {
                let step: Vec<f32> =
                    self.target.iter().zip(&self.gains).map(|(to, from)| (to - from) / FADE as f32).collect();
                for frame in frames.by_ref().take(FADE) {
                    self.gains.iter_mut().zip(&step).for_each(|(gain, step)| *gain += step);
                    mono.push(weighted(frame, &self.gains));
                }
                self.gains.clone_from(&self.target);
            }
            mono.extend(frames.map(|frame| weighted(frame, &self.gains)));
        }
    }

    fn measure(&mut self, block: &[f32]) {
        let channels = self.weights.len();
        for a in 0..channels {
            for b in a..channels {
                let product: f32 = block.chunks_exact(channels).map(|frame| frame[a] * frame[b]).sum();
                let kept = &mut self.products[a * channels + b];
                *kept = *kept * KEEP + f64::from(product);
            }
        }
    }

    /// Chooses signs relative to the channel with the most energy in the mix.
    fn decide(&mut self) {
        let channels = self.weights.len();
        let energy = |c: usize| self.products[c * channels + c];
        let loudness = |c: usize| energy(c) * f64::from(self.weights[c]).powi(2);
        // The first among equals, so that the polarity does not change.
        let loudest = (1..channels).fold(0, |best, c| if loudness(c) > loudness(best) { c } else { best });
        for c in (0..channels).filter(|&c| c != loudest) {
            let scale = (energy(c) * energy(loudest)).sqrt();
            if scale <= f64::MIN_POSITIVE {
                continue;
            }
            let correlation = self.products[c.min(loudest) * channels + c.max(loudest)] / scale;
            // The sign is relative to the loudest channel, which may itself be inverted.
            let along = self.target[loudest].is_sign_positive();
            let inverted = self.target[c].is_sign_positive() != along;
            let invert = if inverted { correlation < RESTORE_ABOVE } else { correlation < INVERT_BELOW };
            self.target[c] = if invert == along { -self.weights[c] } else { self.weights[c] };
        }
    }
}

fn weighted(frame: &[f32], gains: &[f32]) -> f32 {
    frame.iter().zip(gains).map(|(sample, gain)| sample * gain).sum()
}
