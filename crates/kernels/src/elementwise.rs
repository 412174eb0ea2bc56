//! Operations on rows: normalisation, softmax, GELU.

use crate::arch;
use crate::cpu::Isa;
use crate::pool;
use crate::vectorize::vectorized;

/// Numbers per task of an element-wise operation: with fewer, distributing it costs more than it saves.
const SHARE: usize = 16 * 1024;

/// Layer normalisation (arXiv:1607.06450) of rows of `weight.len()` numbers, with epsilon 1e-5.
pub fn layer_norm(x: &[f32], weight: &[f32], bias: &[f32], out: &mut [f32]) {
    let width = weight.len();
    assert!(x.len() == out.len() && bias.len() == width && width > 0 && x.len().is_multiple_of(width));
    let rows_per_task = (SHARE / width).max(1);
    pool::for_each_chunk(out, rows_per_task * width, |task, out| {
        let x = &x[task * rows_per_task * width..];
        for (out, x) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            // Sums in eight lanes, which the compiler keeps in registers.
            let mean = sum_lanes(x, |v| v) / width as f32;
            let variance = sum_lanes(x, |v| (v - mean) * (v - mean)) / width as f32;
            let scale = 1.0 / (variance + 1e-5).sqrt();
            for (((o, v), w), b) in out.iter_mut().zip(x).zip(weight).zip(bias) {
                *o = (v - mean) * scale * w + b;
            }
        }
    });
}

fn sum_lanes(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0_f32; 8];
    let chunks = x.chunks_exact(8);
    let rest: f32 = chunks.remainder().iter().map(|&v| f(v)).sum();
    for chunk in chunks {
        for (lane, &v) in lanes.iter_mut().zip(chunk) {
            *lane += f(v);
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// Softmax of one row, in place.
pub fn softmax(row: &mut [f32]) {
    let largest = max(row);
    if largest == f32::NEG_INFINITY {
        return;
    }
    let sum = arch::exp_sum(Isa::current(), row, largest);
    let inverse = 1.0 / sum;
    row.iter_mut().for_each(|v| *v *= inverse);
}

/// `ln(sum(exp(row)))`, without overflow; minus infinity if the row is empty or has only minus infinities. `scratch` is
/// overwritten.
pub fn log_sum_exp(row: &[f32], scratch: &mut Vec<f32>) -> f32 {
    let largest = max(row);
    if largest == f32::NEG_INFINITY {
        return largest;
    }
    scratch.clear();
    scratch.extend_from_slice(row);
    largest + arch::exp_sum(Isa::current(), scratch, largest).ln()
}

/// The largest number; minus infinity for an empty row.
pub fn max(row: &[f32]) -> f32 {
    vectorized(
        Isa::current(),
        #[inline(always)]
        || max_of(row),
    )
}

#[inline(always)]
pub(crate) fn max_of(row: &[f32]) -> f32 {
    // Without `f32::max`'s handling of NaN.
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; 16];
    let (chunks, rest) = row.as_chunks::<16>();
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, &v)| *lane = larger(*lane, v));
    }
    for half in [8, 4, 2, 1] {
        let (low, high) = lanes.split_at_mut(half);
        low.iter_mut().zip(high).for_each(|(low, high)| *low = larger(*low, *high));
    }
    rest.iter().fold(lanes[0], |largest, &v| larger(largest, v))
}

/// GELU by the error function (arXiv:1606.08415), in place.
pub fn gelu(x: &mut [f32]) {
    pool::for_each_chunk(x, SHARE, |_, part| arch::gelu(Isa::current(), part));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layer_norm_has_mean_and_spread_of_its_parameters() {
        let x: Vec<f32> = (0..3 * 20).map(|i| ((i * 37) % 23) as f32 * 0.3 - 2.0).collect();
        let mut out = vec![0.0; x.len()];
        layer_norm(&x, &[2.0; 20], &[0.5; 20], &mut out);
        for row in out.chunks(20) {
            let mean = row.iter().sum::<f32>() / 20.0;
            let spread = (row.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 20.0).sqrt();
            assert!((mean - 0.5).abs() < 1e-5 && (spread - 2.0).abs() < 1e-3, "{mean} {spread}");
        }
    }

    #[test]
    fn exponentials_agree_on_every_instruction_set() {
        let x: Vec<f32> = (-9000..=3000).map(|i| i as f32 * 0.01).collect();
        for isa in Isa::available() {
            let mut got = x.clone();
            let sum = arch::exp_sum(isa, &mut got, 30.0);
            let mut want_sum = 0.0_f64;
            for (got, x) in got.iter().zip(&x) {
                let want = f64::from(x - 30.0).exp();
                want_sum += want;
                assert!(
                    (f64::from(*got) - want).abs() <= 3e-7 * want + 2e-38,
                    "{isa:?}: e^{} is {got}",
                    x - 30.0
                );
            }
            assert!((f64::from(sum) / want_sum - 1.0).abs() < 1e-5);
        }
    }

    #[test]
    fn gelu_matches_its_integral() {
        // Reference: x Phi(x) with Phi by Simpson's rule in f64.
        let phi = |x: f64| {
            let n = 2000;
            let h = x / f64::from(n);
            let f = |t: f64| (-t * t / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
            let inner: f64 = (1..n).map(|i| f(f64::from(i) * h) * if i % 2 == 1 { 4.0 } else { 2.0 }).sum();
            0.5 + h / 3.0 * (f(0.0) + inner + f(x))
        };
        for isa in Isa::available() {
            let x: Vec<f32> = (-60..=60).map(|i| i as f32 * 0.1).collect();
            let mut got = x.clone();
            arch::gelu(isa, &mut got);
            for (got, &x) in got.iter().zip(&x) {
                let want = f64::from(x) * phi(f64::from(x));
                assert!((f64::from(*got) - want).abs() < 1e-6, "{isa:?} at {x}: {got}, expected {want}");
            }
        }
    }

    #[test]
    fn softmax_handles_large_and_infinite_numbers() {
        let mut row = [1000.0, 1000.0, f32::NEG_INFINITY];
        softmax(&mut row);
        assert_eq!(row, [0.5, 0.5, 0.0]);
        let mut scratch = Vec::new();
        assert!((log_sum_exp(&[1000.0, 1000.0], &mut scratch) - 1_000.693_1).abs() < 1e-3);
        assert_eq!(log_sum_exp(&[], &mut scratch), f32::NEG_INFINITY);
    }
}
