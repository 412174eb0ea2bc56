//! Signals, and how near one comes to another.

use std::f64::consts::TAU;

/// The sweep all recordings in `data` hold, at any rate.
pub(crate) fn sweep(rate: u32) -> Vec<f32> {
    let frames = (0.75 * f64::from(rate)).round() as usize;
    (0..frames)
        .map(|n| {
            let t = n as f64 / f64::from(rate);
            (0.5 * (TAU * (200.0 * t + 3800.0 * t * t)).sin()) as f32
        })
        .collect()
}

/// A sine of amplitude one half.
pub(crate) fn sine(hertz: f64, rate: u32, seconds: f64) -> Vec<f32> {
    let frames = (seconds * f64::from(rate)).round() as usize;
    (0..frames).map(|n| (0.5 * (TAU * hertz * n as f64 / f64::from(rate)).sin()) as f32).collect()
}

/// Root mean square.
pub(crate) fn rms(samples: &[f32]) -> f32 {
    (samples.iter().map(|x| x * x).sum::<f32>() / samples.len().max(1) as f32).sqrt()
}

/// How far the wanted signal stands above its difference from what came, in decibels, over their common length.
pub(crate) fn snr(got: &[f32], wanted: &[f32]) -> f64 {
    let energy = |samples: &mut dyn Iterator<Item = f64>| samples.map(|x| x * x).sum::<f64>();
    let error = energy(&mut got.iter().zip(wanted).map(|(a, b)| f64::from(a - b)));
    let signal = energy(&mut wanted.iter().map(|&x| f64::from(x)));
    10.0 * (signal / error.max(1e-30)).log10()
}

/// The shift of `got` against `wanted` at which they agree best, within `range` samples, and the agreement there. The
/// ends, where lossy codecs smear the sudden begin and stop, do not count.
pub(crate) fn best_lag(got: &[f32], wanted: &[f32], range: i64) -> (i64, f64) {
    (-range..=range)
        .map(|lag| {
            let (from, into) = (lag.max(0) as usize, (-lag).max(0) as usize);
            let len = wanted.len().min(got.len()) - range as usize;
            let inner = len / 8..len - len / 8;
            (lag, snr(&got[from..][inner.clone()], &wanted[into..][inner]))
        })
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .expect("a lag")
}
