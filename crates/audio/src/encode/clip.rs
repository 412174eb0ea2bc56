//! What keeps samples within full scale before they meet a codec.

/// From here on the curve bends: −0.28 dB. Sound below passes unchanged to the bit.
const KNEE: f32 = 31.0 / 32.0;
/// Bound on what enters the resampler: 12 dB over full scale. Sound never gets there; a stray huge number would ring
/// over a whole block.
const CEILING: f32 = 4.0;

/// The sample, with silence for what is no number and a bound on what is too large.
pub(super) fn sane(sample: f32) -> f32 {
    if sample.is_nan() { 0.0 } else { sample.clamp(-CEILING, CEILING) }
}

/// Bends what lies above the knee so that it nears full scale and never passes it: an overshoot is rounded, not cut.
pub(super) fn soft(sample: f32) -> f32 {
    const ROOM: f32 = 1.0 - KNEE;
    let over = sample.abs() - KNEE;
    if over <= 0.0 { sample } else { (KNEE + ROOM * (over / ROOM).tanh()).copysign(sample) }
}
