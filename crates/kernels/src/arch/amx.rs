//! Products of integers by tiles of bytes, where the CPU has AMX (Intel 64 and IA-32 Architectures Software Developer's Manual,
//! volume 1, chapter 18): an instruction multiplies 16 rows of 64 inputs with 16 columns of 64 weights.
//!
//! Inputs have two bytes, and weights one or two; each pair of a byte of inputs and a byte of weights has sums of its own, which
//! are put together modulo 2^32: what comes out is what other instruction sets get, to the bit. All bytes are signed: a number
//! is 256 times its upper byte, rounded, and its lower byte, which may be less than nothing.
//!
//! In assembly, as the standard library's intrinsics for tiles are not stable. Between blocks of assembly nothing stays in
//! tiles, only their shape.

use std::arch::asm;
use std::arch::x86_64::*;

use super::{Scales, Tile, avx512};
use crate::cpu::Isa;
use crate::panels::PANEL;
use crate::vectorize::vectorized;

/// Rows of a tile, and its lines.
pub(crate) const ROWS: usize = 16;
/// Inputs of a tile.
pub(crate) const DEPTH: usize = 64;
/// Up to so many rows, upper and lower bytes share a tile.
pub(crate) const FEW_ROWS: usize = ROWS / 2;

/// Inputs that are added up in a lane: a tile of weights has a line for as many, `[PANEL][QUAD]`.
const QUAD: usize = 4;

/// A row of a tile.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [i8; 64]);

impl Line {
    pub(crate) const ZERO: Line = Line([0; 64]);
}

/// How many rows go through tiles together.
pub(crate) trait Height {
    /// Tiles of inputs for each [`DEPTH`] of them.
    const INPUT_TILES: usize;
    /// Streams of weights that are read side by side, one for each panel and byte.
    const STREAMS: usize;

    /// Where tile and line of a stream's sums lie: of a row's upper or lower bytes (0 or 1).
    fn place(stream: usize, byte: usize, row: usize) -> (usize, usize);

    /// Adds up `steps` tiles of inputs with as many of each stream, `steps` tiles apart.
    ///
    /// # Safety
    /// Called inside of [`shaped`]; `inputs` can be read at [`Height::INPUT_TILES`] times `steps` tiles, `weights` at
    /// [`Height::STREAMS`] times as many; there is at least one step.
    unsafe fn add_up(inputs: *const Line, weights: *const Line, steps: usize, sums: &mut Sums);
}

/// Up to [`FEW_ROWS`] rows, upper bytes above lower ones in the same tile: bound by reading weights.
pub(crate) struct Few;

/// Up to [`ROWS`] rows, a tile of upper bytes and one of lower ones.
pub(crate) struct Many;

/// What four tiles hold.
#[repr(C, align(64))]
pub(crate) struct Sums([[[i32; PANEL]; ROWS]; 4]);

/// The shape of all eight tiles, as LDTILECFG reads it.
#[repr(C, align(64))]
struct Shape {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

static SHAPE: Shape = Shape {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

/// Runs `f` with all tiles in the shape that [`multiply`] needs.
///
/// # Safety
/// `Isa::Amx` is there.
pub(crate) unsafe fn shaped(f: impl FnOnce()) {
    // SAFETY: reads the shape and nothing else; then touches nothing but tiles, which are free.
    unsafe {
        asm!("ldtilecfg [{}]", in(reg) &raw const SHAPE, options(nostack, preserves_flags, readonly));
        f();
        asm!("tilerelease", options(nostack, preserves_flags, nomem));
    }
}

/// Splits a row's inputs, a multiple of [`DEPTH`], into bytes: upper ones at `upper` and lower ones at `lower` of each
/// `stride` lines.
pub(crate) fn split_row(row: &[i16], lines: &mut [Line], stride: usize, [upper, lower]: [usize; 2]) {
    vectorized(
        Isa::Amx,
        #[inline(always)]
        || {
            for (inputs, lines) in row.as_chunks::<DEPTH>().0.iter().zip(lines.chunks_exact_mut(stride)) {
                lines[upper].0 = inputs.map(|v| ((v + 128) >> 8) as i8);
                lines[lower].0 = inputs.map(|v| v as i8);
            }
        },
    );
}

/// Weights that tiles can be made of.
pub(crate) trait Weights: Copy {
    /// Bytes of each, and so streams of a panel.
    const BYTES: usize;

    /// Writes a panel, `[depth / 2][PANEL][2]`, as tiles: a stream for each byte, upper before lower, one after the other.
    ///
    /// # Safety
    /// The CPU has AVX-512 F and BW; `lines` are the panel's streams.
    unsafe fn arrange(panel: &[Self], lines: &mut [Line]);
}

impl Weights for i8 {
    const BYTES: usize = 1;

    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn arrange(panel: &[i8], lines: &mut [Line]) {
        for (quad, line) in panel.chunks(QUAD * PANEL).zip(lines) {
            let mask = u64::MAX >> (64 - quad.len());
            // SAFETY: the mask leaves out what is not in the chunk.
            let pairs = unsafe { _mm512_maskz_loadu_epi8(mask, quad.as_ptr()) };
            store_columns(pairs, line);
        }
    }
}

impl Weights for i16 {
    const BYTES: usize = 2;

    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn arrange(panel: &[i16], lines: &mut [Line]) {
        let (upper, lower) = lines.split_at_mut(lines.len() / 2);
        for ((quad, upper), lower) in panel.chunks(QUAD * PANEL).zip(upper).zip(lower) {
            let (first, second) = quad.split_at(2 * PANEL);
            // SAFETY: a pair of sixteen columns is a register; the second one may be missing.
            let pairs = unsafe {
                let load = |pair: &[i16]| _mm512_loadu_si512(pair.as_ptr().cast());
                [load(first), if second.is_empty() { _mm512_setzero_si512() } else { load(second) }]
            };
            let rounded =
                pairs.map(|pair| _mm512_srai_epi16::<8>(_mm512_add_epi16(pair, _mm512_set1_epi16(128))));
            store_columns(bytes_of(rounded), upper);
            store_columns(bytes_of(pairs), lower);
        }
    }
}

/// The lower bytes of two registers of words.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn bytes_of([first, second]: [__m512i; 2]) -> __m512i {
    let first = _mm512_castsi256_si512(_mm512_cvtepi16_epi8(first));
    _mm512_inserti64x4::<1>(first, _mm512_cvtepi16_epi8(second))
}

/// Stores two rows of sixteen pairs of bytes, `[2][PANEL][2]`, as sixteen columns of four.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn store_columns(pairs: __m512i, line: &mut Line) {
    // The words that a column's lane of 32 bits is made of.
    let column = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    let second = _mm512_slli_epi32::<16>(_mm512_add_epi32(column, _mm512_set1_epi32(PANEL as i32)));
    let columns = _mm512_permutexvar_epi16(_mm512_or_si512(column, second), pairs);
    // SAFETY: a line has 64 bytes.
    unsafe { _mm512_storeu_si512(line.0.as_mut_ptr().cast(), columns) };
}

impl Height for Few {
    const INPUT_TILES: usize = 1;
    const STREAMS: usize = 4;

    fn place(stream: usize, byte: usize, row: usize) -> (usize, usize) {
        (stream, byte * FEW_ROWS + row)
    }

    #[inline]
    unsafe fn add_up(inputs: *const Line, weights: *const Line, steps: usize, sums: &mut Sums) {
        let stream = |s: usize| weights.wrapping_add(s * steps * ROWS);
        // SAFETY: reads what the caller grants, and writes the sums: four tiles of sixteen lines.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "2:",
                "tileloadd tmm4, [{inputs} + {line}]",
                "tileloadd tmm5, [{first} + {line}]",
                "tdpbssd tmm0, tmm4, tmm5",
                "tileloadd tmm6, [{second} + {line}]",
                "tdpbssd tmm1, tmm4, tmm6",
                "tileloadd tmm7, [{third} + {line}]",
                "tdpbssd tmm2, tmm4, tmm7",
                "tileloadd tmm5, [{fourth} + {line}]",
                "tdpbssd tmm3, tmm4, tmm5",
                "add {inputs}, 1024",
                "add {first}, 1024",
                "add {second}, 1024",
                "add {third}, 1024",
                "add {fourth}, 1024",
                "dec {steps}",
                "jnz 2b",
                "tilestored [{sums} + {line}], tmm0",
                "tilestored [{sums} + {line} + 1024], tmm1",
                "tilestored [{sums} + {line} + 2048], tmm2",
                "tilestored [{sums} + {line} + 3072], tmm3",
                inputs = inout(reg) inputs => _,
                first = inout(reg) stream(0) => _,
                second = inout(reg) stream(1) => _,
                third = inout(reg) stream(2) => _,
                fourth = inout(reg) stream(3) => _,
                steps = inout(reg) steps => _,
                sums = in(reg) std::ptr::from_mut(sums),
                line = in(reg) size_of::<Line>(),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }
}

impl Height for Many {
    const INPUT_TILES: usize = 2;
    const STREAMS: usize = 2;

    fn place(stream: usize, byte: usize, row: usize) -> (usize, usize) {
        (2 * stream + byte, row)
    }

    #[inline]
    unsafe fn add_up(inputs: *const Line, weights: *const Line, steps: usize, sums: &mut Sums) {
        // SAFETY: as above.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "2:",
                "tileloadd tmm4, [{inputs} + {line}]",
                "tileloadd tmm6, [{first} + {line}]",
                "tdpbssd tmm0, tmm4, tmm6",
                "tileloadd tmm5, [{inputs} + {line} + 1024]",
                "tdpbssd tmm1, tmm5, tmm6",
                "tileloadd tmm7, [{second} + {line}]",
                "tdpbssd tmm2, tmm4, tmm7",
                "tdpbssd tmm3, tmm5, tmm7",
                "add {inputs}, 2048",
                "add {first}, 1024",
                "add {second}, 1024",
                "dec {steps}",
                "jnz 2b",
                "tilestored [{sums} + {line}], tmm0",
                "tilestored [{sums} + {line} + 1024], tmm1",
                "tilestored [{sums} + {line} + 2048], tmm2",
                "tilestored [{sums} + {line} + 3072], tmm3",
                inputs = inout(reg) inputs => _,
                first = inout(reg) weights => _,
                second = inout(reg) weights.wrapping_add(steps * ROWS) => _,
                steps = inout(reg) steps => _,
                sums = in(reg) std::ptr::from_mut(sums),
                line = in(reg) size_of::<Line>(),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }
}

/// `c = epilogue(a b scaled)` of all rows that `inputs` has, `[tiles][steps][INPUT_TILES][ROWS]`, and the panels whose streams
/// are `weights`, `[STREAMS][steps][ROWS]`, of which each panel has `BYTES`. Of `product` all that is said of the left operand
/// is ignored.
///
/// # Safety
/// Called inside of [`shaped`]. See [`Tile`], whose rows are those of the inputs (zeros fill the last tile), with as many columns
/// as the streams have, and [`Scales`]; no sum may exceed i32.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(crate) unsafe fn multiply<H: Height, const BYTES: usize>(
    inputs: &[Line],
    weights: &[Line],
    product: &Tile<i16>,
    scales: Scales,
) {
    let steps = weights.len() / (H::STREAMS * ROWS);
    if steps == 0 {
        return;
    }
    let tile_rows = ROWS * H::INPUT_TILES / 2;
    // A tile is finished while the next one is added up.
    let mut sums = [const { Sums([[[0; PANEL]; ROWS]; 4]) }; 2];
    let mut tiles = inputs.chunks_exact(steps * H::INPUT_TILES * ROWS);
    for i in 0..=tiles.len() {
        // SAFETY: both have `steps` times what is read; rows and columns are those of the contract.
        unsafe {
            if let Some(inputs) = tiles.next() {
                H::add_up(inputs.as_ptr(), weights.as_ptr(), steps, &mut sums[i % 2]);
            }
            if i > 0 {
                let first = (i - 1) * tile_rows;
                let rows = tile_rows.min(product.rows - first);
                let part = Tile { rows, c: product.c.wrapping_add(first * product.c_row), ..*product };
                let scales = Scales { rows: scales.rows.add(first), ..scales };
                finish_tile::<H, BYTES>(&sums[(i - 1) % 2], &part, scales);
            }
        }
    }
}

/// Puts together, scales, finishes and writes a tile's sums.
///
/// # Safety
/// As [`multiply`]; rows are those of a tile.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn finish_tile<H: Height, const BYTES: usize>(sums: &Sums, product: &Tile<i16>, scales: Scales) {
    /// Rows that are finished at once.
    const TOGETHER: usize = 4;
    for (panel, column) in (0..product.columns).step_by(PANEL).enumerate() {
        for first in (0..product.rows).step_by(TOGETHER) {
            // SAFETY: passed on; these are rows and columns of the product.
            unsafe {
                let part = Tile {
                    columns: PANEL.min(product.columns - column),
                    c: product.c.wrapping_add(first * product.c_row + column),
                    bias: if product.bias.is_null() { product.bias } else { product.bias.add(column) },
                    ..*product
                };
                let scales = Scales { rows: scales.rows.add(first), columns: scales.columns.add(column) };
                with_rows!(product.rows - first, [1 2 3], TOGETHER, COUNT => {
                    finish_rows::<H, BYTES, COUNT>(sums, panel, first, &part, scales);
                });
            }
        }
    }
}

/// [`finish_tile`] for `COUNT` rows of a panel from `first` on, where `part` and `scales` begin.
///
/// # Safety
/// As [`multiply`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn finish_rows<H: Height, const BYTES: usize, const COUNT: usize>(
    sums: &Sums,
    panel: usize,
    first: usize,
    part: &Tile<i16>,
    scales: Scales,
) {
    // SAFETY: the contract grants sixteen column scales and a scale a row, and what `finish` reads and writes; a line has
    // sixteen sums.
    unsafe {
        let columns = _mm512_loadu_ps(scales.columns);
        let scaled: [[__m512; 1]; COUNT] = std::array::from_fn(|r| {
            let sum = put_together::<H, BYTES>(sums, panel, first + r);
            let scale = _mm512_mul_ps(_mm512_set1_ps(*scales.rows.add(r)), columns);
            [_mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale)]
        });
        avx512::finish(part, &scaled);
    }
}

/// A row's sums with a panel.
#[inline]
#[target_feature(enable = "avx512f")]
fn put_together<H: Height, const BYTES: usize>(sums: &Sums, panel: usize, row: usize) -> __m512i {
    let part = |stream: usize, byte: usize| {
        let (tile, line) = H::place(stream, byte, row);
        // SAFETY: a line has sixteen sums.
        unsafe { _mm512_loadu_si512(sums.0[tile][line].as_ptr().cast()) }
    };
    let upper = part(BYTES * panel, 0);
    let lower_inputs = part(BYTES * panel, 1);
    if BYTES == 1 {
        return _mm512_add_epi32(_mm512_slli_epi32::<8>(upper), lower_inputs);
    }
    let middle = _mm512_add_epi32(lower_inputs, part(BYTES * panel + 1, 0));
    let upper = _mm512_add_epi32(_mm512_slli_epi32::<16>(upper), _mm512_slli_epi32::<8>(middle));
    _mm512_add_epi32(upper, part(BYTES * panel + 1, 1))
}
