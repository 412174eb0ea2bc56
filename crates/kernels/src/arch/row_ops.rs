//! A vector and rows: its dot product with each row, and a weighted sum of rows. `at` gives the start of each row.

use crate::cpu::Isa;
use crate::panels::Element;

#[cfg(target_arch = "aarch64")]
use super::neon::Load;
#[cfg(target_arch = "x86_64")]
use x86::Load;

/// Placeholder on machines without a variant of their own.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) trait Load {}
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
impl<T: Element> Load for T {}

/// Element type of rows.
pub(crate) trait Number: Element + Load {}
impl<T: Element + Load> Number for T {}

/// `out[i] = scale * query . row i`, which is `rows[at(i)..][..query.len()]`.
pub(crate) fn products<T: Number>(
    isa: Isa,
    query: &[f32],
    rows: &[T],
    at: impl Fn(usize) -> usize + Copy,
    scale: f32,
    out: &mut [f32],
) {
    assert!((0..out.len()).all(|r| at(r) + query.len() <= rows.len()), "a row is out of bounds");
    match isa {
        // SAFETY: an `Isa` is only returned if the CPU has it; sizes were checked above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(_) | Isa::Avx512Vnni(_) | Isa::Amx(_) => unsafe {
            x86::products(query, rows, at, scale, out);
        },
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(_) | Isa::NeonDotprod(_) => unsafe { neon::products(query, rows, at, scale, out) },
        _ => {
            for (r, out) in out.iter_mut().enumerate() {
                *out = scale * query.iter().zip(&rows[at(r)..]).map(|(a, b)| a * b.to_f32()).sum::<f32>();
            }
        }
    }
}

/// `out += weights[0] row 0 + weights[1] row 1 + ...`; row i is `rows[at(i)..][..out.len()]`.
pub(crate) fn add_weighted<T: Number>(
    isa: Isa,
    weights: &[f32],
    rows: &[T],
    at: impl Fn(usize) -> usize + Copy,
    out: &mut [f32],
) {
    assert!((0..weights.len()).all(|r| at(r) + out.len() <= rows.len()), "a row is out of bounds");
    match isa {
        // SAFETY: an `Isa` is only returned if the CPU has it; sizes were checked above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(_) | Isa::Avx512Vnni(_) | Isa::Amx(_) => unsafe {
            x86::add_weighted(weights, rows, at, out);
        },
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(_) | Isa::NeonDotprod(_) => unsafe { neon::add_weighted(weights, rows, at, out) },
        _ => {
            for (r, weight) in weights.iter().enumerate() {
                out.iter_mut().zip(&rows[at(r)..]).for_each(|(out, v)| *out += weight * v.to_f32());
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use half::f16;

    use crate::panels::Element;

    /// Numbers per register.
    const LANES: usize = 8;
    /// Rows whose products are summed side by side.
    const SIDE_BY_SIDE: usize = 4;

    /// Numbers that are widened as they are read.
    pub(crate) trait Load: Copy {
        /// # Safety
        /// The CPU has AVX2 and F16C; `at` can be read at [`LANES`] places.
        unsafe fn load(at: *const Self) -> __m256;
    }

    impl Load for f32 {
        #[inline]
        #[target_feature(enable = "avx2,fma,f16c")]
        unsafe fn load(at: *const Self) -> __m256 {
            // SAFETY: by the caller's contract.
            unsafe { _mm256_loadu_ps(at) }
        }
    }

    impl Load for f16 {
        #[inline]
        #[target_feature(enable = "avx2,fma,f16c")]
        unsafe fn load(at: *const Self) -> __m256 {
            // SAFETY: by the caller's contract.
            unsafe { _mm256_cvtph_ps(_mm_loadu_si128(at.cast())) }
        }
    }

    /// # Safety
    /// The CPU has AVX2, FMA and F16C; as many rows are there as numbers of `out`.
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) unsafe fn products<T: Element + Load>(
        query: &[f32],
        rows: &[T],
        at: impl Fn(usize) -> usize + Copy,
        scale: f32,
        out: &mut [f32],
    ) {
        let (dim, whole) = (query.len(), query.len() / LANES * LANES);
        let rest = |row: &[T]| -> f32 {
            query[whole..].iter().zip(&row[whole..]).map(|(a, b)| a * b.to_f32()).sum()
        };
        let mut groups = out.chunks_exact_mut(SIDE_BY_SIDE);
        let mut first = 0;
        for out in &mut groups {
            let mut sums = [_mm256_setzero_ps(); SIDE_BY_SIDE];
            let begins: [usize; SIDE_BY_SIDE] = std::array::from_fn(|i| at(first + i));
            for k in (0..whole).step_by(LANES) {
                // SAFETY: k + LANES <= dim, and the group's rows are there.
                unsafe {
                    let q = _mm256_loadu_ps(query.as_ptr().add(k));
                    for (sum, begin) in sums.iter_mut().zip(begins) {
                        *sum = _mm256_fmadd_ps(q, T::load(rows.as_ptr().add(begin + k)), *sum);
                    }
                }
            }
            let [a, b, c, d] = sums;
            let pairs = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
            let total = _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps::<1>(pairs));
            // SAFETY: the group has four places.
            unsafe { _mm_storeu_ps(out.as_mut_ptr(), total) };
            for (out, begin) in out.iter_mut().zip(begins) {
                *out = scale * (*out + rest(&rows[begin..][..dim]));
            }
            first += SIDE_BY_SIDE;
        }
        for (i, out) in groups.into_remainder().iter_mut().enumerate() {
            let row = &rows[at(first + i)..][..dim];
            let mut sum = _mm256_setzero_ps();
            for k in (0..whole).step_by(LANES) {
                // SAFETY: k + LANES <= dim, the length of both.
                unsafe {
                    let q = _mm256_loadu_ps(query.as_ptr().add(k));
                    sum = _mm256_fmadd_ps(q, T::load(row.as_ptr().add(k)), sum);
                }
            }
            let mut lanes = [0.0_f32; LANES];
            // SAFETY: `lanes` has eight places.
            unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), sum) };
            *out = scale * (lanes.iter().sum::<f32>() + rest(row));
        }
    }

    /// # Safety
    /// The CPU has AVX2, FMA and F16C; as many rows are there as weights.
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) unsafe fn add_weighted<T: Element + Load>(
        weights: &[f32],
        rows: &[T],
        at: impl Fn(usize) -> usize + Copy,
        out: &mut [f32],
    ) {
        let (dim, mut column) = (out.len(), 0);
        // SAFETY: each call's columns are within the rows and `out`.
        unsafe {
            while column + 8 * LANES <= dim {
                add_columns::<T, 8>(weights, rows, at, column, out);
                column += 8 * LANES;
            }
            while column + LANES <= dim {
                add_columns::<T, 1>(weights, rows, at, column, out);
                column += LANES;
            }
        }
        for (r, weight) in weights.iter().enumerate() {
            let row = &rows[at(r)..][..dim];
            out[column..].iter_mut().zip(&row[column..]).for_each(|(out, v)| *out += weight * v.to_f32());
        }
    }

    /// The columns from `column` on, which stay in `REGISTERS` registers.
    ///
    /// # Safety
    /// As [`add_weighted`], and `REGISTERS * LANES` columns are there.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn add_columns<T: Load, const REGISTERS: usize>(
        weights: &[f32],
        rows: &[T],
        at: impl Fn(usize) -> usize,
        column: usize,
        out: &mut [f32],
    ) {
        // SAFETY: by the contract, here and below.
        let mut sums: [__m256; REGISTERS] =
            std::array::from_fn(|i| unsafe { _mm256_loadu_ps(out.as_ptr().add(column + i * LANES)) });
        for (r, &weight) in weights.iter().enumerate() {
            let (weight, begin) = (_mm256_set1_ps(weight), at(r) + column);
            for (i, sum) in sums.iter_mut().enumerate() {
                // SAFETY: as above.
                let row = unsafe { T::load(rows.as_ptr().add(begin + i * LANES)) };
                *sum = _mm256_fmadd_ps(weight, row, *sum);
            }
        }
        for (i, sum) in sums.into_iter().enumerate() {
            // SAFETY: as above.
            unsafe { _mm256_storeu_ps(out.as_mut_ptr().add(column + i * LANES), sum) };
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod neon {
    use std::arch::aarch64::*;

    use crate::arch::neon::Load;
    use crate::panels::Element;

    /// Numbers that are loaded at once, into two registers.
    const LANES: usize = 8;
    /// Rows whose products are summed side by side.
    const SIDE_BY_SIDE: usize = 4;

    /// # Safety
    /// The CPU has NEON; as many rows are there as numbers of `out`.
    #[target_feature(enable = "neon")]
    pub(super) unsafe fn products<T: Element + Load>(
        query: &[f32],
        rows: &[T],
        at: impl Fn(usize) -> usize + Copy,
        scale: f32,
        out: &mut [f32],
    ) {
        let (fours, rest) = out.as_chunks_mut::<SIDE_BY_SIDE>();
        let first_of_rest = fours.len() * SIDE_BY_SIDE;
        // SAFETY: by the caller's contract.
        unsafe {
            for (i, out) in fours.iter_mut().enumerate() {
                *out = products_of(query, rows, std::array::from_fn(|r| at(i * SIDE_BY_SIDE + r)), scale);
            }
            for (i, out) in rest.iter_mut().enumerate() {
                [*out] = products_of(query, rows, [at(first_of_rest + i)], scale);
            }
        }
    }

    /// # Safety
    /// The CPU has NEON; the rows that begin at `begins` are there.
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn products_of<T: Element + Load, const ROWS: usize>(
        query: &[f32],
        rows: &[T],
        begins: [usize; ROWS],
        scale: f32,
    ) -> [f32; ROWS] {
        let (dim, whole) = (query.len(), query.len() / LANES * LANES);
        let mut sums = [[vdupq_n_f32(0.0); 2]; ROWS];
        for k in (0..whole).step_by(LANES) {
            // SAFETY: k + LANES <= dim, and the rows are there.
            unsafe {
                let [q0, q1] = f32::load8(query.as_ptr().add(k));
                for (sum, begin) in sums.iter_mut().zip(begins) {
                    let [v0, v1] = T::load8(rows.as_ptr().add(begin + k));
                    *sum = [vfmaq_f32(sum[0], q0, v0), vfmaq_f32(sum[1], q1, v1)];
                }
            }
        }
        std::array::from_fn(|r| {
            let rest = query[whole..].iter().zip(&rows[begins[r] + whole..][..dim - whole]);
            let rest: f32 = rest.map(|(q, v)| q * v.to_f32()).sum();
            scale * (vaddvq_f32(vaddq_f32(sums[r][0], sums[r][1])) + rest)
        })
    }

    /// # Safety
    /// The CPU has NEON; as many rows are there as weights.
    #[target_feature(enable = "neon")]
    pub(super) unsafe fn add_weighted<T: Element + Load>(
        weights: &[f32],
        rows: &[T],
        at: impl Fn(usize) -> usize + Copy,
        out: &mut [f32],
    ) {
        let (dim, mut column) = (out.len(), 0);
        // SAFETY: each call's columns are within the rows and `out`.
        unsafe {
            while column + 8 * LANES <= dim {
                add_columns::<T, 8>(weights, rows, at, column, out);
                column += 8 * LANES;
            }
            while column + LANES <= dim {
                add_columns::<T, 1>(weights, rows, at, column, out);
                column += LANES;
            }
        }
        for (r, weight) in weights.iter().enumerate() {
            let row = &rows[at(r)..][..dim];
            out[column..].iter_mut().zip(&row[column..]).for_each(|(out, v)| *out += weight * v.to_f32());
        }
    }

    /// The columns from `column` on, which stay in `PAIRS` pairs of registers.
    ///
    /// # Safety
    /// As [`add_weighted`], and `PAIRS * LANES` columns are there.
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn add_columns<T: Load, const PAIRS: usize>(
        weights: &[f32],
        rows: &[T],
        at: impl Fn(usize) -> usize,
        column: usize,
        out: &mut [f32],
    ) {
        // SAFETY: by the contract, here and below.
        let mut sums: [[float32x4_t; 2]; PAIRS] =
            std::array::from_fn(|i| unsafe { f32::load8(out.as_ptr().add(column + i * LANES)) });
        for (r, &weight) in weights.iter().enumerate() {
            let begin = at(r) + column;
            for (i, sum) in sums.iter_mut().enumerate() {
                // SAFETY: as above.
                let [v0, v1] = unsafe { T::load8(rows.as_ptr().add(begin + i * LANES)) };
                *sum = [vfmaq_n_f32(sum[0], v0, weight), vfmaq_n_f32(sum[1], v1, weight)];
            }
        }
        for (i, [v0, v1]) in sums.into_iter().enumerate() {
            // SAFETY: as above.
            unsafe {
                vst1q_f32(out.as_mut_ptr().add(column + i * LANES), v0);
                vst1q_f32(out.as_mut_ptr().add(column + i * LANES + 4), v1);
            }
        }
    }
}
