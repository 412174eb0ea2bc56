//! Products of floats by tiles of brain floats (a sign, eight bits of exponent, eight of significand): a float is the sum of
//! three of them, to the bit, and two are good for sixteen bits. Of the products of parts, those of the smallest are left out:
//! of nine the six largest leave out less than rounding a float does (Henry, Tang and Heinecke, "Leveraging the bfloat16
//! artificial intelligence datatype for higher-precision computations", arXiv:1904.06376).

use std::arch::asm;
use std::arch::x86_64::*;

use super::{Line, ROWS};
use crate::arch::x86::LoadPanel;
use crate::panels::PANEL;

/// Numbers of a tile's row.
pub(crate) const DEPTH: usize = 32;
/// Rows that are multiplied at once, two tiles: a strip.
pub(crate) const STRIP: usize = 2 * ROWS;
/// Panels that are multiplied at once, and their columns.
pub(crate) const PANELS: usize = 2;
pub(crate) const COLUMNS: usize = PANELS * PANEL;

/// Steps of [`DEPTH`] in a depth.
pub(crate) const fn steps(depth: usize) -> usize {
    depth.div_ceil(DEPTH)
}

/// Lines of a row of a strip in so many parts, `[steps][parts]`. An odd number, so that rows do not want the same few places of
/// the first-level cache; and a row lies in a page or two, of which the processor knows few where it writes.
pub(crate) const fn row_lines(parts: usize, depth: usize) -> usize {
    steps(depth) * parts | 1
}

/// Lines of a step of two panels in so many parts, `[parts][PANELS][DEPTH / 2]`.
pub(crate) const fn step_lines(parts: usize) -> usize {
    parts * PANELS * DEPTH / 2
}

/// Lines of two panels.
pub(crate) const fn panel_lines(parts: usize, depth: usize) -> usize {
    steps(depth) * step_lines(parts)
}

/// Products of parts that are added up.
pub(crate) const fn products(parts: usize) -> usize {
    parts * (parts + 1) / 2
}

/// The parts of sixteen floats, each in the upper half of its lane: each the nearest to what is left.
#[inline]
#[target_feature(enable = "avx512f")]
fn split<const PARTS: usize>(mut x: __m512) -> [__m512i; PARTS] {
    let half = _mm512_set1_epi32(0x8000);
    std::array::from_fn(|_| {
        let part = upper(_mm512_add_epi32(_mm512_castps_si512(x), half));
        x = _mm512_sub_ps(x, _mm512_castsi512_ps(part));
        part
    })
}

/// The same, each part but the last the first bits of what is left, which is less work. Lower halves are not nought.
#[inline]
#[target_feature(enable = "avx512f")]
fn cut<const PARTS: usize>(mut x: __m512) -> [__m512i; PARTS] {
    std::array::from_fn(|part| {
        let bits = _mm512_castps_si512(x);
        if part == PARTS - 1 {
            return _mm512_add_epi32(bits, _mm512_set1_epi32(0x8000));
        }
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

/// Writes two times sixteen numbers as a step of a row of a strip.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn write_step<const PARTS: usize>(lines: &mut [Line; PARTS], first: __m512, second: __m512) {
    // Odd words of one and of the other.
    let order: [u16; 32] = std::array::from_fn(|i| 2 * i as u16 + 1);
    // SAFETY: reads 64 bytes of `order`.
    let order = unsafe { _mm512_loadu_si512(order.as_ptr().cast()) };
    let (first, second) = (cut::<PARTS>(first), cut::<PARTS>(second));
    for (part, line) in lines.iter_mut().enumerate() {
        let packed = _mm512_permutex2var_epi16(first[part], order, second[part]);
        // SAFETY: a line has 64 bytes.
        unsafe { _mm512_store_si512(line.0.as_mut_ptr().cast(), packed) };
    }
}

/// Masks of the sixteen first and the sixteen last of up to 32 numbers.
#[inline]
fn masks(count: usize) -> [u16; 2] {
    let mask = u32::MAX >> (DEPTH - count);
    [mask as u16, (mask >> 16) as u16]
}

/// Writes up to [`DEPTH`] numbers times `scale` as a step of a row of a strip; what is left of the step is nought.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(crate) fn split_step<const PARTS: usize>(numbers: &[f32], scale: f32, lines: &mut [Line; PARTS]) {
    let (scale, at, [low, high]) = (_mm512_set1_ps(scale), numbers.as_ptr(), masks(numbers.len()));
    // SAFETY: the masks leave out what is not there.
    let (first, second) =
        unsafe { (_mm512_maskz_loadu_ps(low, at), _mm512_maskz_loadu_ps(high, at.wrapping_add(PANEL))) };
    write_step(lines, _mm512_mul_ps(first, scale), _mm512_mul_ps(second, scale));
}

/// Writes `row` times `scale` as a row of a strip.
///
/// # Safety
/// The CPU has AVX-512 F and BW.
#[target_feature(enable = "avx512f,avx512bw")]
pub(crate) unsafe fn split_row<const PARTS: usize>(row: &[f32], scale: f32, lines: &mut [Line]) {
    for (numbers, lines) in row.chunks(DEPTH).zip(lines.as_chunks_mut().0) {
        split_step::<PARTS>(numbers, scale, lines);
    }
}

/// 2^f for |f| <= 1/2 from the fifth power down, to 7.5e-8 of it (Remez's exchange algorithm).
const EXP2: [f32; 6] =
    [0.001_327_647_2, 0.009_675_541, 0.055_507_13, 0.240_221_2, 0.693_146_94, 1.000_000_1];

/// 2^x for x of nought and below, with minus infinity.
#[inline]
#[target_feature(enable = "avx512f")]
fn exp2(x: __m512) -> __m512 {
    // Small enough for nought, and a number to take a whole number from.
    let x = _mm512_max_ps(x, _mm512_set1_ps(-200.0));
    let n = _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x);
    let f = _mm512_sub_ps(x, n);
    let mut p = _mm512_set1_ps(EXP2[0]);
    for c in &EXP2[1..] {
        p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(*c));
    }
    _mm512_scalef_ps(p, n)
}

/// e^x of a number of nought and below.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn exp(x: f32) -> f32 {
    _mm512_cvtss_f32(exp2(_mm512_set1_ps(x * std::f32::consts::LOG2_E)))
}

/// Writes `exp(x - largest)` of a step as one of a row of a strip, and adds them to `sums`, place by place.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(crate) fn split_exp<const PARTS: usize>(
    numbers: &[f32; DEPTH],
    largest: f32,
    lines: &mut [Line; PARTS],
    sums: &mut [f32; DEPTH],
) {
    let factor = _mm512_set1_ps(std::f32::consts::LOG2_E);
    let shift = _mm512_set1_ps(largest * std::f32::consts::LOG2_E);
    let [first, second] = [0, PANEL].map(|half| {
        let (x, sum) = (numbers[half..].as_ptr(), sums[half..].as_mut_ptr());
        // SAFETY: there are sixteen of both from here on.
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
    // SAFETY: there are 32.
    let (first, second) = unsafe { (_mm512_loadu_ps(at), _mm512_loadu_ps(at.add(PANEL))) };
    _mm512_reduce_add_ps(_mm512_add_ps(first, second))
}

/// The largest of some numbers, minus infinity of none.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn largest(steps: &[[f32; DEPTH]]) -> f32 {
    let mut lanes = [_mm512_set1_ps(f32::NEG_INFINITY); 2];
    for numbers in steps {
        for (i, lane) in lanes.iter_mut().enumerate() {
            // SAFETY: there are twice sixteen.
            *lane = _mm512_max_ps(*lane, unsafe { _mm512_loadu_ps(numbers.as_ptr().add(i * PANEL)) });
        }
    }
    _mm512_reduce_max_ps(_mm512_max_ps(lanes[0], lanes[1]))
}

/// Writes panel number `which` of two, `[depth][PANEL]`, to the lines of both.
///
/// # Safety
/// The CPU has AVX2, FMA, F16C, and AVX-512 F and BW.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw")]
pub(crate) unsafe fn split_panel<const PARTS: usize, T: LoadPanel>(
    panel: &[T], which: usize,
    lines: &mut [Line],
) {
    let steps = panel.chunks(DEPTH * PANEL).zip(lines.chunks_exact_mut(step_lines(PARTS)));
    for (rows, lines) in steps {
        for (pair, rows) in rows.chunks(2 * PANEL).enumerate() {
            // SAFETY: a chunk has one row or two of them.
            let (even, odd) = unsafe {
                let odd = if rows.len() > PANEL {
                    T::load_wide(rows.as_ptr().add(PANEL))
                } else {
                    _mm512_setzero_ps()
                };
                (split::<PARTS>(T::load_wide(rows.as_ptr())), split::<PARTS>(odd))
            };
            for part in 0..PARTS {
                let line = &mut lines[(part * PANELS + which) * (DEPTH / 2) + pair];
                let packed = _mm512_or_si512(_mm512_srli_epi32::<16>(even[part]), odd[part]);
                // SAFETY: a line has 64 bytes.
                unsafe { _mm512_store_si512(line.0.as_mut_ptr().cast(), packed) };
            }
        }
        for pair in rows.len().div_ceil(2 * PANEL)..DEPTH / 2 {
            for part in 0..PARTS {
                lines[(part * PANELS + which) * (DEPTH / 2) + pair] = Line::ZERO;
            }
        }
    }
}

/// The four products of two tiles of rows with two of panels.
macro_rules! products {
    (upper) => {
        "tdpbf16ps tmm0, tmm4, tmm6\n tdpbf16ps tmm1, tmm4, tmm7"
    };
    (lower) => {
        "tdpbf16ps tmm2, tmm5, tmm6\n tdpbf16ps tmm3, tmm5, tmm7"
    };
}

/// Loads a part of rows to two tiles.
macro_rules! load_rows {
    ($part:literal) => {
        concat!(
            "tileloadd tmm4, [{upper} + {row} + 64 * ", $part, "]\n",
            "tileloadd tmm5, [{lower} + {row} + 64 * ", $part, "]"
        )
    };
}

/// Loads a part of panels to two tiles.
macro_rules! load_panels {
    ($part:literal) => {
        concat!(
            "tileloadd tmm6, [{panels} + {line} + 2048 * ", $part, "]\n",
            "tileloadd tmm7, [{panels} + {line} + 2048 * ", $part, " + 1024]"
        )
    };
}

/// A product of a strip with two panels that is added up: in four tiles, [`STRIP`] rows of [`COLUMNS`] numbers, from
/// [`Product::begin`] to [`Product::end`]. One at a time.
#[derive(Clone, Copy)]
pub(crate) struct Product {
    upper: *mut f32,
    lower: *mut f32,
    row_bytes: usize,
}

impl Product {
    /// Begins with nothing, or with what is there already, at `c`, whose rows lie `c_row` numbers apart.
    ///
    /// # Safety
    /// There are [`super::Tiles`] and no other product is under way; `c` can be read and, at the end, written.
    #[inline]
    pub(crate) unsafe fn begin(c: *mut f32, c_row: usize, add: bool) -> Self {
        let product = Self { upper: c, lower: c.wrapping_add(ROWS * c_row), row_bytes: c_row * size_of::<f32>() };
        // SAFETY: reads sixteen rows of each quarter of `c`, which the caller grants.
        unsafe {
            if add {
                asm!(
                    "tileloadd tmm0, [{upper} + {bytes}]",
                    "tileloadd tmm1, [{upper} + {bytes} + 64]",
                    "tileloadd tmm2, [{lower} + {bytes}]",
                    "tileloadd tmm3, [{lower} + {bytes} + 64]",
                    upper = in(reg) product.upper,
                    lower = in(reg) product.lower,
                    bytes = in(reg) product.row_bytes,
                    options(nostack, preserves_flags, readonly),
                );
            } else {
                asm!(
                    "tilezero tmm0",
                    "tilezero tmm1",
                    "tilezero tmm2",
                    "tilezero tmm3",
                    options(nostack, preserves_flags, nomem),
                );
            }
        }
        product
    }

    /// Adds the product of a step of both: of a strip from its first row on, whose rows lie `row_lines` apart, and of panels
    /// [`step_lines`]. `meanwhile` is called once for each of the [`products`] of parts, four instructions on tiles: these take
    /// long, and what is computed in vectors costs nothing as long as it is little at a time.
    ///
    /// # Safety
    /// The product has begun and has not ended; `meanwhile` uses no tiles.
    #[inline(always)]
    pub(crate) unsafe fn add_step<const PARTS: usize>(
        &self,
        strip: &[Line],
        row_lines: usize,
        panels: &[Line],
        mut meanwhile: impl FnMut(),
    ) {
        const { assert!(PARTS == 2 || PARTS == 3) };
        assert!(strip.len() >= (STRIP - 1) * row_lines + PARTS && panels.len() >= step_lines(PARTS));
        macro_rules! add {
            ($($line:expr),*) => {
                // SAFETY: reads the lines, and changes tiles that are this product's.
                unsafe {
                    asm!(
                        "/* {upper} {lower} {row} {panels} {line} */",
                        $($line,)*
                        products!(upper),
                        upper = in(reg) strip.as_ptr(),
                        lower = in(reg) strip[ROWS * row_lines..].as_ptr(),
                        row = in(reg) row_lines * size_of::<Line>(),
                        panels = in(reg) panels.as_ptr(),
                        line = in(reg) size_of::<Line>(),
                        options(nostack, preserves_flags, readonly),
                    );
                    asm!(products!(lower), options(nostack, preserves_flags, readonly));
                }
                meanwhile();
            };
        }
        // The smallest products come first; each has a part in common with the one before it, whose tiles stay.
        if PARTS == 3 {
            add!(load_rows!(2), load_panels!(0));
            add!(load_rows!(1));
            add!(load_panels!(1));
            add!(load_rows!(0));
            add!(load_panels!(2));
            add!(load_panels!(0));
        } else {
            add!(load_rows!(1), load_panels!(0));
            add!(load_rows!(0));
            add!(load_panels!(1));
        }
    }

    /// Writes the sums.
    ///
    /// # Safety
    /// The product has begun and has not ended.
    #[inline]
    pub(crate) unsafe fn end(self) {
        // SAFETY: writes what the caller of `begin` granted.
        unsafe {
            asm!(
                "tilestored [{upper} + {bytes}], tmm0",
                "tilestored [{upper} + {bytes} + 64], tmm1",
                "tilestored [{lower} + {bytes}], tmm2",
                "tilestored [{lower} + {bytes} + 64], tmm3",
                upper = in(reg) self.upper,
                lower = in(reg) self.lower,
                bytes = in(reg) self.row_bytes,
                options(nostack, preserves_flags),
            );
        }
    }
}
