//! The harmonic excitation: a pulse train at the pitch.

use mynah_kernels::vecmath::sin_cos_turns;

/// Samples per second.
pub const SAMPLE_RATE: u32 = 24_000;
/// Samples from one frame to the next: 12.5 ms.
pub const HOP_LENGTH: usize = 300;

/// Frames with a pitch below this are unvoiced.
const LOWEST_HZ: f32 = 40.0;
/// Highest frequency of the harmonics.
const HIGHEST_HZ: f32 = 11_000.0;

/// The excitation of an utterance, computed up to the frames needed so far.
#[derive(Default)]
pub(super) struct Excitation {
    samples: Vec<f32>,
    phase_turns: f64,
}

impl Excitation {
    /// Samples computed so far.
    pub(super) fn samples(&self) -> &[f32] {
        &self.samples
    }

    /// Extends the excitation to frame `end`, HOP_LENGTH samples per frame: the sum of cosines at the pitch and its
    /// multiples up to [`HIGHEST_HZ`], zero where the pitch is below [`LOWEST_HZ`]. The pitch is interpolated between
    /// the frames' centres.
    pub(super) fn extend(&mut self, f0_hz: &[f32], end: usize) {
        let mut pitch = [0.0_f32; HOP_LENGTH];
        let mut phases_turns = [0.0_f64; HOP_LENGTH];
        // The angles (h + 1/2) * phase and phase / 2; h is the number of harmonics.
        let (mut wide, mut half) = ([0.0_f32; HOP_LENGTH], [0.0_f32; HOP_LENGTH]);
        let (mut wide_sin, mut half_sin, mut cos) = ([0.0; HOP_LENGTH], [0.0; HOP_LENGTH], [0.0; HOP_LENGTH]);
        for frame in self.samples.len() / HOP_LENGTH..end {
            interpolate(f0_hz, frame, &mut pitch);
            for (phase, f0) in phases_turns.iter_mut().zip(&pitch) {
                *phase = f64::from(f0.max(LOWEST_HZ)) / f64::from(SAMPLE_RATE);
            }
            for phase in &mut phases_turns {
                self.phase_turns += *phase;
                *phase = self.phase_turns;
            }
            self.phase_turns = within_a_turn(self.phase_turns);
            let angles = wide.iter_mut().zip(&mut half);
            for (((wide, half), &phase), f0) in angles.zip(&phases_turns).zip(&pitch) {
                // Whole turns are subtracted in double precision.
                *wide = within_a_turn((f64::from(harmonics(f0.max(LOWEST_HZ))) + 0.5) * phase) as f32;
                *half = within_a_turn(0.5 * phase) as f32;
            }
            let first = self.samples.len();
            self.samples.resize(first + HOP_LENGTH, 0.0);
            if pitch.iter().all(|&f0| f0 <= LOWEST_HZ) {
                continue;
            }
            sin_cos_turns(&wide, &mut wide_sin, &mut cos);
            sin_cos_turns(&half, &mut half_sin, &mut cos);
            for (i, out) in self.samples[first..].iter_mut().enumerate() {
                // sum_{h=1}^{H} cos(h t) = sin((H + 1/2) t) / (2 sin(t / 2)) - 1/2, and H if t is a multiple of 2 pi.
                let divisor = 2.0 * half_sin[i];
                *out = if pitch[i] <= LOWEST_HZ {
                    0.0
                } else if divisor.abs() <= 2e-3 {
                    harmonics(pitch[i])
                } else {
                    wide_sin[i] / divisor - 0.5
                };
            }
        }
    }
}

/// Reduces an angle in turns to -1/2 to 1/2.
fn within_a_turn(turns: f64) -> f64 {
    /// Adding and subtracting 1.5 * 2^52 rounds to the nearest integer; the compiler vectorises this.
    const TO_INTEGER: f64 = 6_755_399_441_055_744.0;
    turns - (turns + TO_INTEGER - TO_INTEGER)
}

/// Number of harmonics of a pitch.
fn harmonics(f0_hz: f32) -> f32 {
    (HIGHEST_HZ / f0_hz) as i32 as f32
}

/// Pitch at each sample of a frame: linear between the frames' centres, constant before the first and after the last.
fn interpolate(f0_hz: &[f32], frame: usize, out: &mut [f32; HOP_LENGTH]) {
    let here = f0_hz[frame];
    let before = f0_hz[frame.saturating_sub(1)];
    let after = f0_hz.get(frame + 1).copied().unwrap_or(here);
    for (i, out) in out.iter_mut().enumerate() {
        // Distance from this frame's centre, in frames.
        let at = (i as f32 + 0.5) / HOP_LENGTH as f32 - 0.5;
        *out = if at < 0.0 { here + (here - before) * at } else { here + (after - here) * at };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excitation(f0_hz: &[f32]) -> Vec<f32> {
        let mut excitation = Excitation::default();
        (0..=f0_hz.len()).for_each(|end| excitation.extend(f0_hz, end));
        excitation.samples
    }

    #[test]
    fn excitation_is_the_sum_of_its_harmonics() {
        let f0 = 240.0;
        let out = excitation(&[f0; 4]);
        for (i, &got) in out.iter().enumerate() {
            let phase = std::f64::consts::TAU * f64::from(f0) * (i + 1) as f64 / f64::from(SAMPLE_RATE);
            let want: f64 = (1..=45).map(|h| (f64::from(h) * phase).cos()).sum();
            assert!((f64::from(got) - want).abs() < 2e-3, "{i}: {got}, expected {want}");
        }
    }

    #[test]
    fn frames_without_pitch_are_silent() {
        let out = excitation(&[0.0, -3.0, 0.0, 0.0, 200.0, 200.0]);
        assert!(out[..3 * HOP_LENGTH + HOP_LENGTH / 2].iter().all(|&v| v == 0.0));
        assert!(out[4 * HOP_LENGTH..].iter().any(|&v| v > 10.0));
        assert!(excitation(&[]).is_empty());
        // A pitch above the highest harmonic gives silence; no input panics.
        assert!(excitation(&[20_000.0; 2]).iter().all(|v| v.abs() < 1e-3));
        assert!(excitation(&[f32::NAN, f32::INFINITY, 1e30]).len() == 3 * HOP_LENGTH);
    }

    #[test]
    fn the_pitch_is_interpolated() {
        let mut out = [0.0; HOP_LENGTH];
        interpolate(&[100.0, 200.0, 400.0], 1, &mut out);
        assert!((out[0] - 150.0).abs() < 0.5 && (out[HOP_LENGTH - 1] - 300.0).abs() < 0.5);
        assert!((out[149] - 200.0).abs() < 0.5 && (out[150] - 200.0).abs() < 0.5);
        interpolate(&[100.0, 200.0], 0, &mut out);
        assert_eq!(out[0], 100.0);
    }
}
