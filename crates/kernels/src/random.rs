//! Reproducible random numbers with random access to their sequence.
//!
//! Counter-based: number n of a key is Philox 2x32 with seven rounds (Salmon, Moraes, Dror and Shaw, "Parallel Random
//! Numbers: As Easy as 1, 2, 3", SC11) of n. A part of the sequence has the same numbers in whatever order and on whatever
//! thread the parts are computed.

use crate::cpu::Isa;
use crate::vecmath::{ln_of, sin_cos_of};
use crate::vectorize::vectorized;

const MULTIPLIER: u32 = 0xd256_d193;
const WEYL: u32 = 0x9e37_79b9;
const ROUNDS: u32 = 7;

/// Two random words for a counter.
#[inline(always)]
fn philox(key: u32, counter: u64) -> (u32, u32) {
    let (mut left, mut right) = (counter as u32, (counter >> 32) as u32);
    let mut key = key;
    for _ in 0..ROUNDS {
        let product = u64::from(MULTIPLIER) * u64::from(left);
        (left, right) = ((product >> 32) as u32 ^ key ^ right, product as u32);
        key = key.wrapping_add(WEYL);
    }
    (left, right)
}

/// Pairs of independent normally distributed numbers with mean 0 and variance 1 each, in polar form (Box and Muller,
/// Annals of Mathematical Statistics 29, 1958): pair `first + i` of the key's sequence becomes `re[i]`, `im[i]`.
pub fn normal_pairs(key: u32, first: u64, re: &mut [f32], im: &mut [f32]) {
    assert_eq!(re.len(), im.len(), "slices differ in length");
    vectorized(
        Isa::current(),
        #[inline(always)]
        || {
            for (i, (re, im)) in re.iter_mut().zip(im).enumerate() {
                let (a, b) = philox(key, first.wrapping_add(i as u64));
                // Above 0 and at most 1; at least 0 and below 1.
                let uniform = (a >> 8) as f32 * 2.0_f32.powi(-24) + 2.0_f32.powi(-25);
                let turns = (b >> 8) as f32 * 2.0_f32.powi(-24);
                let radius = (-2.0 * ln_of(uniform)).max(0.0).sqrt();
                let (sin, cos) = sin_cos_of(turns);
                (*re, *im) = (radius * cos, radius * sin);
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_matches_the_published_generator() {
        // Known answers that its authors publish: counter words, key, result.
        assert_eq!(philox(0, 0), (0x257a_3673, 0xcd26_be2a));
        assert_eq!(philox(u32::MAX, u64::MAX), (0xab30_2c4d, 0x3dc9_d239));
        assert_eq!(philox(0x1319_8a2e, 0x85a3_08d3_243f_6a88), (0xbedb_be6b, 0xe4c7_70b3));
    }

    #[test]
    fn numbers_are_normal_and_independent_of_the_cut() {
        let count = 200_000;
        let (mut re, mut im) = (vec![0.0; count], vec![0.0; count]);
        normal_pairs(7, 1000, &mut re, &mut im);
        let moment = |power: i32| re.iter().chain(&im).map(|&v| f64::from(v).powi(power)).sum::<f64>() / 4e5;
        // Moments of the standard normal distribution, within four standard errors.
        for (power, want, allowed) in [(1, 0.0, 0.007), (2, 1.0, 0.009), (3, 0.0, 0.025), (4, 3.0, 0.062)] {
            assert!((moment(power) - want).abs() < allowed, "moment {power}: {}", moment(power));
        }
        let correlation: f64 = re.iter().zip(&im).map(|(a, b)| f64::from(a * b)).sum::<f64>() / 2e5;
        let next: f64 = re.windows(2).map(|w| f64::from(w[0] * w[1])).sum::<f64>() / 2e5;
        assert!(correlation.abs() < 0.009 && next.abs() < 0.009, "{correlation} {next}");

        let (mut part_re, mut part_im) = (vec![0.0; 50], vec![0.0; 50]);
        normal_pairs(7, 1123, &mut part_re, &mut part_im);
        assert_eq!((&part_re[..], &part_im[..]), (&re[123..173], &im[123..173]));
        normal_pairs(8, 1123, &mut part_re, &mut part_im);
        assert_ne!(&part_re[..], &re[123..173]);
    }
}
