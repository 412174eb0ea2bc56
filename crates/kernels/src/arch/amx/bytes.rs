//! Products of integers by AMX tiles of bytes: one instruction multiplies 16 rows of 64 inputs with 16 columns of 64 weights.
//!
//! Inputs have two bytes; upper and lower ones are summed separately, and the sums are combined modulo 2^32: the results are
//! bit-identical to those of the other instruction sets.

use std::arch::asm;
use std::arch::x86_64::*;

use super::{ROWS, TileRow, Tiles};
use crate::arch::{Integer, Scales, Target, avx512};
use crate::cpu::{Amx, Isa};
use crate::panels::PANEL;
use crate::vectorize::vectorized;

/// Inputs of a tile.
pub(crate) const DEPTH: usize = 64;
/// Panels that are multiplied at once.
pub(crate) const PANELS: usize = 2;
/// Lines of a tile of inputs, of upper and of lower bytes.
pub(crate) const INPUT_LINES: usize = 2 * ROWS;

/// Inputs that are summed per lane: a tile of weights has one row for as many, `[PANEL][QUAD]`.
const QUAD: usize = 4;
/// Lines of a byte of a panel's weights that go with a tile of inputs.
const PANEL_LINES: usize = DEPTH / QUAD;

/// Contents of the tiles: the [`Bytes::SUMS`] sums of the left panel, then those of the right one.
#[repr(C, align(64))]
pub(crate) struct Sums([[[i32; PANEL]; ROWS]; 6]);

/// Stores tiles to the sums of their numbers. The caller must hold [`Tiles`].
macro_rules! store_tiles {
    ($sums:expr, $($tile:literal)*) => {
        asm!(
            $(concat!("tilestored [{sums} + {line} + 1024 * ", $tile, "], tmm", $tile),)*
            sums = in(reg) std::ptr::from_mut($sums),
            line = in(reg) size_of::<TileRow>(),
            options(nostack, preserves_flags),
        )
    };
}

/// Weights of one byte or two.
pub(crate) trait Bytes: Integer {
    /// Bytes of a weight.
    const BYTES: usize;
    /// Number of sums per panel: products of different weight are summed separately.
    const SUMS: usize;

    /// Bytes of two rows of pairs, `[PANEL][2]` each: those of one row, then those of the other; of two bytes the upper ones
    /// come first. `pairs` may be shorter.
    ///
    /// # Safety
    /// They can be read; the CPU has AVX-512 F and BW.
    unsafe fn load_bytes(pairs: &[Self]) -> [__m512i; 2];

    /// Sets the tiles of sums to zero.
    ///
    /// # Safety
    /// The caller holds [`Tiles`].
    unsafe fn begin();

    /// Adds the products of a tile's rows with two panels.
    ///
    /// # Safety
    /// As above; `inputs` are readable at [`INPUT_LINES`], `weights` at [`weight_lines`].
    unsafe fn add_step(inputs: *const TileRow, weights: *const TileRow);

    /// Writes the sums.
    ///
    /// # Safety
    /// As above.
    unsafe fn end(sums: &mut Sums);

    /// Combines the sums of one row and panel.
    ///
    /// # Safety
    /// The CPU has AVX-512 F.
    unsafe fn together(sums: [__m512i; 3]) -> __m512i;
}

/// Lines of weights, `[PANELS][bytes][PANEL_LINES]`, that go with a tile of inputs.
const fn weight_lines<T: Bytes>() -> usize {
    PANELS * T::BYTES * PANEL_LINES
}

impl Bytes for i8 {
    const BYTES: usize = 1;
    /// With upper bytes of inputs, and with lower ones.
    const SUMS: usize = 2;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn load_bytes(pairs: &[i8]) -> [__m512i; 2] {
        // SAFETY: the mask excludes what is out of bounds.
        [unsafe { _mm512_maskz_loadu_epi8(u64::MAX >> (64 - pairs.len()), pairs.as_ptr()) }; 2]
    }

    #[inline]
    unsafe fn begin() {
        // SAFETY: changes tiles, which the caller grants.
        unsafe { zero_tiles!(0 1 2 3) };
    }

    #[inline]
    unsafe fn add_step(inputs: *const TileRow, weights: *const TileRow) {
        // SAFETY: reads what the caller grants, and changes tiles.
        unsafe {
            asm!(
                "tileloadd tmm4, [{inputs} + {line}]",
                "tileloadd tmm6, [{weights} + {line}]",
                "tdpbssd tmm0, tmm4, tmm6",
                "tileloadd tmm5, [{inputs} + {line} + 1024]",
                "tdpbusd tmm1, tmm5, tmm6",
                "tileloadd tmm7, [{weights} + {line} + 1024]",
                "tdpbssd tmm2, tmm4, tmm7",
                "tdpbusd tmm3, tmm5, tmm7",
                inputs = in(reg) inputs,
                weights = in(reg) weights,
                line = in(reg) size_of::<TileRow>(),
                options(nostack, preserves_flags, readonly),
            );
        }
    }

    #[inline]
    unsafe fn end(sums: &mut Sums) {
        // SAFETY: writes four of the six.
        unsafe { store_tiles!(sums, 0 1 2 3) };
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn together([upper, lower, _]: [__m512i; 3]) -> __m512i {
        _mm512_add_epi32(_mm512_slli_epi32::<8>(upper), lower)
    }
}

impl Bytes for i16 {
    const BYTES: usize = 2;
    /// Upper bytes with upper, upper with lower and lower with upper, lower with lower.
    const SUMS: usize = 3;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn load_bytes(pairs: &[i16]) -> [__m512i; 2] {
        let (first, second) = pairs.split_at(pairs.len().min(2 * PANEL));
        // SAFETY: the masks exclude what is out of bounds.
        let words = [first, second].map(|words| unsafe {
            let mask = u32::MAX.checked_shr(32 - words.len() as u32).unwrap_or(0);
            _mm512_maskz_loadu_epi16(mask, words.as_ptr())
        });
        let bytes = |of: fn(__m512i) -> __m256i| {
            let [first, second] = words.map(of);
            _mm512_inserti64x4::<1>(_mm512_castsi256_si512(first), second)
        };
        [
            bytes(|words| _mm512_cvtepi16_epi8(_mm512_srli_epi16::<8>(words))),
            bytes(|words| _mm512_cvtepi16_epi8(words)),
        ]
    }

    #[inline]
    unsafe fn begin() {
        // SAFETY: changes tiles, which the caller grants.
        unsafe { zero_tiles!(0 1 2 3 4 5) };
    }

    #[inline]
    unsafe fn add_step(inputs: *const TileRow, weights: *const TileRow) {
        // SAFETY: reads what the caller grants, and changes tiles.
        unsafe {
            asm!(
                // Upper bytes of inputs, then lower ones; the weights are read forwards, then backwards.
                "tileloadd tmm6, [{inputs} + {line}]",
                "tileloadd tmm7, [{weights} + {line}]",
                "tdpbssd tmm0, tmm6, tmm7",
                "tileloadd tmm7, [{weights} + {line} + 1024]",
                "tdpbsud tmm1, tmm6, tmm7",
                "tileloadd tmm7, [{weights} + {line} + 2048]",
                "tdpbssd tmm3, tmm6, tmm7",
                "tileloadd tmm7, [{weights} + {line} + 3072]",
                "tdpbsud tmm4, tmm6, tmm7",
                "tileloadd tmm6, [{inputs} + {line} + 1024]",
                "tdpbuud tmm5, tmm6, tmm7",
                "tileloadd tmm7, [{weights} + {line} + 2048]",
                "tdpbusd tmm4, tmm6, tmm7",
                "tileloadd tmm7, [{weights} + {line} + 1024]",
                "tdpbuud tmm2, tmm6, tmm7",
                "tileloadd tmm7, [{weights} + {line}]",
                "tdpbusd tmm1, tmm6, tmm7",
                inputs = in(reg) inputs,
                weights = in(reg) weights,
                line = in(reg) size_of::<TileRow>(),
                options(nostack, preserves_flags, readonly),
            );
        }
    }

    #[inline]
    unsafe fn end(sums: &mut Sums) {
        // SAFETY: writes all six.
        unsafe { store_tiles!(sums, 0 1 2 3 4 5) };
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn together([upper, middle, lower]: [__m512i; 3]) -> __m512i {
        let two = _mm512_add_epi32(_mm512_slli_epi32::<8>(upper), middle);
        _mm512_add_epi32(_mm512_slli_epi32::<8>(two), lower)
    }
}

/// Splits a row's inputs, a multiple of [`DEPTH`], into bytes: row `r` of its tile's lines, `[steps of DEPTH][INPUT_LINES]`.
pub(crate) fn split_row(amx: Amx, row: &[i16], r: usize, lines: &mut [TileRow]) {
    vectorized(
        Isa::Amx(amx),
        #[inline(always)]
        || {
            for (inputs, lines) in row.as_chunks::<DEPTH>().0.iter().zip(lines.chunks_exact_mut(INPUT_LINES))
            {
                lines[r].0 = inputs.map(|v| (v >> 8) as u8);
                lines[ROWS + r].0 = inputs.map(|v| v as u8);
            }
        },
    );
}

/// Writes up to [`PANELS`] panels, each `[depth / 2][PANEL][2]`, as tiles, [`weight_lines`] for each step of [`DEPTH`].
///
/// # Safety
/// The CPU has AVX-512 F and BW.
#[target_feature(enable = "avx512f,avx512bw")]
pub(crate) unsafe fn pack_weights<T: Bytes>(panels: &[T], depth: usize, lines: &mut Vec<TileRow>) {
    // Words of two rows of sixteen pairs, `[2][PANEL]`, in the order of sixteen columns, `[PANEL][2]`; two per lane of 32 bits.
    let column = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    let second = _mm512_slli_epi32::<16>(_mm512_add_epi32(column, _mm512_set1_epi32(PANEL as i32)));
    let order = _mm512_or_si512(column, second);
    lines.clear();
    lines.resize(depth.div_ceil(DEPTH) * weight_lines::<T>(), TileRow::ZERO);
    for (p, panel) in panels.chunks_exact(depth * PANEL).enumerate() {
        for (q, quad) in panel.chunks(QUAD * PANEL).enumerate() {
            // SAFETY: the CPU has these features.
            let bytes = unsafe { T::load_bytes(quad) };
            for (b, bytes) in bytes.into_iter().enumerate().take(T::BYTES) {
                let tile = (q / PANEL_LINES * PANELS + p) * T::BYTES + b;
                let line = &mut lines[tile * PANEL_LINES + q % PANEL_LINES];
                let columns = _mm512_permutexvar_epi16(order, bytes);
                // SAFETY: a line has 64 bytes.
                unsafe { _mm512_store_si512(line.0.as_mut_ptr().cast(), columns) };
            }
        }
    }
}

/// Rows of a tile that are finished between two steps: few enough that vector instructions do not delay the tiles.
const ROWS_PER_STEP: usize = 2;

/// `c = epilogue(a b scaled)` of all rows that `inputs` has, `[tiles][steps of DEPTH][INPUT_LINES]`, and the panels that
/// [`pack_weights`] made `weights` of; `size` is rows and columns of the product.
///
/// # Safety
/// See [`Target`], [`Scales`]: rows are those of the inputs (zeros fill the last tile), and there are up to [`PANELS`] panels of
/// columns. No sum may exceed i32.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(crate) unsafe fn multiply<T: Bytes>(
    amx: Amx,
    inputs: &[TileRow],
    weights: &[TileRow],
    [rows, columns]: [usize; 2],
    to: Target,
    scales: Scales,
) {
    let steps = weights.len() / weight_lines::<T>();
    if steps == 0 {
        return;
    }
    // A tile is finished while the next one is summed.
    let mut sums = [const { Sums([[[0; PANEL]; ROWS]; 6]) }; 2];
    // SAFETY: the contract; no function called here uses tiles of its own.
    let _tiles = unsafe { Tiles::begin(amx) };
    let mut tiles = inputs.chunks_exact(steps * INPUT_LINES);
    for i in 0..=tiles.len() {
        let [even, odd] = &mut sums;
        let (sums, last) = if i % 2 == 0 { (even, odd) } else { (odd, even) };
        let first = i.saturating_sub(1) * ROWS;
        let unfinished = if i == 0 { 0 } else { ROWS.min(rows - first) };
        let mut finished = 0;
        let mut finish_some = |end: usize| {
            while finished < unfinished.min(end) {
                let (row, count) = (first + finished, ROWS_PER_STEP.min(unfinished - finished));
                // SAFETY: these are rows of the product.
                unsafe {
                    with_rows!(count, [1], ROWS_PER_STEP, COUNT => {
                        finish_rows::<T, COUNT>(last, finished, columns, &to.at_row(row), scales.at_row(row));
                    });
                }
                finished += count;
            }
        };
        if let Some(inputs) = tiles.next() {
            // SAFETY: both have `steps` times what is read.
            unsafe {
                T::begin();
                let steps = inputs.chunks_exact(INPUT_LINES).zip(weights.chunks_exact(weight_lines::<T>()));
                for (step, (inputs, weights)) in steps.enumerate() {
                    T::add_step(inputs.as_ptr(), weights.as_ptr());
                    finish_some((step + 1) * ROWS_PER_STEP);
                }
                T::end(sums);
            }
        }
        finish_some(ROWS);
    }
}

/// Combines, scales, finishes and writes `COUNT` rows of sums from `first` on, where `to` and `scales` begin.
///
/// # Safety
/// As [`multiply`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn finish_rows<T: Bytes, const COUNT: usize>(
    sums: &Sums,
    first: usize,
    columns: usize,
    to: &Target,
    scales: Scales,
) {
    // SAFETY: the contract grants sixteen column scales per panel and one scale per row, and what `finish` reads and writes; a row
    // has sixteen sums.
    unsafe {
        let both = columns > PANEL;
        let left = _mm512_loadu_ps(scales.columns);
        let right = if both { _mm512_loadu_ps(scales.columns.add(PANEL)) } else { left };
        let scaled: [[__m512; PANELS]; COUNT] = std::array::from_fn(|r| {
            let row = _mm512_set1_ps(*scales.rows.add(r));
            let sum = |panel: usize| {
                let load = |i: usize| {
                    _mm512_load_si512(sums.0[panel * T::SUMS + i.min(T::SUMS - 1)][first + r].as_ptr().cast())
                };
                _mm512_cvtepi32_ps(T::together([load(0), load(1), load(2)]))
            };
            [
                _mm512_mul_ps(sum(0), _mm512_mul_ps(row, left)),
                _mm512_mul_ps(sum(1), _mm512_mul_ps(row, right)),
            ]
        });
        if both {
            avx512::finish(to, columns, &scaled);
        } else {
            avx512::finish(to, columns, &scaled.map(|[left, _]| [left]));
        }
    }
}
