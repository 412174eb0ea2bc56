//! The micro-kernels, one per instruction set, and the dispatch among them.
//!
//! A tile is up to six rows (twelve with AVX-512) by one panel of the product; its sums stay in registers over the whole depth.

use half::f16;

use crate::cpu::Isa;
use crate::panels::PANEL;

/// Calls with the number of rows as a constant, so that a tile's sums stay in registers: one of those listed, or else the
/// last.
macro_rules! with_rows {
    ($rows:expr, [$($fewer:literal)*], $most:expr, $ROWS:ident => $call:expr) => {
        match $rows {
            $($fewer => {
                const $ROWS: usize = $fewer;
                $call
            })*
            _ => {
                const $ROWS: usize = $most;
                $call
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
pub(crate) mod amx;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
#[cfg(target_arch = "aarch64")]
pub(crate) mod neon;
pub(crate) mod row_ops;
pub(crate) mod scalar;
pub(crate) mod u8i8_gemm;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86;

#[cfg(target_arch = "aarch64")]
use neon::LoadPairs;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
use std::marker::Copy as LoadPairs;
#[cfg(target_arch = "x86_64")]
use x86::LoadPairs;

/// Rows of any tile: 6 x 16 sums fill twelve of AVX2's sixteen registers.
pub(crate) const TILE_ROWS: usize = 6;

/// Rows of the tallest tile, used if there are that many rows.
pub(crate) fn tall_tile_rows(isa: Isa) -> usize {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni(_) | Isa::Amx(_) => avx512::TALL_TILE_ROWS,
        _ => TILE_ROWS,
    }
}

/// Columns of the widest tile of floats.
pub(crate) fn wide_tile_columns(isa: Isa) -> usize {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni(_) | Isa::Amx(_) => avx512::WIDE_TILE_PANELS * PANEL,
        _ => PANEL,
    }
}

/// Distance between attention's rows of scores, a constant for tall tiles. Not a power of two, as then the
/// same step of all rows would map to the same few sets of the first-level cache.
pub(crate) const SCORES_ROW: usize = 256 + PANEL;

/// Largest magnitude that inputs of [`tile_integers`] are rounded to: its upper byte, rounded, is still an i8.
pub(crate) const LARGEST_INPUT: i16 = i16::MAX - 128;

/// Destination of a product, and the operations on it before it is written.
///
/// The contract: for all rows and columns of the product `c` can be read and written at `r * c_row + j`; `bias`, if not null,
/// can be read at as many places as there are columns; no other thread accesses these places of `c` meanwhile.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) c: *mut f32,
    pub(crate) c_row: usize,
    /// Add to `c` instead of replacing it.
    pub(crate) accumulate: bool,
    /// Added to each row at the end; null: nothing.
    pub(crate) bias: *const f32,
    /// Apply GELU at the end.
    pub(crate) gelu: bool,
}

impl Target {
    /// Replaces `c`, whose rows are `c_row` numbers apart, by the product.
    pub(crate) fn new(c: *mut f32, c_row: usize) -> Self {
        Self { c, c_row, accumulate: false, bias: std::ptr::null(), gelu: false }
    }

    /// The destination from a row on.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn at_row(self, row: usize) -> Self {
        Self { c: self.c.wrapping_add(row * self.c_row), ..self }
    }
}

/// A tile's sizes, left operand and destination; the panel is passed separately.
///
/// The contract of all kernels that take one: `rows` is 1 to [`tall_tile_rows`] and `columns` 1 to [`PANEL`] (floats:
/// [`wide_tile_columns`], the second panel being `panel_step` numbers after the first); `a` can be read at
/// `r * a_row + k * a_step` for all rows and `depth` steps; the panel can be read at `depth * PANEL` places; see [`Target`].
#[derive(Clone, Copy)]
pub struct Tile<A> {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) depth: usize,
    pub(crate) a: *const A,
    pub(crate) a_row: usize,
    pub(crate) a_step: usize,
    pub(crate) panel_step: usize,
    pub(crate) to: Target,
    /// The panel comes from memory with this tile, and the one after it with the next: prefetch it.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(dead_code, reason = "only x86's kernels were measured to gain from it")
    )]
    pub(crate) streamed: bool,
}

/// `c = epilogue(a b)` with an f32 panel.
///
/// # Safety
/// See [`Tile`].
pub(crate) unsafe fn tile_f32(isa: Isa, tile: &Tile<f32>, panel: *const f32) {
    // SAFETY: the caller keeps `Tile`'s contract; `isa` was only made because the CPU has it.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(_) => x86::tile(tile, panel),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni(_) | Isa::Amx(_) => avx512::tile(tile, panel),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon(_) | Isa::NeonDotprod(_) => neon::tile(tile, panel),
            _ => scalar::tile(tile, panel),
        }
    }
}

/// `c = epilogue(a b)` with an f16 panel, summed in f32.
///
/// # Safety
/// See [`Tile`].
pub(crate) unsafe fn tile_f16(isa: Isa, tile: &Tile<f32>, panel: *const f16) {
    // SAFETY: as in `tile_f32`.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(_) => x86::tile(tile, panel),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni(_) | Isa::Amx(_) => avx512::tile(tile, panel),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon(_) | Isa::NeonDotprod(_) => neon::tile(tile, panel),
            _ => scalar::tile(tile, panel),
        }
    }
}

/// Scales that turn a tile's integer sums into f32.
#[derive(Clone, Copy)]
pub(crate) struct Scales {
    /// One per row of the tile.
    pub(crate) rows: *const f32,
    /// One per column of the panel; readable at [`PANEL`] places.
    pub(crate) columns: *const f32,
}

impl Scales {
    /// The scales from a row on.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn at_row(self, row: usize) -> Self {
        Self { rows: self.rows.wrapping_add(row), ..self }
    }
}

/// Integer weights.
pub(crate) trait Integer: LoadPairs + Default + Send + Sync + Into<i32> {
    /// Largest magnitude that weights are rounded to.
    const LARGEST: i16;

    /// A rounded weight.
    fn from_steps(steps: f32) -> Self;
}

impl Integer for i8 {
    const LARGEST: i16 = 127;

    fn from_steps(steps: f32) -> Self {
        steps as i8
    }
}

impl Integer for i16 {
    /// Eleven bits: one more bit per weight is one fewer per input, as sums have 32, and about here the errors balance.
    const LARGEST: i16 = 1023;

    fn from_steps(steps: f32) -> Self {
        steps as i16
    }
}

/// `c = epilogue(a b scaled)` with `a` in i16 and a panel of integers, `[depth / 2][PANEL][2]`; `depth` is even.
///
/// # Safety
/// See [`Tile`] (`a_step` is 1) and [`Scales`]; no input may exceed [`LARGEST_INPUT`] and no sum of products i32.
pub(crate) unsafe fn tile_integers<T: Integer>(isa: Isa, tile: &Tile<i16>, scales: Scales, panel: *const T) {
    // SAFETY: as in `tile_f32`.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(_) => x86::tile_integers(tile, scales, panel),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni(_) | Isa::Amx(_) => avx512::tile_integers(tile, scales, panel),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon(_) => neon::tile_integers(tile, scales, panel),
            #[cfg(target_arch = "aarch64")]
            Isa::NeonDotprod(_) => T::tile_dotprod(tile, scales, panel),
            _ => scalar::tile_integers(tile, scales, panel),
        }
    }
}

/// Rounds a row to integers in `-limit..=limit` and returns the scale that undoes it; the slices are equally long.
pub(crate) fn quantise(isa: Isa, row: &[f32], limit: f32, to: &mut [i16]) -> f32 {
    assert_eq!(row.len(), to.len());
    let largest = match isa {
        // SAFETY: `isa` was only made because the CPU has it.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(_) | Isa::Avx512Vnni(_) | Isa::Amx(_) => unsafe { x86::largest_magnitude(row) },
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(_) | Isa::NeonDotprod(_) => unsafe { neon::largest_magnitude(row) },
        _ => row.iter().fold(0.0_f32, |m, v| m.max(v.abs())),
    };
    let factor = if largest > 0.0 && largest.is_finite() { limit / largest } else { 0.0 };
    match isa {
        // SAFETY: `isa` was only made because the CPU has it.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(_) | Isa::Avx512Vnni(_) | Isa::Amx(_) => unsafe { x86::round_to_i16(row, factor, to) },
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(_) | Isa::NeonDotprod(_) => unsafe { neon::round_to_i16(row, factor, to) },
        _ => to.iter_mut().zip(row).for_each(|(to, v)| *to = (v * factor).round_ties_even() as i16),
    }
    largest / limit
}

/// Widens f16 to f32; the slices are equally long.
pub(crate) fn widen(isa: Isa, from: &[f16], to: &mut [f32]) {
    assert_eq!(from.len(), to.len());
    match isa {
        // SAFETY: `isa` was only made because the CPU has it.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(_) | Isa::Avx512Vnni(_) | Isa::Amx(_) => unsafe { x86::widen(from, to) },
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(_) | Isa::NeonDotprod(_) => unsafe { neon::widen(from, to) },
        _ => {
            for (to, from) in to.iter_mut().zip(from) {
                *to = from.to_f32();
            }
        }
    }
}

/// Replaces each number by `exp(x - shift)` and returns their sum.
pub(crate) fn exp_sum(isa: Isa, values: &mut [f32], shift: f32) -> f32 {
    match isa {
        // SAFETY: `isa` was only made because the CPU has it.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(_) => unsafe { x86::exp_sum(values, shift) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni(_) | Isa::Amx(_) => unsafe { avx512::exp_sum(values, shift) },
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(_) | Isa::NeonDotprod(_) => unsafe { neon::exp_sum(values, shift) },
        _ => {
            let mut sum = 0.0;
            for v in values {
                *v = (*v - shift).exp();
                sum += *v;
            }
            sum
        }
    }
}

/// Applies GELU (the exact one, by the error function) to each number.
pub(crate) fn gelu(isa: Isa, values: &mut [f32]) {
    match isa {
        // SAFETY: `isa` was only made because the CPU has it.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(_) => unsafe { x86::gelu(values) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni(_) | Isa::Amx(_) => unsafe { avx512::gelu(values) },
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(_) | Isa::NeonDotprod(_) => unsafe { neon::gelu(values) },
        _ => values.iter_mut().for_each(|v| *v = scalar::gelu(*v)),
    }
}

/// Coefficients of the error function's approximation for x >= 0, absolute error at most 1.5e-7
/// (Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26): `1 - t (a1 + t (a2 + ...)) exp(-x^2)`,
/// `t = 1 / (1 + p x)`.
pub(crate) const ERF_P: f32 = 0.327_591_1;
pub(crate) const ERF_A: [f32; 5] = [0.254_829_6, -0.284_496_74, 1.421_413_7, -1.453_152, 1.061_405_4];

/// Number of panels that hold `columns`.
pub(crate) fn panel_count(columns: usize) -> usize {
    columns.div_ceil(PANEL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::{floats, words};

    #[test]
    fn tiles_of_integers_have_the_same_sums_on_every_instruction_set() {
        same_sums::<i8>(i32::from(LARGEST_INPUT), &[2, 4, 6, 8, 62, 512]);
        same_sums::<i16>(4095, &[2, 4, 6, 8, 62, 512]);
    }

    /// Depths with every remainder of the kernels' steps, all within what 32 bits can hold.
    fn same_sums<T: Integer>(largest: i32, depths: &[usize]) {
        for isa in Isa::available() {
            for (rows, depth) in
                (1..=tall_tile_rows(isa)).flat_map(|rows| depths.iter().map(move |&d| (rows, d)))
            {
                for extreme in [false, true] {
                    // Both ends, where halves of an input are largest, or anything.
                    let input = |v: u32| match (extreme, v % 4) {
                        (true, 0) => largest,
                        (true, 1) => -largest,
                        (true, 2) => largest / 256 * 256 - 129,
                        _ => v as i32 % (2 * largest) - largest,
                    };
                    let end = i32::from(T::LARGEST);
                    let weight = |v: u32| {
                        let weight = if extreme { [end, -end][v as usize % 2] } else { v as i32 % end };
                        T::from_steps(weight as f32)
                    };
                    let a: Vec<i16> = words(rows * depth, 1).map(|v| input(v) as i16).collect();
                    let panel: Vec<T> = words(depth * PANEL, 2).map(weight).collect();
                    let (ones, columns) = ([1.0; PANEL], PANEL);
                    let mut got = vec![0.0; rows * PANEL];
                    let tile = Tile {
                        rows,
                        columns,
                        depth,
                        a: a.as_ptr(),
                        a_row: depth,
                        a_step: 1,
                        panel_step: 0,
                        to: Target::new(got.as_mut_ptr(), PANEL),
                        streamed: false,
                    };
                    let scales = Scales { rows: ones.as_ptr(), columns: ones.as_ptr() };
                    // SAFETY: the slices have the tile's sizes; `depth * T::LARGEST * largest` fits i32.
                    unsafe { tile_integers(isa, &tile, scales, panel.as_ptr()) };
                    for (i, &got) in got.iter().enumerate() {
                        let (r, j) = (i / PANEL, i % PANEL);
                        let product = |k: usize| -> i32 {
                            i32::from(a[r * depth + k]) * panel[(k / 2 * PANEL + j) * 2 + k % 2].into()
                        };
                        let want = (0..depth).map(product).sum::<i32>() as f32;
                        assert_eq!(got, want, "{isa:?} {rows}x{depth} at {r}, {j}");
                    }
                }
            }
        }
    }

    #[test]
    fn rows_are_rounded_and_widened_to_the_same_numbers_on_every_instruction_set() {
        for isa in Isa::available() {
            for len in 0..40 {
                let mut row = floats(len, 3);
                // Half of a step, which rounds to even.
                row.iter_mut().step_by(5).for_each(|v| *v = 4.0 / f32::from(LARGEST_INPUT) * 2.5);
                row.iter_mut().skip(7).step_by(11).for_each(|v| *v = -4.0);
                let limit = f32::from(LARGEST_INPUT);
                let (mut got, mut want) = (vec![0; len], vec![0; len]);
                let scales =
                    [quantise(isa, &row, limit, &mut got), quantise(Isa::Scalar, &row, limit, &mut want)];
                assert_eq!((scales[0], &got), (scales[1], &want), "{isa:?}, {len} numbers");

                // Any bit pattern except NaN.
                let halves: Vec<f16> =
                    words(len, 4).map(|v| f16::from_bits(v as u16)).filter(|v| !v.is_nan()).collect();
                let mut wide = vec![0.0; halves.len()];
                widen(isa, &halves, &mut wide);
                for (got, half) in wide.iter().zip(&halves) {
                    assert_eq!(got.to_bits(), half.to_f32().to_bits(), "{isa:?}: {half} of {len} numbers");
                }
            }
        }
    }
}
