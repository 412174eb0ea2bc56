//! Products of integers by tiles of bytes: an instruction multiplies 16 rows of 64 inputs with 16 columns of 64 weights.
//!
//! Inputs have two bytes; upper and lower ones have sums of their own, which are put together modulo 2^32: what comes out is what
//! other instruction sets get, to the bit.

use std::arch::asm;
use std::arch::x86_64::*;

use super::{Line, ROWS, Tiles};
use crate::arch::{Scales, Target, avx512};
use crate::cpu::Isa;
use crate::panels::PANEL;
use crate::vectorize::vectorized;

/// Inputs of a tile.
pub(crate) const DEPTH: usize = 64;
/// Panels that are multiplied at once.
pub(crate) const PANELS: usize = 2;
/// Lines of a tile of inputs, of upper and of lower bytes.
pub(crate) const INPUT_LINES: usize = 2 * ROWS;

/// Inputs that are added up in a lane: a tile of weights has a line for as many, `[PANEL][QUAD]`.
const QUAD: usize = 4;
/// Lines of weights that go with a tile of inputs.
const WEIGHT_LINES: usize = PANELS * DEPTH / QUAD;

/// What four tiles hold: of the left panel the sums of upper bytes and of lower ones, and of the right panel the same.
#[repr(C, align(64))]
struct Sums([[[i32; PANEL]; ROWS]; 4]);

/// Splits a row's inputs, a multiple of [`DEPTH`], into bytes: row `r` of its tile's lines, `[steps of DEPTH][INPUT_LINES]`.
pub(crate) fn split_row(row: &[i16], r: usize, lines: &mut [Line]) {
    vectorized(
        Isa::Amx,
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

/// Writes up to [`PANELS`] panels, each `[depth / 2][PANEL][2]`, as tiles: `[steps of DEPTH][WEIGHT_LINES]`, the left panel's
/// before the right one's.
///
/// # Safety
/// The CPU has AVX-512 F and BW.
#[target_feature(enable = "avx512f,avx512bw")]
pub(crate) unsafe fn pack_weights(panels: &[i8], depth: usize, lines: &mut Vec<Line>) {
    // Words of two rows of sixteen pairs, `[2][PANEL]`, in the order of sixteen columns, `[PANEL][2]`; two a lane of 32 bits.
    let column = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    let second = _mm512_slli_epi32::<16>(_mm512_add_epi32(column, _mm512_set1_epi32(PANEL as i32)));
    let order = _mm512_or_si512(column, second);
    lines.clear();
    lines.resize(depth.div_ceil(DEPTH) * WEIGHT_LINES, Line::ZERO);
    for (p, panel) in panels.chunks_exact(depth * PANEL).enumerate() {
        for (q, quad) in panel.chunks(QUAD * PANEL).enumerate() {
            let lines_of_panel = WEIGHT_LINES / PANELS;
            let line = q / lines_of_panel * WEIGHT_LINES + p * lines_of_panel + q % lines_of_panel;
            let mask = u64::MAX >> (64 - quad.len());
            // SAFETY: the mask leaves out what is not in the chunk; a line has 64 bytes.
            unsafe {
                let pairs = _mm512_maskz_loadu_epi8(mask, quad.as_ptr());
                let columns = _mm512_permutexvar_epi16(order, pairs);
                _mm512_storeu_si512(lines[line].0.as_mut_ptr().cast(), columns);
            }
        }
    }
}

/// `c = epilogue(a b scaled)` of all rows that `inputs` has, `[tiles][steps of DEPTH][INPUT_LINES]`, and the panels that
/// [`pack_weights`] made `weights` of; `size` is rows and columns of the product.
///
/// # Safety
/// See [`Target`], [`Scales`]: rows are those of the inputs (zeros fill the last tile), and there are up to [`PANELS`] panels of
/// columns. No sum may exceed i32; `Isa::Amx` is there.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(crate) unsafe fn multiply(
    inputs: &[Line],
    weights: &[Line],
    [rows, columns]: [usize; 2],
    to: Target,
    scales: Scales,
) {
    let steps = weights.len() / WEIGHT_LINES;
    if steps == 0 {
        return;
    }
    // A tile is finished while the next one is added up.
    let mut sums = [const { Sums([[[0; PANEL]; ROWS]; 4]) }; 2];
    // SAFETY: the contract; nothing that is called here uses tiles of its own.
    let _tiles = unsafe { Tiles::begin() };
    let mut tiles = inputs.chunks_exact(steps * INPUT_LINES);
    for i in 0..=tiles.len() {
        // SAFETY: both have `steps` times what is read; rows and columns are those of the contract.
        unsafe {
            if let Some(inputs) = tiles.next() {
                add_up(inputs.as_ptr(), weights.as_ptr(), steps, &mut sums[i % 2]);
            }
            if i > 0 {
                let first = (i - 1) * ROWS;
                let size = [ROWS.min(rows - first), columns];
                finish_tile(&sums[(i - 1) % 2], size, to.at_row(first), scales.at_row(first));
            }
        }
    }
}

/// Adds up the products of a tile's rows with two panels.
///
/// # Safety
/// There are [`Tiles`]; `inputs` and `weights` are readable at [`INPUT_LINES`] and [`WEIGHT_LINES`]
/// for each of `steps`, at least one.
#[inline]
unsafe fn add_up(inputs: *const Line, weights: *const Line, steps: usize, sums: &mut Sums) {
    // SAFETY: reads what the caller grants, and writes the sums: four tiles of sixteen lines.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "2:",
            "tileloadd tmm4, [{inputs} + {line}]",
            "tileloadd tmm6, [{weights} + {line}]",
            "tdpbssd tmm0, tmm4, tmm6",
            "tileloadd tmm5, [{inputs} + {line} + 1024]",
            "tdpbusd tmm1, tmm5, tmm6",
            "tileloadd tmm7, [{weights} + {line} + 1024]",
            "tdpbssd tmm2, tmm4, tmm7",
            "tdpbusd tmm3, tmm5, tmm7",
            "add {inputs}, 2048",
            "add {weights}, 2048",
            "dec {steps}",
            "jnz 2b",
            "tilestored [{sums} + {line}], tmm0",
            "tilestored [{sums} + {line} + 1024], tmm1",
            "tilestored [{sums} + {line} + 2048], tmm2",
            "tilestored [{sums} + {line} + 3072], tmm3",
            inputs = inout(reg) inputs => _,
            weights = inout(reg) weights => _,
            steps = inout(reg) steps => _,
            sums = in(reg) std::ptr::from_mut(sums),
            line = in(reg) size_of::<Line>(),
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}

/// Finishes a tile, of which so many rows and columns are wanted.
///
/// # Safety
/// As [`multiply`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn finish_tile(sums: &Sums, [rows, columns]: [usize; 2], to: Target, scales: Scales) {
    /// Rows that are finished at once.
    const TOGETHER: usize = 4;
    for first in (0..rows).step_by(TOGETHER) {
        // SAFETY: passed on; these are rows of the product.
        unsafe {
            with_rows!(rows - first, [1 2 3], TOGETHER, COUNT => {
                finish_rows::<COUNT>(sums, first, columns, &to.at_row(first), scales.at_row(first));
            });
        }
    }
}

/// Puts together, scales, finishes and writes `COUNT` rows of sums from `first` on, where `to` and `scales` begin.
///
/// # Safety
/// As [`multiply`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn finish_rows<const COUNT: usize>(
    sums: &Sums,
    first: usize,
    columns: usize,
    to: &Target,
    scales: Scales,
) {
    // SAFETY: the contract grants sixteen column scales a panel and a scale a row, and what `finish` reads and writes; a row
    // has sixteen sums.
    unsafe {
        let both = columns > PANEL;
        let left = _mm512_loadu_ps(scales.columns);
        let right = if both { _mm512_loadu_ps(scales.columns.add(PANEL)) } else { left };
        let scaled: [[__m512; PANELS]; COUNT] = std::array::from_fn(|r| {
            let row = _mm512_set1_ps(*scales.rows.add(r));
            let sum = |tile: usize| _mm512_loadu_si512(sums.0[tile][first + r].as_ptr().cast());
            let together = |upper, lower| _mm512_add_epi32(_mm512_slli_epi32::<8>(upper), lower);
            [
                _mm512_mul_ps(_mm512_cvtepi32_ps(together(sum(0), sum(1))), _mm512_mul_ps(row, left)),
                _mm512_mul_ps(_mm512_cvtepi32_ps(together(sum(2), sum(3))), _mm512_mul_ps(row, right)),
            ]
        });
        if both {
            avx512::finish(to, columns, &scaled);
        } else {
            avx512::finish(to, columns, &scaled.map(|[left, _]| [left]));
        }
    }
}
