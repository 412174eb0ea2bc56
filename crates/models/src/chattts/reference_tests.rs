//! Compares every stage with the reference implementation, on a tiny random model.

mod audio;
mod chain;
mod fixture;
mod language_model;

use std::sync::LazyLock;

pub(super) use fixture::model;

use super::*;

/// The context of a job that is never cancelled and never waits.
fn unscheduled() -> JobContext<'static> {
    static NEVER: LazyLock<CancelFlag> = LazyLock::new(CancelFlag::new);
    JobContext::unscheduled(&NEVER)
}

/// The largest allowed error, relative to the largest number of a tensor. Two implementations in f32 with different
/// orders of summation stay a hundred times below.
const TOLERANCE: f64 = 2e-4;

/// Fails where `found` is further from `expected` than `tolerance` times the largest number expected.
fn assert_close(what: &str, found: &[f32], expected: &[f32], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0_f64, |m, v| m.max(f64::from(*v).abs()));
    let off = |(a, b): (&f32, &f32)| f64::from((a - b).abs());
    let worst = found.iter().zip(expected).map(off).fold(0.0, f64::max);
    assert!(
        found.iter().all(|v| v.is_finite()) && worst <= tolerance * (largest + 1e-6),
        "{what}: {worst} of {largest}"
    );
}

/// `[channels, frames]` as `[frames, channels]`.
fn transposed(values: &[f32], channels: usize) -> Vec<f32> {
    let frames = values.len() / channels;
    (0..values.len()).map(|i| values[i % channels * frames + i / channels]).collect()
}
