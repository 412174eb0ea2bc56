//! Products of floats by AMX tiles of bfloat16 numbers (a sign, eight bits of exponent, eight of significand): a float is exactly
//! the sum of three of them, and the six largest of the nine products of parts have a smaller error than rounding to f32
//! (Henry, Tang and Heinecke, "Leveraging the bfloat16 artificial intelligence datatype for higher-precision computations",
//! arXiv:1904.06376).
//!
//! Rows of the left operand come in strips, `[STRIP][row_lines]`; a row's lines are `[steps][PARTS]`. Panels of the right one
//! come in pairs, `[steps][PARTS][PANELS][DEPTH / 2]`.

use std::arch::asm;
use std::arch::x86_64::*;

use super::{ROWS, TileRow, Tiles};
use crate::arch::x86::LoadPanel;
use crate::panels::PANEL;

/// Parts of a float.
pub(crate) const PARTS: usize = 3;
/// Products of parts that are summed: those whose indices, counted from zero, add up to at most two.
pub(crate) const PRODUCTS: usize = 6;
/// Numbers of a tile's row: a step of depth.
pub(crate) const DEPTH: usize = 32;
/// Rows that are multiplied at once: two tiles.
pub(crate) const STRIP: usize = 2 * ROWS;
/// Panels that are multiplied at once, and their columns.
pub(crate) const PANELS: usize = 2;
pub(crate) const COLUMNS: usize = PANELS * PANEL;
/// Lines of a step of a pair of panels.
pub(crate) const STEP_LINES: usize = PARTS * PANELS * DEPTH / 2;

/// Steps of a depth.
pub(crate) const fn steps(depth: usize) -> usize {
    depth.div_ceil(DEPTH)
}

/// Lines from a row of a strip to the next. An odd number, so that rows do not map to the same few sets of the first-level cache.
pub(crate) const fn row_lines(depth: usize) -> usize {
    (steps(depth) * PARTS) | 1
}

/// Lines of a pair of panels.
pub(crate) const fn pair_lines(depth: usize) -> usize {
    steps(depth) * STEP_LINES
}

/// The parts of sixteen floats, each in the upper half of its lane; each part is the remainder rounded to nearest.
#[inline]
#[target_feature(enable = "avx512f")]
fn split(mut x: __m512) -> [__m512i; PARTS] {
    let half = _mm512_set1_epi32(0x8000);
    std::array::from_fn(|_| {
        let part = upper(_mm512_add_epi32(_mm512_castps_si512(x), half));
        x = _mm512_sub_ps(x, _mm512_castsi512_ps(part));
        part
    })
}

/// The same by truncation: each part has the first bits of the remainder. This is less work, and accurate enough for one of two
/// factors, as the rounding errors of the other are unbiased. Lower halves are not zero.
#[inline]
#[target_feature(enable = "avx512f")]
fn cut(mut x: __m512) -> [__m512i; PARTS] {
    std::array::from_fn(|_| {
        let bits = _mm512_castps_si512(x);
        x = _mm512_sub_ps(x, _mm512_castsi512_ps(upper(bits)));
        bits
    })
}

/// Upper halves of lanes.
#[inline]
#[target_feature(enable = "avx512f")]
fn upper(bits: __m512i) -> __m512i {
    _mm512_and_si512(bits, _mm512_set1_epi32(0xffff_0000_u32 as i32))
}

/// Writes two times sixteen numbers as a step of a row.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn write_step(lines: &mut [TileRow; PARTS], first: __m512, second: __m512) {
    // The odd words of both.
    let order: [u16; DEPTH] = std::array::from_fn(|i| 2 * i as u16 + 1);
    // SAFETY: reads the 64 bytes of `order`.
    let order = unsafe { _mm512_loadu_si512(order.as_ptr().cast()) };
    for ((first, second), line) in cut(first).into_iter().zip(cut(second)).zip(lines) {
        let packed = _mm512_permutex2var_epi16(first, order, second);
        // SAFETY: a line has 64 bytes.
        unsafe { _mm512_store_si512(line.0.as_mut_ptr().cast(), packed) };
    }
}

/// Writes up to [`DEPTH`] numbers times `scale` as a step of a row; the rest of the step is zero.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(crate) fn split_step(numbers: &[f32], scale: f32, lines: &mut [TileRow; PARTS]) {
    let mask = u32::MAX >> (DEPTH - numbers.len());
    let (scale, at) = (_mm512_set1_ps(scale), numbers.as_ptr());
    // SAFETY: the masks exclude what is out of bounds.
    let (first, second) = unsafe {
        let second = _mm512_maskz_loadu_ps((mask >> 16) as u16, at.wrapping_add(PANEL));
        (_mm512_maskz_loadu_ps(mask as u16, at), second)
    };
    write_step(lines, _mm512_mul_ps(first, scale), _mm512_mul_ps(second, scale));
}

/// 2^f for |f| <= 1/2: coefficients from the fifth power down, relative error 7.5e-8 (Remez's exchange algorithm).
const EXP2: [f32; 6] = [0.001_327_647_2, 0.009_675_541, 0.055_507_13, 0.240_221_2, 0.693_146_94, 1.000_000_1];

/// 2^x for x <= 0, including minus infinity.
#[inline]
#[target_feature(enable = "avx512f")]
fn exp2(x: __m512) -> __m512 {
    // Clamped to where the result is zero and x still has an integer part.
    let x = _mm512_max_ps(x, _mm512_set1_ps(-200.0));
    let n = _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x);
    let f = _mm512_sub_ps(x, n);
    let mut p = _mm512_set1_ps(EXP2[0]);
    for c in &EXP2[1..] {
        p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(*c));
    }
    _mm512_scalef_ps(p, n)
}

/// e^x for x <= 0.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn exp(x: f32) -> f32 {
    _mm512_cvtss_f32(exp2(_mm512_set1_ps(x * std::f32::consts::LOG2_E)))
}

/// Writes `exp(x - largest)` of a step's numbers as a step of a row, and adds them to `sums`, lane by lane.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(crate) fn split_exp(
    numbers: &[f32; DEPTH],
    largest: f32,
    lines: &mut [TileRow; PARTS],
    sums: &mut [f32; DEPTH],
) {
    let factor = _mm512_set1_ps(std::f32::consts::LOG2_E);
    let shift = _mm512_set1_ps(largest * std::f32::consts::LOG2_E);
    let [first, second] = [0, PANEL].map(|half| {
        let (x, sum) = (numbers[half..].as_ptr(), sums[half..].as_mut_ptr());
        // SAFETY: both have sixteen numbers from here on.
        unsafe {
            let weights = exp2(_mm512_fmsub_ps(_mm512_loadu_ps(x), factor, shift));
            _mm512_storeu_ps(sum, _mm512_add_ps(_mm512_loadu_ps(sum), weights));
            weights
        }
    });
    write_step(lines, first, second);
}

/// The sum of some numbers.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn sum(numbers: &[f32; DEPTH]) -> f32 {
    let at = numbers.as_ptr();
    // SAFETY: there are 32 numbers.
    let (first, second) = unsafe { (_mm512_loadu_ps(at), _mm512_loadu_ps(at.add(PANEL))) };
    _mm512_reduce_add_ps(_mm512_add_ps(first, second))
}

/// The largest of some numbers; minus infinity if there are none.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn largest(steps: &[[f32; DEPTH]]) -> f32 {
    let mut lanes = [_mm512_set1_ps(f32::NEG_INFINITY); 2];
    for numbers in steps {
        for (i, lane) in lanes.iter_mut().enumerate() {
            // SAFETY: there are 32 numbers.
            *lane = _mm512_max_ps(*lane, unsafe { _mm512_loadu_ps(numbers.as_ptr().add(i * PANEL)) });
        }
    }
    _mm512_reduce_max_ps(_mm512_max_ps(lanes[0], lanes[1]))
}

/// Writes panel number `which` of a pair, `[depth][PANEL]`, to the lines of the pair.
///
/// # Safety
/// The CPU has AVX2, FMA, F16C, and AVX-512 F and BW.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw")]
pub(crate) unsafe fn split_panel<T: LoadPanel>(panel: &[T], which: usize, lines: &mut [TileRow]) {
    let steps = panel.chunks(DEPTH * PANEL).zip(lines.as_chunks_mut::<STEP_LINES>().0);
    for (rows, lines) in steps {
        let line = |part: usize, pair: usize| (part * PANELS + which) * (DEPTH / 2) + pair;
        for (pair, rows) in rows.chunks(2 * PANEL).enumerate() {
            let second = rows.get(PANEL..).filter(|row| !row.is_empty());
            // SAFETY: a chunk has one or two rows.
            let (even, odd) = unsafe {
                let odd = second.map_or_else(|| _mm512_setzero_ps(), |row| T::load_wide(row.as_ptr()));
                (split(T::load_wide(rows.as_ptr())), split(odd))
            };
            for part in 0..PARTS {
                let packed = _mm512_or_si512(_mm512_srli_epi32::<16>(even[part]), odd[part]);
                // SAFETY: a line has 64 bytes.
                unsafe { _mm512_store_si512(lines[line(part, pair)].0.as_mut_ptr().cast(), packed) };
            }
        }
        for pair in rows.len().div_ceil(2 * PANEL)..DEPTH / 2 {
            for part in 0..PARTS {
                lines[line(part, pair)] = TileRow::ZERO;
            }
        }
    }
}

/// Loads a part of rows to two tiles.
macro_rules! load_rows {
    ($part:literal) => {
        concat!(
            "tileloadd tmm4, [{upper} + {row} + 64 * ",
            $part,
            "]\n",
            "tileloadd tmm5, [{lower} + {row} + 64 * ",
            $part,
            "]"
        )
    };
}

/// Loads a part of panels to two tiles.
macro_rules! load_panels {
    ($part:literal) => {
        concat!(
            "tileloadd tmm6, [{pair} + {line} + 2048 * ",
            $part,
            "]\n",
            "tileloadd tmm7, [{pair} + {line} + 2048 * ",
            $part,
            " + 1024]"
        )
    };
}

/// The product of a strip with a pair of panels of the same depth: [`STRIP`] rows of [`COLUMNS`] numbers, which replace those of
/// `c`, whose rows are `c_row` numbers apart, or are added to them.
///
/// `meanwhile` is called [`PRODUCTS`] times per step of depth, after every four tile instructions: these take long, and small
/// amounts of vector work run in parallel to them at little cost.
///
/// # Panics
/// If the strip or `c` is too short.
#[inline(always)]
pub(crate) fn multiply(
    _: &mut Tiles,
    (strip, row_lines): (&[TileRow], usize),
    pair: &[TileRow],
    (c, c_row): (&mut [f32], usize),
    add: bool,
    mut meanwhile: impl FnMut(),
) {
    let steps = pair.as_chunks::<STEP_LINES>().0;
    assert!(strip.len() >= (STRIP - 1) * row_lines + steps.len() * PARTS, "the strip is too short");
    assert!(c.len() >= (STRIP - 1) * c_row + COLUMNS, "the product does not fit");
    let (upper, lower) = (c.as_mut_ptr(), c[ROWS * c_row..].as_mut_ptr());
    let bytes = c_row * size_of::<f32>();
    if add {
        // SAFETY: reads sixteen rows of each quarter of `c`, and changes tiles, which the caller holds.
        unsafe {
            asm!(
                "tileloadd tmm0, [{upper} + {bytes}]",
                "tileloadd tmm1, [{upper} + {bytes} + 64]",
                "tileloadd tmm2, [{lower} + {bytes}]",
                "tileloadd tmm3, [{lower} + {bytes} + 64]",
                upper = in(reg) upper,
                lower = in(reg) lower,
                bytes = in(reg) bytes,
                options(nostack, preserves_flags, readonly),
            );
        }
    } else {
        // SAFETY: changes tiles, which the caller holds.
        unsafe { zero_tiles!(0 1 2 3) };
    }
    for (i, step) in steps.iter().enumerate() {
        let strip = &strip[i * PARTS..];
        macro_rules! add {
            ($($load:expr),*) => {
                // SAFETY: reads the lines of a step, whose lengths were checked above, and changes tiles.
                unsafe {
                    asm!(
                        "/* {upper} {lower} {row} {pair} {line} */",
                        $($load,)*
                        "tdpbf16ps tmm0, tmm4, tmm6",
                        "tdpbf16ps tmm1, tmm4, tmm7",
                        "tdpbf16ps tmm2, tmm5, tmm6",
                        "tdpbf16ps tmm3, tmm5, tmm7",
                        upper = in(reg) strip.as_ptr(),
                        lower = in(reg) strip[ROWS * row_lines..].as_ptr(),
                        row = in(reg) row_lines * size_of::<TileRow>(),
                        pair = in(reg) step.as_ptr(),
                        line = in(reg) size_of::<TileRow>(),
                        options(nostack, preserves_flags, readonly),
                    );
                }
                meanwhile();
            };
        }
        // The smallest products come first; each shares a part with the one before it, whose tiles stay loaded.
        add!(load_rows!(2), load_panels!(0));
        add!(load_rows!(1));
        add!(load_panels!(1));
        add!(load_rows!(0));
        add!(load_panels!(2));
        add!(load_panels!(0));
    }
    // SAFETY: writes sixteen rows of each quarter of `c`.
    unsafe {
        asm!(
            "tilestored [{upper} + {bytes}], tmm0",
            "tilestored [{upper} + {bytes} + 64], tmm1",
            "tilestored [{lower} + {bytes}], tmm2",
            "tilestored [{lower} + {bytes} + 64], tmm3",
            upper = in(reg) upper,
            lower = in(reg) lower,
            bytes = in(reg) bytes,
            options(nostack, preserves_flags),
        );
    }
}
