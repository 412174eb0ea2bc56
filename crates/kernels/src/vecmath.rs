//! Elementary functions of slices, with an error of about one unit in the last place of f32.
//!
//! Written without branches, so that the compiler vectorises the loops. Results are bit-identical
//! on every machine.

use crate::cpu::Isa;
use crate::vectorize::vectorized;

/// Adding 1.5 * 2^23 leaves no bits for a fraction, for magnitudes below 2^22: subtracting it again gives the nearest integer,
/// which is also in the sum's low bits.
pub(crate) const TO_INTEGER: f32 = 12_582_912.0;

/// e^x, in place; 0 below -87.3, e^88.3 above 88.3.
pub fn exp(x: &mut [f32]) {
    vectorized(
        Isa::current(),
        #[inline(always)]
        || x.iter_mut().for_each(|x| *x = exp_of(*x)),
    );
}

/// Sum of `e^((x - origin) * scale)` over all numbers.
pub fn sum_exp(x: &[f32], origin: f32, scale: f32) -> f32 {
    vectorized(
        Isa::current(),
        #[inline(always)]
        || {
            let (blocks, rest) = x.as_chunks::<16>();
            let mut lanes = [0.0_f32; 16];
            for block in blocks {
                for (lane, x) in lanes.iter_mut().zip(block) {
                    *lane += exp_of((x - origin) * scale);
                }
            }
            let rest: f32 = rest.iter().map(|x| exp_of((x - origin) * scale)).sum();
            lanes.iter().sum::<f32>() + rest
        },
    )
}

#[inline(always)]
fn exp_of(x: f32) -> f32 {
    let clamped = x.clamp(-87.3, 88.3);
    // x = n ln 2 + r, |r| <= ln 2 / 2; ln 2 in two parts keeps r exact (Cody and Waite, Software Manual for the
    // Elementary Functions, 1980).
    let shifted = clamped * std::f32::consts::LOG2_E + TO_INTEGER;
    let n = shifted - TO_INTEGER;
    let r = (clamped - n * 0.693_359_4) + n * 2.121_944_4e-4;
    // Taylor series; the remainder is below 2e-8.
    let p = 1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r / 720.0)))));
    let exponent = shifted.to_bits().wrapping_sub(TO_INTEGER.to_bits()).wrapping_add(127) << 23;
    if x < -87.3 { 0.0 } else { p * f32::from_bits(exponent) }
}

/// GELU (arXiv:1606.08415), within 2e-6.
#[inline(always)]
pub(crate) fn gelu_of(x: f32) -> f32 {
    // erf(z) = z p(z^2) / q(z^2) within 5e-8 up to 3.92, where it is 1 - 3e-8: a minimax fit of these degrees.
    let z = (x * std::f32::consts::FRAC_1_SQRT_2).clamp(-3.92, 3.92);
    let t = z * z;
    let p = 1.128_378_8
        + t * (0.206_128_98
            + t * (0.051_399_246
                + t * (0.003_973_528_3 + t * (1.490_027_2e-4 + t * (-1.994_366_8e-6 + t * 1.992_116_8e-8)))));
    let q = 1.0 + t * (0.516_005_8 + t * (0.117_570_68 + t * (0.014_890_49 + t * 0.001_024_280_7)));
    0.5 * x * (1.0 + z * p / q)
}

/// A gated unit (SwiGLU, arXiv:2002.05202): rows of `gate_up` have `width` gates and then `width` values; rows of `out`
/// become `silu(gate) * value`, with `silu(x) = x / (1 + e^-x)`.
pub fn swiglu(gate_up: &[f32], width: usize, out: &mut [f32]) {
    assert!(gate_up.len() == 2 * out.len() && out.len().is_multiple_of(width.max(1)), "rows do not fit");
    vectorized(
        Isa::current(),
        #[inline(always)]
        || {
            for (row, out) in gate_up.chunks_exact(2 * width).zip(out.chunks_exact_mut(width)) {
                let (gates, values) = row.split_at(width);
                for ((out, gate), value) in out.iter_mut().zip(gates).zip(values) {
                    *out = gate / (1.0 + exp_of(-gate)) * value;
                }
            }
        },
    );
}

/// The hyperbolic tangent, in place.
pub fn tanh(x: &mut [f32]) {
    vectorized(
        Isa::current(),
        #[inline(always)]
        || {
            x.iter_mut().for_each(|x| *x = 1.0 - 2.0 / (exp_of(2.0 * *x) + 1.0));
        },
    );
}

/// The natural logarithm of positive normal numbers, in place.
pub fn ln(x: &mut [f32]) {
    vectorized(
        Isa::current(),
        #[inline(always)]
        || x.iter_mut().for_each(|x| *x = ln_of(*x)),
    );
}

#[inline(always)]
pub(crate) fn ln_of(x: f32) -> f32 {
    // x = 2^e m with m between sqrt(1/2) and sqrt(2).
    let shifted = x.to_bits().wrapping_sub(std::f32::consts::FRAC_1_SQRT_2.to_bits());
    let e = (shifted as i32 >> 23) as f32;
    let m = f32::from_bits((shifted & 0x007f_ffff).wrapping_add(std::f32::consts::FRAC_1_SQRT_2.to_bits()));
    // ln m = 2 artanh s; the remainder is below 1e-9.
    let s = (m - 1.0) / (m + 1.0);
    let s2 = s * s;
    let series = 2.0 + s2 * (2.0 / 3.0 + s2 * (2.0 / 5.0 + s2 * (2.0 / 7.0 + s2 * (2.0 / 9.0))));
    e * 0.693_359_4 + (s * series - e * 2.121_944_4e-4)
}

/// Sine and cosine of angles in turns (1 is a full circle), for magnitudes below 2^20.
pub fn sin_cos_turns(turns: &[f32], sin: &mut [f32], cos: &mut [f32]) {
    assert!(turns.len() == sin.len() && turns.len() == cos.len(), "slices differ in length");
    vectorized(
        Isa::current(),
        #[inline(always)]
        || {
            for ((&turns, sin), cos) in turns.iter().zip(sin).zip(cos) {
                (*sin, *cos) = sin_cos_of(turns);
            }
        },
    );
}

#[inline(always)]
pub(crate) fn sin_cos_of(turns: f32) -> (f32, f32) {
    // Quarter turns q and a remaining angle of at most an eighth of a turn.
    let shifted = 4.0 * turns + TO_INTEGER;
    let q = shifted.to_bits();
    let x = (turns - (shifted - TO_INTEGER) * 0.25) * std::f32::consts::TAU;
    let x2 = x * x;
    // Taylor series; for |x| <= pi / 4 the remainder is below 3e-9 and 2e-10.
    let s =
        x * (1.0 + x2 * (-1.0 / 6.0 + x2 * (1.0 / 120.0 + x2 * (-1.0 / 5040.0 + x2 * (1.0 / 362_880.0)))));
    let c = 1.0
        + x2 * (-0.5
            + x2 * (1.0 / 24.0 + x2 * (-1.0 / 720.0 + x2 * (1.0 / 40_320.0 - x2 * (1.0 / 3_628_800.0)))));
    let (sin, cos) = if q & 1 == 0 { (s, c) } else { (c, s) };
    // Quarters 2 and 3 negate the sine, 1 and 2 the cosine.
    let sin_sign = (q & 2) << 30;
    let cos_sign = ((q.wrapping_add(1)) & 2) << 30;
    (f32::from_bits(sin.to_bits() ^ sin_sign), f32::from_bits(cos.to_bits() ^ cos_sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asserts that `got` is within `relative` of `want`, or within 1e-7.
    fn close(name: &str, x: f32, got: f32, want: f64, relative: f64) {
        assert!(
            (f64::from(got) - want).abs() <= 1e-7 + relative * want.abs(),
            "{name}({x}) is {got}, not {want}"
        );
    }

    #[test]
    fn sum_exp_matches_the_sum_of_single_exponentials() {
        for n in [0, 1, 15, 16, 17, 1000] {
            let x: Vec<f32> = (0..n).map(|i| ((i * 37) % 101) as f32 * 0.1 - 5.0).collect();
            for (origin, scale) in [(5.0, 1.0), (5.0, 2.5), (0.0, 1.0)] {
                let term = |&x: &f32| ((f64::from(x) - f64::from(origin)) * f64::from(scale)).exp();
                let want: f64 = x.iter().map(term).sum();
                let got = f64::from(sum_exp(&x, origin, scale));
                assert!((got - want).abs() <= 2e-6 * want, "{n} numbers: {got}, expected {want}");
            }
        }
        assert_eq!(sum_exp(&[f32::NEG_INFINITY; 20], 0.0, 1.0), 0.0);
    }

    #[test]
    fn gated_units_match_their_definition() {
        for width in [1, 7, 16, 33] {
            let x: Vec<f32> = (0..3 * 2 * width).map(|i| ((i * 37) % 101) as f32 * 0.4 - 20.0).collect();
            let mut got = vec![0.0; 3 * width];
            swiglu(&x, width, &mut got);
            for (i, &got) in got.iter().enumerate() {
                let gate = f64::from(x[i / width * 2 * width + i % width]);
                let value = f64::from(x[i / width * 2 * width + width + i % width]);
                close("swiglu", gate as f32, got, gate / (1.0 + (-gate).exp()) * value, 1e-6);
            }
        }
    }

    #[test]
    fn functions_match_the_library() {
        let x: Vec<f32> = (-9_000..=9_000).map(|i| i as f32 * 0.009_7).collect();
        let mut y = x.clone();
        exp(&mut y);
        x.iter().zip(&y).for_each(|(&x, &y)| close("exp", x, y, f64::from(x).min(88.3).exp(), 3e-7));
        y.copy_from_slice(&x);
        tanh(&mut y);
        x.iter().zip(&y).for_each(|(&x, &y)| close("tanh", x, y, f64::from(x).tanh(), 2e-7));
        let (mut sin, mut cos) = (x.clone(), x.clone());
        sin_cos_turns(&x, &mut sin, &mut cos);
        for ((&x, &sin), &cos) in x.iter().zip(&sin).zip(&cos) {
            // The spacing of f32 at x, times tau, limits the accuracy of the angle.
            let (want_sin, want_cos) = (f64::from(x) * std::f64::consts::TAU).sin_cos();
            close("sin", x, sin, want_sin, 2e-7);
            close("cos", x, cos, want_cos, 2e-7);
        }
        let mut y: Vec<f32> =
            (1..20_000).map(|i| i as f32 * 5e-5).chain([1e-30, 2.0_f32.powi(-33), 1e30]).collect();
        let x = y.clone();
        ln(&mut y);
        x.iter().zip(&y).for_each(|(&x, &y)| close("ln", x, y, f64::from(x).ln(), 3e-7));
    }

    #[test]
    fn gelu_is_close_to_its_definition() {
        // x Phi(x), with Phi by Simpson's rule.
        let density = |t: f64| (-t * t / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
        for i in -100..=100 {
            let x = f64::from(i) * 0.1;
            let h = x / 400.0;
            let inner: f64 =
                (1..400).map(|k| density(f64::from(k) * h) * if k % 2 == 1 { 4.0 } else { 2.0 }).sum();
            let want = x * (0.5 + h / 3.0 * (density(0.0) + inner + density(x)));
            let got = f64::from(gelu_of(x as f32));
            assert!((got - want).abs() < 2e-6, "gelu({x}) is {got}, not {want}");
        }
    }

    #[test]
    fn extremes_stay_in_range() {
        let mut x = [f32::NEG_INFINITY, -1e9, 1e9, f32::INFINITY];
        tanh(&mut x);
        assert_eq!(x, [-1.0, -1.0, 1.0, 1.0]);
        let mut x = [f32::NEG_INFINITY, -1e9, 1e9];
        exp(&mut x);
        assert!(x[0] == 0.0 && x[1] == 0.0 && x[2].is_finite());
    }
}
