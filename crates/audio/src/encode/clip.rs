//! Limits samples to full scale before encoding.

/// Knee of the soft clipper: −0.28 dB. Samples below are not changed.
const KNEE: f32 = 31.0 / 32.0;
/// Limit of samples that enter the resampler: 12 dB over full scale. Audio never reaches it; a stray huge number would ring
/// over a whole block.
const CEILING: f32 = 4.0;

/// Replaces NaN by silence and limits large samples.
pub(super) fn sane(sample: f32) -> f32 {
    if sample.is_nan() { 0.0 } else { sample.clamp(-CEILING, CEILING) }
}

/// Soft clipping: samples above the knee approach full scale and never exceed it.
pub(super) fn soft(sample: f32) -> f32 {
    const ROOM: f32 = 1.0 - KNEE;
    let over = sample.abs() - KNEE;
    if over <= 0.0 { sample } else { (KNEE + ROOM * (over / ROOM).tanh()).copysign(sample) }
}
