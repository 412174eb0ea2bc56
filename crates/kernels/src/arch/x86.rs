//! AVX2 with FMA and F16C.

use std::arch::x86_64::*;

use half::f16;

use super::{ERF_A, ERF_P, Scales, Tile};
use crate::panels::PANEL;

/// With more rows than this a tile needs software prefetching: the processor does not prefetch a panel of floats far enough.
pub(super) const MAX_UNPREFETCHED_ROWS: usize = 1;

/// Prefetch distance of a streamed panel, bytes.
pub(super) const AHEAD: usize = 4096;

/// ln 2 in two parts, so that integer multiples of the first are exact (Cody and Waite, 1980).
pub(super) const LN_2_HIGH: f32 = 0.693_359_4;
pub(super) const LN_2_LOW: f32 = -2.121_944_4e-4;

/// Taylor series of e^r from the sixth power down: the remainder is below 2e-8 for |r| <= 0.347.
pub(super) const EXP: [f32; 7] = [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];

/// Panels that can be loaded as registers of f32.
pub(crate) trait LoadPanel: Copy {
    /// # Safety
    /// `at` can be read at [`PANEL`] places.
    unsafe fn load(at: *const Self) -> (__m256, __m256);

    /// # Safety
    /// `at` can be read at [`PANEL`] places; the CPU has AVX-512 F.
    unsafe fn load_wide(at: *const Self) -> __m512;
}

impl LoadPanel for f32 {
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn load(at: *const Self) -> (__m256, __m256) {
        // SAFETY: sixteen numbers are readable by the trait's contract.
        unsafe { (_mm256_loadu_ps(at), _mm256_loadu_ps(at.add(8))) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn load_wide(at: *const Self) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_loadu_ps(at) }
    }
}

impl LoadPanel for f16 {
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn load(at: *const Self) -> (__m256, __m256) {
        // SAFETY: sixteen numbers of two bytes are readable by the trait's contract.
        unsafe {
            (_mm256_cvtph_ps(_mm_loadu_si128(at.cast())), _mm256_cvtph_ps(_mm_loadu_si128(at.add(8).cast())))
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn load_wide(at: *const Self) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(at.cast())) }
    }
}

/// # Safety
/// See [`Tile`]; the CPU has AVX2, FMA and F16C.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) unsafe fn tile<T: LoadPanel>(t: &Tile<f32>, panel: *const T) {
    // SAFETY: by the caller's contract; the constant is the tile's number of rows.
    unsafe { with_rows!(t.rows, [1 2 3 4 5], 6, ROWS => tile_rows::<ROWS, T>(t, panel)) }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn tile_rows<const ROWS: usize, T: LoadPanel>(t: &Tile<f32>, panel: *const T) {
    let mut sums = [[_mm256_setzero_ps(); 2]; ROWS];
    let (mut a, mut b) = (t.a, panel);
    let ahead = t.streamed && ROWS > MAX_UNPREFETCHED_ROWS;
    for _ in 0..t.depth {
        if ahead {
            // Prefetching is allowed for any address.
            _mm_prefetch::<_MM_HINT_T0>(b.cast::<i8>().wrapping_add(AHEAD));
        }
        // SAFETY: `a` and `b` advance over the `depth` steps that the contract grants; they are advanced past the last step
        // with `wrapping_add` and not read there.
        unsafe {
            let (b0, b1) = T::load(b);
            for (r, sum) in sums.iter_mut().enumerate() {
                let x = _mm256_broadcast_ss(&*a.add(r * t.a_row));
                sum[0] = _mm256_fmadd_ps(x, b0, sum[0]);
                sum[1] = _mm256_fmadd_ps(x, b1, sum[1]);
            }
        }
        a = a.wrapping_add(t.a_step);
        b = b.wrapping_add(PANEL);
    }
    // SAFETY: by the caller's contract.
    unsafe { finish(t, &sums) }
}

/// Panels that can be loaded as registers of words.
pub(crate) trait LoadPairs: Copy {
    /// The pairs of eight columns.
    ///
    /// # Safety
    /// `at` can be read at [`PANEL`] places.
    unsafe fn load_half(at: *const Self) -> __m256i;

    /// The pairs of all columns.
    ///
    /// # Safety
    /// `at` can be read at twice [`PANEL`] places; the CPU has AVX-512 F and BW.
    unsafe fn load(at: *const Self) -> __m512i;
}

impl LoadPairs for i8 {
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn load_half(at: *const Self) -> __m256i {
        // SAFETY: sixteen bytes are readable by the trait's contract.
        unsafe { _mm256_cvtepi8_epi16(_mm_loadu_si128(at.cast())) }
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
    unsafe fn load(at: *const Self) -> __m512i {
        // SAFETY: 32 bytes are readable by the trait's contract.
        unsafe { _mm512_cvtepi8_epi16(_mm256_loadu_si256(at.cast())) }
    }
}

impl LoadPairs for i16 {
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn load_half(at: *const Self) -> __m256i {
        // SAFETY: sixteen words are readable by the trait's contract.
        unsafe { _mm256_loadu_si256(at.cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
    unsafe fn load(at: *const Self) -> __m512i {
        // SAFETY: 32 words are readable by the trait's contract.
        unsafe { _mm512_loadu_si512(at.cast()) }
    }
}

/// # Safety
/// See [`super::tile_integers`]; the CPU has AVX2.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) unsafe fn tile_integers<T: LoadPairs>(t: &Tile<i16>, scales: Scales, panel: *const T) {
    // SAFETY: by the caller's contract; the constant is the tile's number of rows.
    unsafe { with_rows!(t.rows, [1 2 3 4 5], 6, ROWS => tile_integers_rows::<T, ROWS>(t, scales, panel)) }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn tile_integers_rows<T: LoadPairs, const ROWS: usize>(
    t: &Tile<i16>,
    scales: Scales,
    panel: *const T,
) {
    let mut sums = [[_mm256_setzero_si256(); 2]; ROWS];
    for pair in 0..t.depth / 2 {
        // SAFETY: pair < depth / 2, so all reads lie within what the contract grants.
        unsafe {
            let b = panel.add(pair * 2 * PANEL);
            let (b0, b1) = (T::load_half(b), T::load_half(b.add(PANEL)));
            for (r, sum) in sums.iter_mut().enumerate() {
                let x = _mm256_set1_epi32(t.a.add(r * t.a_row + 2 * pair).cast::<i32>().read_unaligned());
                sum[0] = _mm256_add_epi32(sum[0], _mm256_madd_epi16(x, b0));
                sum[1] = _mm256_add_epi32(sum[1], _mm256_madd_epi16(x, b1));
            }
        }
    }
    // SAFETY: sixteen column scales and one scale per row are readable by the contract of `Scales`.
    unsafe {
        let columns = [_mm256_loadu_ps(scales.columns), _mm256_loadu_ps(scales.columns.add(8))];
        let mut scaled = [[_mm256_setzero_ps(); 2]; ROWS];
        for r in 0..ROWS {
            let row = _mm256_set1_ps(*scales.rows.add(r));
            for h in 0..2 {
                scaled[r][h] = _mm256_mul_ps(_mm256_cvtepi32_ps(sums[r][h]), _mm256_mul_ps(row, columns[h]));
            }
        }
        finish(t, &scaled);
    }
}

/// Adds, applies the epilogue and writes a tile's rows.
///
/// # Safety
/// See [`Tile`]; the CPU has AVX2, FMA and F16C.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn finish<const ROWS: usize, A>(t: &Tile<A>, sums: &[[__m256; 2]; ROWS]) {
    // Narrow tiles go through a full row on the stack.
    let mut spill = [0.0_f32; PANEL];
    let mut bias = [_mm256_setzero_ps(); 2];
    // SAFETY: `c` and `bias` are readable (and `c` writable) at `columns` places per row by the contract of `Tile`; whole
    // registers are only used on them when `columns` is PANEL.
    unsafe {
        let whole = t.columns == PANEL;
        if !t.to.bias.is_null() {
            let from = if whole {
                t.to.bias
            } else {
                std::ptr::copy_nonoverlapping(t.to.bias, spill.as_mut_ptr(), t.columns);
                spill.as_ptr()
            };
            bias = [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))];
        }
        for (r, sum) in sums.iter().enumerate() {
            let c = t.to.c.add(r * t.to.c_row);
            let at = if whole { c } else { spill.as_mut_ptr() };
            if t.to.accumulate && !whole {
                std::ptr::copy_nonoverlapping(c, at, t.columns);
            }
            for h in 0..2 {
                let mut value = _mm256_add_ps(sum[h], bias[h]);
                if t.to.accumulate {
                    value = _mm256_add_ps(value, _mm256_loadu_ps(at.add(8 * h)));
                }
                if t.to.gelu {
                    value = gelu8(value);
                }
                _mm256_storeu_ps(at.add(8 * h), value);
            }
            if !whole {
                std::ptr::copy_nonoverlapping(at, c, t.columns);
            }
        }
    }
}

/// e^x, relative error about 1e-7; 0 below -87.3 and e^88.3 above 88.3.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn exp8(x: __m256) -> __m256 {
    let underflow = _mm256_cmp_ps::<_CMP_LT_OQ>(x, _mm256_set1_ps(-87.3));
    let x = _mm256_min_ps(_mm256_max_ps(x, _mm256_set1_ps(-87.3)), _mm256_set1_ps(88.3));
    // x = n ln 2 + r with |r| <= ln 2 / 2.
    let n = _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(_mm256_mul_ps(
        x,
        _mm256_set1_ps(std::f32::consts::LOG2_E),
    ));
    let r = _mm256_fnmadd_ps(n, _mm256_set1_ps(LN_2_HIGH), x);
    let r = _mm256_fnmadd_ps(n, _mm256_set1_ps(LN_2_LOW), r);
    let mut p = _mm256_set1_ps(EXP[0]);
    for c in &EXP[1..] {
        p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(*c));
    }
    let scale = _mm256_slli_epi32::<23>(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)));
    _mm256_andnot_ps(underflow, _mm256_mul_ps(p, _mm256_castsi256_ps(scale)))
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn gelu8(x: __m256) -> __m256 {
    let sign = _mm256_and_ps(x, _mm256_set1_ps(-0.0));
    let one = _mm256_set1_ps(1.0);
    let z = _mm256_mul_ps(_mm256_andnot_ps(sign, x), _mm256_set1_ps(std::f32::consts::FRAC_1_SQRT_2));
    let t = _mm256_div_ps(one, _mm256_fmadd_ps(_mm256_set1_ps(ERF_P), z, one));
    let mut poly = _mm256_setzero_ps();
    for a in ERF_A.iter().rev() {
        poly = _mm256_mul_ps(_mm256_add_ps(poly, _mm256_set1_ps(*a)), t);
    }
    let minus_square = _mm256_mul_ps(_mm256_sub_ps(_mm256_setzero_ps(), z), z);
    let erf = _mm256_or_ps(_mm256_fnmadd_ps(poly, exp8(minus_square), one), sign);
    _mm256_mul_ps(_mm256_mul_ps(_mm256_set1_ps(0.5), x), _mm256_add_ps(one, erf))
}

/// # Safety
/// The CPU has AVX2, FMA and F16C.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) unsafe fn gelu(values: &mut [f32]) {
    map8(values, |x| gelu8(x));
}

/// # Safety
/// The CPU has AVX2, FMA and F16C.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) unsafe fn exp_sum(values: &mut [f32], shift: f32) -> f32 {
    let shift = _mm256_set1_ps(shift);
    let mut sums = _mm256_setzero_ps();
    let mut chunks = values.chunks_exact_mut(8);
    for chunk in &mut chunks {
        // SAFETY: the chunk has eight numbers.
        unsafe {
            let e = exp8(_mm256_sub_ps(_mm256_loadu_ps(chunk.as_ptr()), shift));
            sums = _mm256_add_ps(sums, e);
            _mm256_storeu_ps(chunk.as_mut_ptr(), e);
        }
    }
    let rest = chunks.into_remainder();
    if !rest.is_empty() {
        // Unused lanes are minus infinity, whose exponential is 0.
        let mut padded = [f32::NEG_INFINITY; 8];
        padded[..rest.len()].copy_from_slice(rest);
        // SAFETY: `padded` has eight numbers.
        unsafe {
            let e = exp8(_mm256_sub_ps(_mm256_loadu_ps(padded.as_ptr()), shift));
            sums = _mm256_add_ps(sums, e);
            _mm256_storeu_ps(padded.as_mut_ptr(), e);
        }
        rest.copy_from_slice(&padded[..rest.len()]);
    }
    let mut lanes = [0.0_f32; 8];
    // SAFETY: `lanes` has eight numbers.
    unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), sums) };
    lanes.iter().sum()
}

/// # Safety
/// The CPU has AVX2, FMA and F16C.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) unsafe fn largest_magnitude(values: &[f32]) -> f32 {
    let no_sign = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fff_ffff));
    let mut largest = _mm256_setzero_ps();
    let chunks = values.chunks_exact(8);
    let rest = chunks.remainder().iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    for chunk in chunks {
        // SAFETY: the chunk has eight numbers.
        largest = _mm256_max_ps(largest, unsafe { _mm256_and_ps(no_sign, _mm256_loadu_ps(chunk.as_ptr())) });
    }
    let mut lanes = [0.0_f32; 8];
    // SAFETY: `lanes` has eight numbers.
    unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), largest) };
    lanes.iter().fold(rest, |m, v| m.max(*v))
}

/// # Safety
/// The CPU has AVX2, FMA and F16C; `to` is as long as `from`.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) unsafe fn round_to_i16(from: &[f32], factor: f32, to: &mut [i16]) {
    let factors = _mm256_set1_ps(factor);
    let mut to16 = to.chunks_exact_mut(16);
    let from16 = from.chunks_exact(16);
    let rest = from16.remainder();
    for (to, from) in (&mut to16).zip(from16) {
        // SAFETY: both have sixteen numbers.
        unsafe {
            let low = _mm256_cvtps_epi32(_mm256_mul_ps(factors, _mm256_loadu_ps(from.as_ptr())));
            let high = _mm256_cvtps_epi32(_mm256_mul_ps(factors, _mm256_loadu_ps(from.as_ptr().add(8))));
            // Packing works within halves; the permutation restores the order of the quarters.
            let packed = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(low, high));
            _mm256_storeu_si256(to.as_mut_ptr().cast(), packed);
        }
    }
    for (to, v) in to16.into_remainder().iter_mut().zip(rest) {
        *to = (v * factor).round_ties_even() as i16;
    }
}

/// # Safety
/// The CPU has AVX2, FMA and F16C; `to` is as long as `from`.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) unsafe fn widen(from: &[f16], to: &mut [f32]) {
    let mut chunks = to.chunks_exact_mut(8);
    let mut parts = from.chunks_exact(8);
    for (to, from) in (&mut chunks).zip(&mut parts) {
        // SAFETY: both have eight numbers.
        unsafe { _mm256_storeu_ps(to.as_mut_ptr(), _mm256_cvtph_ps(_mm_loadu_si128(from.as_ptr().cast()))) };
    }
    for (to, from) in chunks.into_remainder().iter_mut().zip(parts.remainder()) {
        *to = from.to_f32();
    }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn map8(values: &mut [f32], f: impl Fn(__m256) -> __m256) {
    let mut chunks = values.chunks_exact_mut(8);
    for chunk in &mut chunks {
        // SAFETY: the chunk has eight numbers.
        unsafe { _mm256_storeu_ps(chunk.as_mut_ptr(), f(_mm256_loadu_ps(chunk.as_ptr()))) };
    }
    let rest = chunks.into_remainder();
    let mut padded = [0.0_f32; 8];
    padded[..rest.len()].copy_from_slice(rest);
    // SAFETY: `padded` has eight numbers.
    unsafe { _mm256_storeu_ps(padded.as_mut_ptr(), f(_mm256_loadu_ps(padded.as_ptr()))) };
    rest.copy_from_slice(&padded[..rest.len()]);
}
