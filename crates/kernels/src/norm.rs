//! Layer normalisation, alone or after a depthwise convolution. It returns the range of its output, which quantization needs.
//!
//! The two together are the first half of a ConvNeXt block (arXiv:2201.03545): fused, a row is convolved and normalised
//! while it is in the first-level cache.

use std::sync::{Mutex, PoisonError};

use crate::cpu::Isa;
use crate::pool;
use crate::quantized::{ValueRange, value_range};
use crate::vectorize::vectorized;

/// Minimum numbers per task.
const SHARE: usize = 4 * 1024;
/// Channels that are summed together, in registers.
const LANES: usize = 16;
/// Default number added to the variance.
const EPSILON: f32 = 1e-5;

/// Layer normalisation (arXiv:1607.06450).
#[derive(Clone, Debug)]
pub struct LayerNorm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    epsilon: f32,
}

impl LayerNorm {
    /// `weight` and `bias` have one number per channel; epsilon is 1e-5.
    pub fn new(weight: Vec<f32>, bias: Vec<f32>) -> Self {
        Self::with_epsilon(weight, bias, EPSILON)
    }

    /// [`LayerNorm::new`] with another epsilon.
    pub fn with_epsilon(weight: Vec<f32>, bias: Vec<f32>, epsilon: f32) -> Self {
        assert!(weight.len() == bias.len() && !weight.is_empty(), "weight and bias differ in length");
        Self { weight, bias, epsilon }
    }

    /// Normalises each row of `x` into `out`; both are `[rows, channels]`. Returns the range of `out`.
    pub fn apply(&self, x: &[f32], out: &mut [f32]) -> ValueRange {
        let channels = self.weight.len();
        assert!(x.len() == out.len() && x.len().is_multiple_of(channels), "rows of {channels} expected");
        each_row(
            out,
            channels,
            #[inline(always)]
            |row, out| {
                out.copy_from_slice(&x[row * channels..][..channels]);
                self.normalise(out);
            },
        )
    }

    #[inline(always)]
    fn normalise(&self, row: &mut [f32]) {
        let inverse = 1.0 / row.len() as f32;
        let mean = sum(row, |v| v) * inverse;
        let variance = sum(row, |v| (v - mean) * (v - mean)) * inverse;
        let scale = 1.0 / (variance + self.epsilon).sqrt();
        for ((v, w), b) in row.iter_mut().zip(&self.weight).zip(&self.bias) {
            *v = (*v - mean) * scale * w + b;
        }
    }
}

/// Normalisation by the root of the mean square (arXiv:1910.07467).
#[derive(Clone, Debug)]
pub struct RmsNorm {
    weight: Vec<f32>,
    epsilon: f32,
}

impl RmsNorm {
    /// `weight` has one number per channel; `epsilon` is added to the mean square.
    pub fn new(weight: Vec<f32>, epsilon: f32) -> Self {
        assert!(!weight.is_empty(), "at least one channel expected");
        Self { weight, epsilon }
    }

    /// Normalises each row of `x` into `out`; both are `[rows, channels]`.
    pub fn apply(&self, x: &[f32], out: &mut [f32]) {
        let channels = self.weight.len();
        assert!(x.len() == out.len() && x.len().is_multiple_of(channels), "rows of {channels} expected");
        for_each_row(
            out,
            channels,
            #[inline(always)]
            |row, out| {
                let x = &x[row * channels..][..channels];
                let scale = 1.0 / (sum(x, |v| v * v) / channels as f32 + self.epsilon).sqrt();
                for ((out, v), w) in out.iter_mut().zip(x).zip(&self.weight) {
                    *out = v * scale * w;
                }
            },
        );
    }
}

#[inline(always)]
fn sum(row: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let chunks = row.chunks_exact(LANES);
    let rest: f32 = chunks.remainder().iter().map(|&v| f(v)).sum();
    for chunk in chunks {
        for (lane, &v) in lanes.iter_mut().zip(chunk) {
            *lane += f(v);
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// Divides rows of `width` numbers among the pool's threads; `task` gets the row's index and the row, and is compiled for the
/// instruction set in use.
#[inline(always)]
fn for_each_row(out: &mut [f32], width: usize, task: impl Fn(usize, &mut [f32]) + Sync) {
    let share = (SHARE / width).max(1);
    pool::for_each_chunk(out, share * width, |chunk, rows| {
        vectorized(
            Isa::current(),
            #[inline(always)]
            || {
                for (i, row) in rows.chunks_exact_mut(width).enumerate() {
                    task(chunk * share + i, row);
                }
            },
        );
    });
}

/// [`for_each_row`] that returns the range of the output.
#[inline(always)]
fn each_row(out: &mut [f32], width: usize, task: impl Fn(usize, &mut [f32]) + Sync) -> ValueRange {
    let total = Mutex::new(ValueRange::EMPTY);
    let share = (SHARE / width).max(1);
    pool::for_each_chunk(out, share * width, |chunk, rows| {
        let range = vectorized(
            Isa::current(),
            #[inline(always)]
            || {
                // A loop, as the compiler inlines less into iterator adaptors.
                for (i, row) in rows.chunks_exact_mut(width).enumerate() {
                    task(chunk * share + i, row);
                }
                value_range(rows)
            },
        );
        let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
        *total = total.union(range);
    });
    total.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// A depthwise convolution over time: each channel has its own taps. Both ends are padded with zeros.
#[derive(Clone, Debug)]
pub struct DepthwiseConv {
    /// `[width, channels]`.
    taps: Vec<f32>,
    bias: Vec<f32>,
    dilation: usize,
}

impl DepthwiseConv {
    /// `weight` is `[channels, width]` with an odd width, `bias` has one number per channel; taps are `dilation` rows apart.
    pub fn new(weight: &[f32], bias: Vec<f32>, dilation: usize) -> Self {
        let channels = bias.len();
        assert!(channels > 0 && weight.len().is_multiple_of(channels), "whole channels expected");
        let width = weight.len() / channels;
        assert!(width % 2 == 1 && dilation > 0, "width {width} or dilation {dilation} is not allowed");
        let taps = (0..width * channels).map(|i| weight[i % channels * width + i / channels]).collect();
        Self { taps, bias, dilation }
    }

    /// Convolves `x`, normalises each row and writes it to `out`; both are `[rows, channels]`. Returns the range of
    /// `out`.
    pub fn apply_normalised(&self, norm: &LayerNorm, x: &[f32], out: &mut [f32]) -> ValueRange {
        assert_eq!(x.len(), out.len(), "as many rows out as in expected");
        self.apply_normalised_from(0, norm, x, out)
    }

    /// [`DepthwiseConv::apply_normalised`] for as many rows as `out` has, from row `first` of `x` on.
    pub fn apply_normalised_from(
        &self,
        first: usize,
        norm: &LayerNorm,
        x: &[f32],
        out: &mut [f32],
    ) -> ValueRange {
        let channels = self.bias.len();
        assert!(x.len().is_multiple_of(channels), "rows of {channels} expected");
        assert!(
            out.len().is_multiple_of(channels) && first * channels + out.len() <= x.len(),
            "rows {first} to {first} + {} / {channels} are not in x",
            out.len()
        );
        assert_eq!(norm.weight.len(), channels, "the norm has other channels");
        each_row(
            out,
            channels,
            #[inline(always)]
            |row, out| {
                self.convolve(x, first + row, out);
                norm.normalise(out);
            },
        )
    }

    #[inline(always)]
    fn convolve(&self, x: &[f32], row: usize, out: &mut [f32]) {
        let channels = self.bias.len();
        let (rows, width) = (x.len() / channels, self.taps.len() / channels);
        let half = width / 2;
        // Taps whose input lies within the signal.
        let (before, after) = (row / self.dilation, (rows - 1 - row) / self.dilation);
        let taps = half - half.min(before)..half + half.min(after) + 1;
        let x = &x[(row + taps.start * self.dilation - half * self.dilation) * channels..];
        let taps = &self.taps[taps.start * channels..taps.end * channels];
        for first in (0..channels).step_by(LANES) {
            let lanes = LANES.min(channels - first);
            let out = &mut out[first..first + lanes];
            let terms = taps[first..].chunks(channels).zip(x[first..].chunks(self.dilation * channels));
            if lanes == LANES {
                let mut sums = [0.0_f32; LANES];
                sums.copy_from_slice(&self.bias[first..first + LANES]);
                for (tap, x) in terms {
                    for ((sum, tap), x) in sums.iter_mut().zip(&tap[..LANES]).zip(&x[..LANES]) {
                        *sum += tap * x;
                    }
                }
                out.copy_from_slice(&sums);
            } else {
                out.copy_from_slice(&self.bias[first..first + lanes]);
                for (tap, x) in terms {
                    for ((sum, tap), x) in out.iter_mut().zip(tap).zip(x) {
                        *sum += tap * x;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(count: usize, step: f32) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * step).sin() * 2.0 + 0.3).collect()
    }

    #[test]
    fn rows_have_mean_and_spread_of_their_parameters() {
        let x = wave(30 * 200, 0.37);
        let norm = LayerNorm::new(vec![2.0; 200], vec![0.5; 200]);
        let mut out = vec![0.0; x.len()];
        let range = norm.apply(&x, &mut out);
        for row in out.chunks(200) {
            let mean = row.iter().sum::<f32>() / 200.0;
            let spread = (row.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 200.0).sqrt();
            assert!((mean - 0.5).abs() < 1e-5 && (spread - 2.0).abs() < 1e-3, "{mean} {spread}");
        }
        assert_eq!(range, ValueRange::of(&out));
    }

    #[test]
    fn epsilon_is_applied_and_root_mean_squares_become_one() {
        let mut out = [0.0; 20];
        let x: Vec<f32> = (0..20).map(|i| if i % 2 == 0 { 1e-3 } else { -1e-3 }).collect();
        LayerNorm::with_epsilon(vec![1.0; 20], vec![0.0; 20], 3e-6).apply(&x, &mut out);
        // Variance 1e-6 and epsilon 3e-6 together have the root 2e-3.
        assert!(out.iter().all(|v| (v.abs() - 0.5).abs() < 1e-5), "{out:?}");

        let (rows, channels) = (30, 203);
        let (x, weight) = (wave(rows * channels, 0.37), wave(channels, 0.9));
        let mut got = vec![0.0; x.len()];
        RmsNorm::new(weight.clone(), 1e-6).apply(&x, &mut got);
        for (x, got) in x.chunks(channels).zip(got.chunks(channels)) {
            let square = x.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / channels as f64;
            for ((x, w), got) in x.iter().zip(&weight).zip(got) {
                let want = f64::from(*x) / (square + 1e-6).sqrt() * f64::from(*w);
                assert!((f64::from(*got) - want).abs() < 1e-5, "{got}, expected {want}");
            }
        }
    }

    #[test]
    fn convolutions_match_their_definition() {
        let sizes =
            [(1, 16, 7, 1), (2, 5, 7, 4), (3, 40, 5, 1), (60, 32, 7, 2), (300, 33, 3, 3), (9, 16, 7, 9)];
        for (rows, channels, width, dilation) in sizes {
            let (x, weight) = (wave(rows * channels, 0.7), wave(channels * width, 1.3));
            let conv = DepthwiseConv::new(&weight, wave(channels, 0.1), dilation);
            let norm = LayerNorm::new(vec![1.0; channels], vec![0.0; channels]);
            let mut got = vec![0.0; rows * channels];
            conv.apply_normalised(&norm, &x, &mut got);
            let part = rows / 3..rows - rows / 4;
            let mut got_part = vec![0.0; part.len() * channels];
            conv.apply_normalised_from(part.start, &norm, &x, &mut got_part);
            assert_eq!(got_part, got[part.start * channels..part.end * channels]);
            let mut plain = vec![0.0; rows * channels];
            for t in 0..rows {
                for c in 0..channels {
                    plain[t * channels + c] = conv.bias[c];
                    for k in 0..width {
                        let from = (t + k * dilation).checked_sub(width / 2 * dilation);
                        if let Some(from) = from.filter(|&from| from < rows) {
                            plain[t * channels + c] += weight[c * width + k] * x[from * channels + c];
                        }
                    }
                }
            }
            let mut want = vec![0.0; rows * channels];
            norm.apply(&plain, &mut want);
            for (i, (got, want)) in got.iter().zip(&want).enumerate() {
                assert!(
                    (got - want).abs() < 1e-4,
                    "{rows}x{channels}x{width}/{dilation} at {i}: {got}, {want}"
                );
            }
        }
    }
}
