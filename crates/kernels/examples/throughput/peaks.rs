//! Arithmetic and nothing else, in registers: what no kernel can be faster than.

use std::hint::black_box;

const ROUNDS: usize = 1 << 20;
/// Sums that are under way at once: enough for four cycles of latency at two a cycle, and a reserve.
const SUMS: usize = 12;

/// Operations of [`multiply_floats`], a multiplication and an addition counted as two.
pub(crate) const FLOAT_OPERATIONS: usize = 2 * ROUNDS * SUMS * FLOATS;
/// Operations of [`multiply_integers`].
pub(crate) const INTEGER_OPERATIONS: usize = 2 * ROUNDS * SUMS * INTEGERS;

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{multiply_floats, multiply_integers};

#[cfg(not(target_arch = "x86_64"))]
pub(crate) use plain::{multiply_floats, multiply_integers};

/// Floats of a register.
#[cfg(target_arch = "x86_64")]
const FLOATS: usize = 8;
/// Products of integers of 16 bits that an instruction adds up.
#[cfg(target_arch = "x86_64")]
const INTEGERS: usize = 32;

#[cfg(not(target_arch = "x86_64"))]
const FLOATS: usize = 4;
#[cfg(not(target_arch = "x86_64"))]
const INTEGERS: usize = 4;

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use mynah_kernels::cpu::Isa;

    use super::*;

    /// f32 by fused multiplication and addition.
    pub(crate) fn multiply_floats() {
        match Isa::current() {
            Isa::Scalar => panic!("no peak is known of plain Rust"),
            // SAFETY: the CPU has AVX-512 F.
            Isa::Avx512Vnni => unsafe { floats_wide() },
            // SAFETY: every other set has AVX2 and FMA.
            _ => unsafe { floats() },
        }
    }

    /// i16 by i16, summed in i32.
    pub(crate) fn multiply_integers() {
        match Isa::current() {
            // SAFETY: the CPU has these sets.
            Isa::Avx512Vnni => unsafe { integers_vnni() },
            // SAFETY: every other set but the plainest has AVX2.
            _ => unsafe { integers() },
        }
    }

    #[target_feature(enable = "avx2,fma")]
    fn floats() {
        let (a, b) = (_mm256_set1_ps(black_box(0.5)), _mm256_set1_ps(black_box(0.25)));
        let mut sums = [_mm256_setzero_ps(); SUMS];
        for _ in 0..ROUNDS {
            sums.iter_mut().for_each(|sum| *sum = _mm256_fmadd_ps(a, b, *sum));
        }
        black_box(sums);
    }

    /// Half the instructions, each of twice the numbers.
    #[target_feature(enable = "avx512f")]
    fn floats_wide() {
        let (a, b) = (_mm512_set1_ps(black_box(0.5)), _mm512_set1_ps(black_box(0.25)));
        let mut sums = [_mm512_setzero_ps(); SUMS];
        for _ in 0..ROUNDS / 2 {
            sums.iter_mut().for_each(|sum| *sum = _mm512_fmadd_ps(a, b, *sum));
        }
        black_box(sums);
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    fn integers_vnni() {
        let (a, b) = (_mm512_set1_epi16(black_box(3)), _mm512_set1_epi16(black_box(5)));
        let mut sums = [_mm512_setzero_si512(); SUMS];
        for _ in 0..ROUNDS {
            sums.iter_mut().for_each(|sum| *sum = _mm512_dpwssd_epi32(*sum, a, b));
        }
        black_box(sums);
    }

    /// Two instructions of 16 products and two additions a sum.
    #[target_feature(enable = "avx2")]
    fn integers() {
        let (a, b) = (_mm256_set1_epi16(black_box(3)), _mm256_set1_epi16(black_box(5)));
        let mut sums = [_mm256_setzero_si256(); SUMS];
        for _ in 0..2 * ROUNDS {
            let a = black_box(a);
            sums.iter_mut().for_each(|sum| *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(a, b)));
        }
        black_box(sums);
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod plain {
    use super::*;

    /// f32 as the compiler vectorises it.
    pub(crate) fn multiply_floats() {
        let (a, b) = (black_box([0.5_f32; FLOATS]), black_box([0.25_f32; FLOATS]));
        let mut sums = [[0.0_f32; FLOATS]; SUMS];
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                for i in 0..FLOATS {
                    sum[i] = a[i].mul_add(b[i], sum[i]);
                }
            }
        }
        black_box(sums);
    }

    /// i16 by i16, summed in i32, as the compiler vectorises it.
    pub(crate) fn multiply_integers() {
        let (a, b) = (black_box([3_i16; INTEGERS]), black_box([5_i16; INTEGERS]));
        let mut sums = [[0_i32; INTEGERS]; SUMS];
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                for i in 0..INTEGERS {
                    sum[i] = sum[i].wrapping_add(i32::from(a[i]) * i32::from(b[i]));
                }
            }
        }
        black_box(sums);
    }
}
