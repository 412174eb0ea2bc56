//! Tiles in registers of 512 bits, where the CPU has AVX-512 F, BW, VL and VNNI; whatever else it does is done by [`super::x86`].

use std::arch::asm;
use std::arch::x86_64::*;

use super::x86::{AHEAD, FAR_SIGHTED_ROWS, FAR_SIGHTED_ROWS_I8, LoadPairs, LoadPanel, finish};
use super::{Scales, Tile};
use crate::panels::PANEL;

/// Rows of the tallest tile with AVX-512: 12 x 16 sums, even and odd steps apart, fill 24 of its 32 registers.
pub(crate) const TALL_TILE_ROWS: usize = 12;

/// A tile of floats in registers of twice the width: twice as fast where these are computed as one.
///
/// # Safety
/// See [`Tile`], with up to [`TALL_TILE_ROWS`] rows where `a_row` is 1; the CPU has AVX2, FMA, F16C and AVX-512 F and VL.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512vl")]
pub(crate) unsafe fn tile<T: LoadPanel>(t: &Tile<f32>, panel: *const T) {
    // SAFETY: passed on; the constants are the tile's number of rows and their distance.
    unsafe {
        match (t.rows, t.a_row) {
            (TALL_TILE_ROWS, 1) => tile_rows::<TALL_TILE_ROWS, T>(t, 1, panel),
            (7.., 1) => {
                // Two halves rather than a kernel for each number of rows: only the last strip has fewer than all.
                let upper = Tile { rows: TALL_TILE_ROWS / 2, ..*t };
                let lower = Tile {
                    rows: t.rows - upper.rows,
                    a: t.a.wrapping_add(upper.rows),
                    c: t.c.wrapping_add(upper.rows * t.c_row),
                    ..*t
                };
                tile(&upper, panel);
                tile(&lower, panel);
            }
            (rows, row) => with_rows!(rows, [1 2 3 4 5], 6, ROWS => tile_rows::<ROWS, T>(t, row, panel)),
        }
    }
}

/// `a_row` is the tile's: a constant where that saves registers.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512vl")]
unsafe fn tile_rows<const ROWS: usize, T: LoadPanel>(t: &Tile<f32>, a_row: usize, panel: *const T) {
    // Even and odd steps are summed apart, as six sums alone would wait for themselves.
    let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
    let ahead = t.streamed && ROWS > FAR_SIGHTED_ROWS;
    let add_step = |sums: &mut [[__m512; 2]; ROWS], which: usize, k: usize| {
        let (a, b) = (t.a.wrapping_add(k * t.a_step), panel.wrapping_add(k * PANEL));
        if ahead {
            // Touches nothing: any address may be asked for.
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
    let halves = sums.map(|[even, odd]| halves(_mm512_add_ps(even, odd)));
    // SAFETY: passed on.
    unsafe { finish(t, &halves) }
}

/// The two halves of a register.
#[inline]
#[target_feature(enable = "avx512f")]
fn halves(values: __m512) -> [__m256; 2] {
    let values = _mm512_castps_si512(values);
    [
        _mm256_castsi256_ps(_mm512_extracti64x4_epi64::<0>(values)),
        _mm256_castsi256_ps(_mm512_extracti64x4_epi64::<1>(values)),
    ]
}

/// # Safety
/// See [`super::tile_integers`], with up to [`TALL_TILE_ROWS`] rows; the CPU has AVX2, FMA, F16C, AVX-512 F, BW, VL and VNNI.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
pub(crate) unsafe fn tile_integers<T: LoadPairs>(t: &Tile<i16>, scales: Scales, panel: *const T) {
    // SAFETY: passed on; the constant is the tile's number of rows.
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
    // Even and odd pairs are summed apart, so that a tile of few rows does not wait for its own last sum.
    let mut sums = [[_mm512_setzero_si512(); 2]; ROWS];
    // Of twelve rows every third has a pointer, as there are not so many registers for them.
    let mut rows: [*const i16; TALL_TILE_ROWS / 3] =
        std::array::from_fn(|third| t.a.wrapping_add(3 * third * t.a_row));
    let row_bytes = t.a_row * size_of::<i16>();
    let pairs = t.depth / 2;
    let ahead = t.streamed && ROWS > FAR_SIGHTED_ROWS_I8;
    // SAFETY: pairs below depth / 2 are read, of rows and panel, which lie within what the contract grants.
    unsafe {
        for pair in (0..pairs & !1).step_by(2) {
            let at = panel.add(pair * 2 * PANEL);
            if ahead {
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
    // SAFETY: sixteen column scales and a scale a row are readable by the contract of `Scales`.
    unsafe {
        let columns = _mm512_loadu_ps(scales.columns);
        let mut scaled = [[_mm256_setzero_ps(); 2]; ROWS];
        for r in 0..ROWS {
            let sum = _mm512_cvtepi32_ps(_mm512_add_epi32(sums[r][0], sums[r][1]));
            let scale = _mm512_mul_ps(_mm512_set1_ps(*scales.rows.add(r)), columns);
            scaled[r] = halves(_mm512_mul_ps(sum, scale));
        }
        finish(t, &scaled);
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
        // SAFETY: passed on, and only rows that there are.
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

/// `sums` and, in each lane, the products of its pair of `b` with pair number `PAIR` of the row that is `BEHIND` rows behind
/// `row`.
///
/// In assembly, as LLVM takes the intrinsic apart into a product and a sum, which need twice the instructions.
///
/// # Safety
/// The pair can be read; the CPU has AVX-512 F and VNNI.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn add_products<const BEHIND: usize, const PAIR: usize>(
    sums: __m512i,
    b: __m512i,
    row: *const i16,
    row_bytes: usize,
) -> __m512i {
    let mut sums = sums;
    // SAFETY: reads the four bytes that the caller grants and writes nothing but `sums`.
    unsafe {
        if BEHIND == 0 {
            asm!(
                "vpdpwssd {sums}, {b}, dword ptr [{row} + 4 * {pair}]{{1to16}}",
                sums = inout(zmm_reg) sums,
                b = in(zmm_reg) b,
                row = in(reg) row,
                pair = const PAIR,
                options(pure, readonly, nostack, preserves_flags),
            );
        } else {
            // Once or twice a row's bytes are part of the address.
            asm!(
                "vpdpwssd {sums}, {b}, dword ptr [{row} + {behind} * {row_bytes} + 4 * {pair}]{{1to16}}",
                sums = inout(zmm_reg) sums,
                b = in(zmm_reg) b,
                row = in(reg) row,
                behind = const (if BEHIND == 0 { 1 } else { BEHIND }),
                row_bytes = in(reg) row_bytes,
                pair = const PAIR,
                options(pure, readonly, nostack, preserves_flags),
            );
        }
    }
    sums
}
