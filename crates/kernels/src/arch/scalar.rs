//! Plain Rust: the reference for testing the other variants, and the fallback on other machines.

use super::{ERF_A, ERF_P, Integer, Scales, TILE_ROWS, Tile};
use crate::panels::{Element, PANEL};

/// See [`super::tile_f32`].
///
/// # Safety
/// See [`Tile`].
pub(crate) unsafe fn tile<T: Element>(t: &Tile<f32>, panel: *const T) {
    let mut sums = [[0.0_f32; PANEL]; TILE_ROWS];
    for k in 0..t.depth {
        // SAFETY: the panel has `depth * PANEL` places.
        let b = unsafe { std::slice::from_raw_parts(panel.add(k * PANEL), PANEL) };
        for (r, row) in sums.iter_mut().enumerate().take(t.rows) {
            // SAFETY: by the contract of `Tile`.
            let a = unsafe { *t.a.add(r * t.a_row + k * t.a_step) };
            for (sum, b) in row.iter_mut().zip(b) {
                *sum += a * b.to_f32();
            }
        }
    }
    for (r, row) in sums.iter().enumerate().take(t.rows) {
        // SAFETY: by the contract of `Tile`.
        unsafe { finish_row(t, r, row) };
    }
}

/// See [`super::tile_integers`].
///
/// # Safety
/// See [`Tile`] and [`Scales`].
pub(crate) unsafe fn tile_integers<T: Integer>(t: &Tile<i16>, scales: Scales, panel: *const T) {
    for r in 0..t.rows {
        let mut sums = [0_i32; PANEL];
        for pair in 0..t.depth / 2 {
            for (j, sum) in sums.iter_mut().enumerate() {
                for i in 0..2 {
                    // SAFETY: by the contract of `Tile`.
                    let (a, b) = unsafe {
                        (*t.a.add(r * t.a_row + 2 * pair + i), *panel.add((pair * PANEL + j) * 2 + i))
                    };
                    *sum += i32::from(a) * b.into();
                }
            }
        }
        // SAFETY: by the contract of `Scales`.
        let scaled: [f32; PANEL] = std::array::from_fn(|j| unsafe {
            sums[j] as f32 * (*scales.rows.add(r) * *scales.columns.add(j))
        });
        // SAFETY: by the contract of `Tile`.
        unsafe { finish_row(t, r, &scaled) };
    }
}

/// Adds, applies the epilogue and writes one row of a tile.
///
/// # Safety
/// See [`Tile`].
unsafe fn finish_row<A>(t: &Tile<A>, r: usize, sums: &[f32; PANEL]) {
    for (j, &sum) in sums.iter().enumerate().take(t.columns) {
        // SAFETY: by the contract of `Tile`.
        unsafe {
            let c = t.to.c.add(r * t.to.c_row + j);
            let mut value = sum;
            if t.to.accumulate {
                value += *c;
            }
            if !t.to.bias.is_null() {
                value += *t.to.bias.add(j);
            }
            *c = if t.to.gelu { gelu(value) } else { value };
        }
    }
}

/// `x / 2 (1 + erf(x / sqrt 2))` (arXiv:1606.08415).
pub(crate) fn gelu(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + ERF_P * z);
    let poly = ERF_A.iter().rev().fold(0.0, |sum, a| (sum + a) * t);
    let erf = 1.0 - poly * (-z * z).exp();
    0.5 * x * (1.0 + erf.copysign(x))
}
