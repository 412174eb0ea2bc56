//! Products of floats by tiles of brain floats (a sign, eight bits of exponent, eight of significand): a float is the sum of
//! three of them, to the bit, and of the nine products of parts the six largest leave out less than rounding a float does
//! (Henry, Tang and Heinecke, "Leveraging the bfloat16 artificial intelligence datatype for higher-precision computations",
//! arXiv:1904.06376). An instruction does 16 times as many of these as one for floats, at half as many a cycle at most.

use std::arch::asm;
use std::arch::x86_64::*;

use super::{Line, ROWS};
use crate::arch::x86::LoadPanel;
use crate::panels::PANEL;

/// Parts of a float.
pub(crate) const PARTS: usize = 3;
/// Products of parts that are added up.
pub(crate) const PRODUCTS: usize = 6;
/// Numbers of a tile's row.
pub(crate) const DEPTH: usize = 32;
/// Rows that are multiplied at once, two tiles: a strip.
pub(crate) const STRIP: usize = 2 * ROWS;
/// Panels that are multiplied at once, and their columns.
pub(crate) const PANELS: usize = 2;
pub(crate) const COLUMNS: usize = PANELS * PANEL;
/// Lines of [`DEPTH`] numbers of a strip, `[PARTS][STRIP]`, or of two panels, `[PARTS][PANELS][DEPTH / 2]`.
pub(crate) const STEP_LINES: usize = PARTS * STRIP;

/// Lines that numbers of so many steps of depth take, in a strip or in two panels.
pub(crate) fn lines(depth: usize) -> usize {
    depth.div_ceil(DEPTH) * STEP_LINES
}

/// The parts of sixteen floats, each in the upper half of its lane: each the nearest to what is left.
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

/// The same, each part the first bits of what is left: less work, and good enough for one of two factors, as what products of
/// small parts leave out is then as often too much as too little. Lower halves are not nought.
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

/// Writes two times sixteen numbers of row `r` of a strip to the lines of their step.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn write_step(lines: &mut [Line; STEP_LINES], r: usize, first: __m512, second: __m512) {
    // Odd words of one and of the other.
    let order: [u16; 32] = std::array::from_fn(|i| 2 * i as u16 + 1);
    // SAFETY: reads 64 bytes of `order`.
    let order = unsafe { _mm512_loadu_si512(order.as_ptr().cast()) };
    let (first, second) = (cut(first), cut(second));
    for part in 0..PARTS {
        let line = &mut lines[part * STRIP + r];
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

/// Writes `row` times `scale` as row `r` of a strip; what is left of the last step is nought.
///
/// # Safety
/// The CPU has AVX-512 F and BW.
#[target_feature(enable = "avx512f,avx512bw")]
pub(crate) unsafe fn split_row(row: &[f32], scale: f32, r: usize, strip: &mut [Line]) {
    let scale = _mm512_set1_ps(scale);
    for (numbers, lines) in row.chunks(DEPTH).zip(strip.as_chunks_mut().0) {
        let [low, high] = masks(numbers.len());
        let at = numbers.as_ptr();
        // SAFETY: the masks leave out what is not in the chunk.
        let (first, second) = unsafe {
            (_mm512_maskz_loadu_ps(low, at), _mm512_maskz_loadu_ps(high, at.wrapping_add(PANEL)))
        };
        write_step(lines, r, _mm512_mul_ps(first, scale), _mm512_mul_ps(second, scale));
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

/// Writes `exp(x - largest)` of a step of row `r` to the strip's lines, and adds them to `sums`, place by place.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(crate) fn split_exp(
    numbers: &[f32; DEPTH],
    largest: f32,
    r: usize,
    lines: &mut [Line; STEP_LINES],
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
    write_step(lines, r, first, second);
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
        let at = numbers.as_ptr();
        // SAFETY: there are 32.
        let (first, second) = unsafe { (_mm512_loadu_ps(at), _mm512_loadu_ps(at.add(PANEL))) };
        lanes = [_mm512_max_ps(lanes[0], first), _mm512_max_ps(lanes[1], second)];
    }
    _mm512_reduce_max_ps(_mm512_max_ps(lanes[0], lanes[1]))
}

/// Writes panel number `which` of two, `[depth][PANEL]`, to the lines of both.
///
/// # Safety
/// The CPU has AVX2, FMA, F16C, and AVX-512 F and BW.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw")]
pub(crate) unsafe fn split_panel<T: LoadPanel>(panel: &[T], which: usize, lines: &mut [Line]) {
    let steps = panel.chunks(DEPTH * PANEL).zip(lines.as_chunks_mut::<STEP_LINES>().0);
    for (rows, lines) in steps {
        for (pair, rows) in rows.chunks(2 * PANEL).enumerate() {
            // SAFETY: a chunk has one row or two of them.
            let (even, odd) = unsafe {
                let odd = if rows.len() > PANEL {
                    T::load_wide(rows.as_ptr().add(PANEL))
                } else {
                    _mm512_setzero_ps()
                };
                (split(T::load_wide(rows.as_ptr())), split(odd))
            };
            for part in 0..PARTS {
                let line = &mut lines[part * STRIP + which * (DEPTH / 2) + pair];
                let packed = _mm512_or_si512(_mm512_srli_epi32::<16>(even[part]), odd[part]);
                // SAFETY: a line has 64 bytes.
                unsafe { _mm512_store_si512(line.0.as_mut_ptr().cast(), packed) };
            }
        }
        for pair in rows.len().div_ceil(2 * PANEL)..DEPTH / 2 {
            for part in 0..PARTS {
                lines[part * STRIP + which * (DEPTH / 2) + pair] = Line::ZERO;
            }
        }
    }
}

/// The four products of two tiles of rows with two of panels.
macro_rules! products {
    () => {
        "tdpbf16ps tmm0, tmm4, tmm6\n tdpbf16ps tmm1, tmm4, tmm7\n tdpbf16ps tmm2, tmm5, tmm6\n tdpbf16ps tmm3, tmm5, tmm7"
    };
}

/// Loads part number `$part`, of rows or of panels, to two tiles.
macro_rules! load_part {
    ($first:literal, $second:literal, $from:literal, $part:literal) => {
        concat!(
            "tileloadd ", $first, ", [{", $from, "} + {line} + 2048 * ", $part, "]\n",
            "tileloadd ", $second, ", [{", $from, "} + {line} + 2048 * ", $part, " + 1024]"
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

    /// Adds the product of a step of both. `meanwhile` is called once for every four instructions on tiles: these take long, and
    /// what is computed in vectors is for nothing, as long as it is little at a time.
    ///
    /// # Safety
    /// The product has begun and has not ended; `meanwhile` uses no tiles.
    #[inline(always)]
    pub(crate) unsafe fn add_step(
        &self,
        strip: &[Line; STEP_LINES],
        panels: &[Line; STEP_LINES],
        mut meanwhile: impl FnMut(),
    ) {
        macro_rules! add {
            ($($line:expr),*) => {
                // SAFETY: reads the lines, and changes tiles that are this product's.
                unsafe {
                    asm!(
                        $($line,)*
                        products!(),
                        strip = in(reg) strip,
                        panels = in(reg) panels,
                        line = in(reg) size_of::<Line>(),
                        options(nostack, preserves_flags, readonly),
                    );
                }
                meanwhile();
            };
        }
        // The smallest products come first; each has a part in common with the one before it.
        add!(load_part!("tmm4", "tmm5", "strip", 2), load_part!("tmm6", "tmm7", "panels", 0));
        add!("/* {panels} */", load_part!("tmm4", "tmm5", "strip", 1));
        add!("/* {strip} */", load_part!("tmm6", "tmm7", "panels", 1));
        add!("/* {panels} */", load_part!("tmm4", "tmm5", "strip", 0));
        add!("/* {strip} */", load_part!("tmm6", "tmm7", "panels", 2));
        add!("/* {strip} */", load_part!("tmm6", "tmm7", "panels", 0));
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
