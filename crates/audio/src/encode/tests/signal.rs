//! Speech-like test audio, and comparison with a decoded copy.

use std::f64::consts::TAU;

use crate::resample::Resampler;

/// `seconds` of a gliding voice at 24 kHz: harmonics under two moving formants, syllables, hiss and pauses.
pub(super) fn speech(seconds: f64) -> Vec<f32> {
    const RATE: f64 = 24_000.0;
    let mut noise = 0x2545_f491_u32;
    let mut phase = 0.0;
    (0..(seconds * RATE) as usize)
        .map(|n| {
            let t = n as f64 / RATE;
            let pitch_hz = 130.0 + 30.0 * (TAU * 0.7 * t).sin();
            phase = (phase + pitch_hz / RATE).fract();
            let formants_hz = [500.0 + 250.0 * (TAU * 1.3 * t).sin(), 1600.0 + 700.0 * (TAU * 0.9 * t).cos()];
            let voice: f64 = (1..=60)
                .take_while(|&k| f64::from(k) * pitch_hz < 9_000.0)
                .map(|k| {
                    let hz = f64::from(k) * pitch_hz;
                    let gain: f64 =
                        formants_hz.iter().map(|f| 1.0 / (1.0 + ((hz - f) / 150.0).powi(2))).sum();
                    (gain + 0.02) * (TAU * phase * f64::from(k)).sin()
                })
                .sum();
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let hiss = f64::from(noise >> 8) / f64::from(1 << 23) - 1.0;
            // Four syllables per second, each ending in hiss, and a pause every other second.
            let beat = (4.0 * t).fract();
            let voiced = (TAU * beat / 1.6).sin().max(0.0);
            let hissing = if beat > 0.85 { 0.03 } else { 0.0 };
            let pause = if t % 2.0 > 1.75 { 0.0 } else { 1.0 };
            (pause * (0.12 * voiced * voice + hissing * hiss)) as f32
        })
        .collect()
}

/// The samples at another rate.
pub(super) fn resampled(samples: &[f32], from_hz: u32, to_hz: u32) -> Vec<f32> {
    if from_hz == to_hz {
        return samples.to_vec();
    }
    let mut resampler = Resampler::new(from_hz, to_hz).expect("both rates are ordinary");
    let mut out = Vec::new();
    resampler.push(samples, &mut out);
    resampler.finish(&mut out);
    out
}

/// Signal-to-noise ratio of `decoded` against `original` in decibels, aligned at their starts.
pub(super) fn snr_db(original: &[f32], decoded: &[f32]) -> f64 {
    let (mut signal, mut noise) = (0.0, 0.0);
    for (&a, &b) in original.iter().zip(decoded) {
        signal += f64::from(a).powi(2);
        noise += f64::from(a - b).powi(2);
    }
    10.0 * (signal / noise.max(1e-20)).log10()
}

/// Lag of `decoded` relative to `original` in samples: where their first part is most similar, within `±reach`.
pub(super) fn lag(original: &[f32], decoded: &[f32], reach: isize) -> isize {
    let likeness = |lag: isize| -> f64 {
        let (a, b) = if lag >= 0 {
            (original, decoded.get(lag as usize..).unwrap_or(&[]))
        } else {
            (original.get(-lag as usize..).unwrap_or(&[]), decoded)
        };
        a.iter().zip(b).take(16_000).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    (-reach..=reach).max_by(|&a, &b| likeness(a).total_cmp(&likeness(b))).unwrap_or(0)
}
