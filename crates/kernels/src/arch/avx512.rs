//! Tiles in registers of 512 bits, where the CPU has AVX-512 F, BW, VL and VNNI; everything else is in [`super::x86`].

use std::arch::asm;
use std::arch::x86_64::*;

use super::x86::{AHEAD, EXP, LN_2_HIGH, LN_2_LOW, LoadPairs, LoadPanel, MAX_UNPREFETCHED_ROWS};
use super::{ERF_A, ERF_P, SCORES_ROW, Scales, Target, Tile};
use crate::panels::PANEL;

/// Rows of the tallest tile with AVX-512: 12 x 16 sums, even and odd steps apart, fill 24 of its 32 registers.
pub(crate) const TALL_TILE_ROWS: usize = 12;

/// Panels of a wide tile of floats: 12 x 32 sums fill 24 registers too, and each number of a row is used twice per load.
pub(crate) const WIDE_TILE_PANELS: usize = 2;

/// A tile of floats in registers of twice the width: twice as fast on processors that compute these in one step.
///
/// # Safety
/// See [`Tile`], with up to [`TALL_TILE_ROWS`] rows and [`WIDE_TILE_PANELS`] panels; the CPU has AVX2, FMA, F16C and AVX-512 F
/// and VL.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512vl")]
pub(crate) unsafe fn tile<T: LoadPanel>(t: &Tile<f32>, panel: *const T) {
    // SAFETY: by the caller's contract; the constants are the tile's number of rows and their stride.
    unsafe {
        match (t.rows, t.a_row, t.columns > PANEL) {
            (TALL_TILE_ROWS, 1, false) => tile_rows::<TALL_TILE_ROWS, 1, T>(t, panel),
            (TALL_TILE_ROWS, 1, true) => wide_tile_rows::<TALL_TILE_ROWS, 1, T>(t, panel),
            (TALL_TILE_ROWS, SCORES_ROW, true) => wide_tile_rows::<TALL_TILE_ROWS, SCORES_ROW, T>(t, panel),
            (7.., ..) => {
                // Two halves rather than one kernel for each number of rows: only the last strip has fewer rows.
                let upper = Tile { rows: TALL_TILE_ROWS / 2, ..*t };
                let lower = Tile {
                    rows: t.rows - upper.rows,
                    a: t.a.wrapping_add(upper.rows * t.a_row),
                    to: t.to.at_row(upper.rows),
                    ..*t
                };
                tile(&upper, panel);
                tile(&lower, panel);
            }
            (rows, _, false) => with_rows!(rows, [1 2 3 4 5], 6, ROWS => tile_rows::<ROWS, ANY, T>(t, panel)),
            (rows, _, true) => {
                with_rows!(rows, [1 2 3 4 5], 6, ROWS => wide_tile_rows::<ROWS, ANY, T>(t, panel));
            }
        }
    }
}

/// Prefetch distance of both panels of a wide tile, bytes: sixteen steps, about the latency of the third-level cache.
const WIDE_AHEAD: usize = 1024;

/// Row stride taken from the tile at run time; other strides are constants, which saves registers.
const ANY: usize = 0;

#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512vl")]
unsafe fn tile_rows<const ROWS: usize, const A_ROW: usize, T: LoadPanel>(t: &Tile<f32>, panel: *const T) {
    let a_row = if A_ROW == ANY { t.a_row } else { A_ROW };
    // Even and odd steps are summed separately, as six sums alone would be limited by latency.
    let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
    let ahead = t.streamed && ROWS > MAX_UNPREFETCHED_ROWS;
    let add_step = |sums: &mut [[__m512; 2]; ROWS], which: usize, k: usize| {
        let (a, b) = (t.a.wrapping_add(k * t.a_step), panel.wrapping_add(k * PANEL));
        if ahead {
            // Prefetching is allowed for any address.
            _mm_prefetch::<_MM_HINT_T0>(b.cast::<i8>().wrapping_add(AHEAD));
        }
        // SAFETY: called with k < depth, for which the contract grants both.
        unsafe {
            let b = T::load_wide(b);
            for (r, sum) in sums.iter_mut().enumerate() {
                sum[which] = _mm512_fmadd_ps(_mm512_set1_ps(*a.add(r * a_row)), b, sum[which]);
            }
        }
    };
    for k in (0..t.depth & !1).step_by(2) {
        add_step(&mut sums, 0, k);
        add_step(&mut sums, 1, k + 1);
    }
    if t.depth % 2 == 1 {
        add_step(&mut sums, 0, t.depth - 1);
    }
    let sums = sums.map(|[even, odd]| [_mm512_add_ps(even, odd)]);
    // SAFETY: by the caller's contract.
    unsafe { finish(&t.to, t.columns, &sums) }
}

/// Two panels side by side.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512vl")]
unsafe fn wide_tile_rows<const ROWS: usize, const A_ROW: usize, T: LoadPanel>(
    t: &Tile<f32>,
    panel: *const T,
) {
    let a_row = if A_ROW == ANY { t.a_row } else { A_ROW };
    let (mut left, mut right) = ([_mm512_setzero_ps(); ROWS], [_mm512_setzero_ps(); ROWS]);
    for k in 0..t.depth {
        let (a, b) = (t.a.wrapping_add(k * t.a_step), panel.wrapping_add(k * PANEL));
        for b in [b, b.wrapping_add(t.panel_step)] {
            // Prefetching is allowed for any address.
            _mm_prefetch::<_MM_HINT_T0>(b.cast::<i8>().wrapping_add(WIDE_AHEAD));
        }
        // SAFETY: k < depth, for which the contract grants both.
        unsafe {
            let (b_left, b_right) = (T::load_wide(b), T::load_wide(b.add(t.panel_step)));
            for r in 0..ROWS {
                let x = _mm512_set1_ps(*a.add(r * a_row));
                left[r] = _mm512_fmadd_ps(x, b_left, left[r]);
                right[r] = _mm512_fmadd_ps(x, b_right, right[r]);
            }
        }
    }
    let sums: [_; ROWS] = std::array::from_fn(|r| [left[r], right[r]]);
    // SAFETY: by the caller's contract.
    unsafe { finish(&t.to, t.columns, &sums) }
}

/// Adds, applies the epilogue and writes a tile's rows, which have so many columns.
///
/// # Safety
/// See [`Target`]; the CPU has AVX-512 F.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn finish<const ROWS: usize, const PANELS: usize>(
    to: &Target,
    columns: usize,
    sums: &[[__m512; PANELS]; ROWS],
) {
    for p in 0..PANELS {
        let mask = u16::MAX >> (PANEL - PANEL.min(columns - p * PANEL));
        // SAFETY: `c` and `bias` are readable (and `c` writable) at `columns` places per row by the contract of `Tile`; the mask
        // excludes the others.
        unsafe {
            let mut bias = _mm512_setzero_ps();
            if !to.bias.is_null() {
                bias = _mm512_maskz_loadu_ps(mask, to.bias.add(p * PANEL));
            }
            for (r, sums) in sums.iter().enumerate() {
                let at = to.c.add(r * to.c_row + p * PANEL);
                let mut value = _mm512_add_ps(sums[p], bias);
                if to.accumulate {
                    value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(mask, at));
                }
                if to.gelu {
                    value = gelu16(value);
                }
                _mm512_mask_storeu_ps(at, mask, value);
            }
        }
    }
}

/// [`finish`] for rows in memory, two panels side by side.
///
/// # Safety
/// As [`finish`].
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) unsafe fn finish_rows(to: &Target, columns: usize, rows: &[[f32; WIDE_TILE_PANELS * PANEL]]) {
    for (r, row) in rows.iter().enumerate() {
        let (at, to) = (row.as_ptr(), to.at_row(r));
        // SAFETY: a row has twice sixteen numbers; the rest is by the caller's contract.
        unsafe {
            let (left, right) = (_mm512_loadu_ps(at), _mm512_loadu_ps(at.add(PANEL)));
            if columns > PANEL {
                finish(&to, columns, &[[left, right]]);
            } else {
                finish(&to, columns, &[[left]]);
            }
        }
    }
}

/// e^x in sixteen lanes, by the same operations as in [`super::x86`].
#[inline]
#[target_feature(enable = "avx512f")]
fn exp16(x: __m512) -> __m512 {
    let in_range = _mm512_cmp_ps_mask::<_CMP_NLT_UQ>(x, _mm512_set1_ps(-87.3));
    let x = _mm512_min_ps(_mm512_max_ps(x, _mm512_set1_ps(-87.3)), _mm512_set1_ps(88.3));
    let n = _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(_mm512_mul_ps(
        x,
        _mm512_set1_ps(std::f32::consts::LOG2_E),
    ));
    let r = _mm512_fnmadd_ps(n, _mm512_set1_ps(LN_2_HIGH), x);
    let r = _mm512_fnmadd_ps(n, _mm512_set1_ps(LN_2_LOW), r);
    let mut p = _mm512_set1_ps(EXP[0]);
    for c in &EXP[1..] {
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(*c));
    }
    _mm512_maskz_scalef_ps(in_range, p, n)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn gelu16(x: __m512) -> __m512 {
    let one = _mm512_set1_ps(1.0);
    let z = _mm512_mul_ps(_mm512_abs_ps(x), _mm512_set1_ps(std::f32::consts::FRAC_1_SQRT_2));
    let t = _mm512_div_ps(one, _mm512_fmadd_ps(_mm512_set1_ps(ERF_P), z, one));
    let mut poly = _mm512_setzero_ps();
    for a in ERF_A.iter().rev() {
        poly = _mm512_mul_ps(_mm512_add_ps(poly, _mm512_set1_ps(*a)), t);
    }
    let minus_square = _mm512_mul_ps(_mm512_sub_ps(_mm512_setzero_ps(), z), z);
    let erf = _mm512_fnmadd_ps(poly, exp16(minus_square), one);
    // x erf(x) = |x| erf(|x|), so the error function is only needed for positive numbers.
    let half = _mm512_mul_ps(_mm512_set1_ps(0.5), x);
    _mm512_fmadd_ps(_mm512_abs_ps(half), erf, half)
}

/// # Safety
/// The CPU has AVX-512 F.
#[target_feature(enable = "avx512f")]
pub(crate) unsafe fn exp_sum(values: &mut [f32], shift: f32) -> f32 {
    let shift = _mm512_set1_ps(shift);
    let mut sums = [_mm512_setzero_ps(); 2];
    for (i, chunk) in values.chunks_mut(PANEL).enumerate() {
        let mask = u16::MAX >> (PANEL - chunk.len());
        // SAFETY: the mask excludes what is not in the chunk.
        unsafe {
            let e = exp16(_mm512_sub_ps(_mm512_maskz_loadu_ps(mask, chunk.as_ptr()), shift));
            sums[i % 2] = _mm512_mask_add_ps(sums[i % 2], mask, sums[i % 2], e);
            _mm512_mask_storeu_ps(chunk.as_mut_ptr(), mask, e);
        }
    }
    _mm512_reduce_add_ps(_mm512_add_ps(sums[0], sums[1]))
}

/// # Safety
/// The CPU has AVX-512 F.
#[target_feature(enable = "avx512f")]
pub(crate) unsafe fn gelu(values: &mut [f32]) {
    for chunk in values.chunks_mut(PANEL) {
        let mask = u16::MAX >> (PANEL - chunk.len());
        // SAFETY: the mask excludes what is not in the chunk.
        unsafe {
            let value = gelu16(_mm512_maskz_loadu_ps(mask, chunk.as_ptr()));
            _mm512_mask_storeu_ps(chunk.as_mut_ptr(), mask, value);
        }
    }
}

/// # Safety
/// See [`super::tile_integers`], with up to [`TALL_TILE_ROWS`] rows; the CPU has AVX2, FMA, F16C, AVX-512 F, BW, VL and VNNI.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
pub(crate) unsafe fn tile_integers<T: LoadPairs>(t: &Tile<i16>, scales: Scales, panel: *const T) {
    // SAFETY: by the caller's contract; the constant is the tile's number of rows.
    unsafe {
        with_rows!(t.rows, [1 2 3 4 5 6 7 8 9 10 11], TALL_TILE_ROWS, ROWS => {
            tile_integers_rows::<T, ROWS>(t, scales, panel);
        });
    }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn tile_integers_rows<T: LoadPairs, const ROWS: usize>(
    t: &Tile<i16>,
    scales: Scales,
    panel: *const T,
) {
    // Even and odd pairs are summed separately, so that a tile of few rows is not limited by latency.
    let mut sums = [[_mm512_setzero_si512(); 2]; ROWS];
    // Only every third of twelve rows has a pointer, as there are not enough registers.
    let mut rows: [*const i16; TALL_TILE_ROWS / 3] =
        std::array::from_fn(|third| t.a.wrapping_add(3 * third * t.a_row));
    let row_bytes = t.a_row * size_of::<i16>();
    let pairs = t.depth / 2;
    // SAFETY: pairs below depth / 2 are read, of rows and panel, which lie within what the contract grants.
    unsafe {
        for pair in (0..pairs & !1).step_by(2) {
            let at = panel.add(pair * 2 * PANEL);
            if t.streamed {
                // A cache line is two pairs of bytes, or one of words.
                _mm_prefetch::<_MM_HINT_T0>(at.cast::<i8>().wrapping_add(AHEAD));
                if size_of::<T>() > 1 {
                    _mm_prefetch::<_MM_HINT_T0>(at.cast::<i8>().wrapping_add(AHEAD + 64));
                }
            }
            add_pair::<ROWS, 0>(&mut sums, T::load(at), &rows, row_bytes);
            add_pair::<ROWS, 1>(&mut sums, T::load(at.add(2 * PANEL)), &rows, row_bytes);
            rows = rows.map(|row| row.wrapping_add(4));
        }
        if pairs % 2 == 1 {
            add_pair::<ROWS, 0>(&mut sums, T::load(panel.add((pairs - 1) * 2 * PANEL)), &rows, row_bytes);
        }
    }
    // SAFETY: sixteen column scales and one scale per row are readable by the contract of `Scales`.
    unsafe {
        let columns = _mm512_loadu_ps(scales.columns);
        let mut scaled = [[_mm512_setzero_ps()]; ROWS];
        for r in 0..ROWS {
            let sum = _mm512_cvtepi32_ps(_mm512_add_epi32(sums[r][0], sums[r][1]));
            let scale = _mm512_mul_ps(_mm512_set1_ps(*scales.rows.add(r)), columns);
            scaled[r] = [_mm512_mul_ps(sum, scale)];
        }
        finish(&t.to, t.columns, &scaled);
    }
}

/// Adds the products of a pair of a panel's rows, `b`, with pair number `PAIR` of each row of inputs; `rows` are every third.
///
/// # Safety
/// The pairs can be read, of as many rows as there are sums; the CPU has AVX-512 F and VNNI.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn add_pair<const ROWS: usize, const PAIR: usize>(
    sums: &mut [[__m512i; 2]; ROWS],
    b: __m512i,
    rows: &[*const i16; TALL_TILE_ROWS / 3],
    row_bytes: usize,
) {
    for (third, &row) in rows.iter().enumerate() {
        let first = 3 * third;
        // SAFETY: by the caller's contract, and only for existing rows.
        unsafe {
            if first < ROWS {
                sums[first][PAIR] = add_products::<0, PAIR>(sums[first][PAIR], b, row, row_bytes);
            }
            if first + 1 < ROWS {
                sums[first + 1][PAIR] = add_products::<1, PAIR>(sums[first + 1][PAIR], b, row, row_bytes);
            }
            if first + 2 < ROWS {
                sums[first + 2][PAIR] = add_products::<2, PAIR>(sums[first + 2][PAIR], b, row, row_bytes);
            }
        }
    }
}

/// `sums` and, in each lane, the products of its pair of `b` with pair number `PAIR` of the row that is `OFFSET` rows after
/// `row`.
///
/// In assembly, as LLVM splits the intrinsic into a product and a sum, which takes twice the instructions.
///
/// # Safety
/// The pair can be read; the CPU has AVX-512 F and VNNI.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn add_products<const OFFSET: usize, const PAIR: usize>(
    sums: __m512i,
    b: __m512i,
    row: *const i16,
    row_bytes: usize,
) -> __m512i {
    let mut sums = sums;
    // SAFETY: reads the four bytes that the caller grants and writes nothing but `sums`.
    unsafe {
        if OFFSET == 0 {
            asm!(
                "vpdpwssd {sums}, {b}, dword ptr [{row} + 4 * {pair}]{{1to16}}",
                sums = inout(zmm_reg) sums,
                b = in(zmm_reg) b,
                row = in(reg) row,
                pair = const PAIR,
                options(pure, readonly, nostack, preserves_flags),
            );
        } else {
            // The address can include a row's bytes once or twice.
            asm!(
                "vpdpwssd {sums}, {b}, dword ptr [{row} + {offset} * {row_bytes} + 4 * {pair}]{{1to16}}",
                sums = inout(zmm_reg) sums,
                b = in(zmm_reg) b,
                row = in(reg) row,
                offset = const (if OFFSET == 0 { 1 } else { OFFSET }),
                row_bytes = in(reg) row_bytes,
                pair = const PAIR,
                options(pure, readonly, nostack, preserves_flags),
            );
        }
    }
    sums
}
