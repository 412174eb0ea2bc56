//! The inner kernels, once an instruction set, and the choice among them.
//!
//! A tile is up to six rows by one panel of the product; its sums stay in registers over the whole depth.

use half::f16;

use crate::cpu::Isa;
use crate::panels::PANEL;

pub(crate) mod rows;
pub(crate) mod scalar;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86;

/// Rows of the tallest tile: 6 x 16 sums fill twelve of AVX2's sixteen registers.
pub(crate) const TILE_ROWS: usize = 6;

/// A tile of more rows keeps the processor too busy to look far ahead in a panel of integers by itself.
pub(crate) const FAR_SIGHTED_ROWS_I8: usize = 3;

/// The same for panels of floats, which are longer.
pub(crate) const FAR_SIGHTED_ROWS: usize = 1;

/// Bytes ahead that a streamed panel is asked for.
pub(crate) const AHEAD: usize = 4096;

/// What a tile reads beside the panel, and where it writes.
///
/// The contract of all kernels that take one: `rows` is 1 to [`TILE_ROWS`] and `columns` 1 to [`PANEL`];
/// `a` can be read at `r * a_row + k * a_step` for all rows and `depth` steps; `c` can be read and written at
/// `r * c_row + j` for all rows and columns; `bias`, if not null, can be read at `columns` places; the panel can be read
/// at `depth * PANEL` places; nobody else touches these places of `c` meanwhile.
#[derive(Clone, Copy)]
pub struct Tile<A> {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) depth: usize,
    pub(crate) a: *const A,
    pub(crate) a_row: usize,
    pub(crate) a_step: usize,
    pub(crate) c: *mut f32,
    pub(crate) c_row: usize,
    /// Add to what `c` holds instead of replacing it.
    pub(crate) accumulate: bool,
    /// Added to each row at the end; null: nothing.
    pub(crate) bias: *const f32,
    /// Apply GELU at the end.
    pub(crate) gelu: bool,
    /// The panel is read once, and what lies behind it next: worth asking for in time.
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
            Isa::Avx2 | Isa::Avx512Vnni => x86::tile_f32(tile, panel),
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
            Isa::Avx2 | Isa::Avx512Vnni => x86::tile_f16(tile, panel),
            _ => scalar::tile(tile, panel),
        }
    }
}

/// Scales that turn a tile's integer sums into f32.
#[derive(Clone, Copy)]
pub(crate) struct Scales {
    /// One a row of the tile.
    pub(crate) rows: *const f32,
    /// One a column of the panel; readable at [`PANEL`] places.
    pub(crate) columns: *const f32,
}

/// `c = epilogue(a b scaled)` with `a` in i16 and the panel in i8, `[depth / 2][PANEL][2]`; `depth` is even.
///
/// # Safety
/// See [`Tile`] (`a_step` is 1) and [`Scales`]; no sum of products may exceed i32.
pub(crate) unsafe fn tile_i8(isa: Isa, tile: &Tile<i16>, scales: Scales, panel: *const i8) {
    // SAFETY: as in `tile_f32`.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => x86::tile_i8(tile, scales, panel),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni => x86::tile_i8_vnni(tile, scales, panel),
            _ => scalar::tile_i8(tile, scales, panel),
        }
    }
}

/// Rounds a row to integers in `-limit..=limit` and returns the scale that undoes it; the slices are equally long.
pub(crate) fn quantise(isa: Isa, row: &[f32], limit: f32, to: &mut [i16]) -> f32 {
    assert_eq!(row.len(), to.len());
    let largest = match isa {
        // SAFETY: `isa` was only made because the CPU has it.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 | Isa::Avx512Vnni => unsafe { x86::largest_magnitude(row) },
        _ => row.iter().fold(0.0_f32, |m, v| m.max(v.abs())),
    };
    let factor = if largest > 0.0 && largest.is_finite() { limit / largest } else { 0.0 };
    match isa {
        // SAFETY: `isa` was only made because the CPU has it.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 | Isa::Avx512Vnni => unsafe { x86::round_to_i16(row, factor, to) },
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
        Isa::Avx2 | Isa::Avx512Vnni => unsafe { x86::widen(from, to) },
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
        Isa::Avx2 | Isa::Avx512Vnni => unsafe { x86::exp_sum(values, shift) },
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
        Isa::Avx2 | Isa::Avx512Vnni => unsafe { x86::gelu(values) },
        _ => values.iter_mut().for_each(|v| *v = scalar::gelu(*v)),
    }
}

/// Dot product; the slices are equally long.
pub(crate) fn dot(isa: Isa, a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    match isa {
        // SAFETY: `isa` was only made because the CPU has it.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 | Isa::Avx512Vnni => unsafe { x86::dot(a, b) },
        _ => a.iter().zip(b).map(|(a, b)| a * b).sum(),
    }
}

/// `to += factor * from`; the slices are equally long.
pub(crate) fn add_scaled(isa: Isa, factor: f32, from: &[f32], to: &mut [f32]) {
    assert_eq!(from.len(), to.len());
    match isa {
        // SAFETY: `isa` was only made because the CPU has it.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 | Isa::Avx512Vnni => unsafe { x86::add_scaled(factor, from, to) },
        _ => to.iter_mut().zip(from).for_each(|(to, from)| *to += factor * from),
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
