//! NEON, which every 64-bit ARM processor has, and its dot products of bytes.
//!
//! Written from the instruction reference and tested in an emulator; never timed on a real processor.

use std::arch::aarch64::*;
use std::arch::asm;

use half::f16;

use super::{ERF_A, ERF_P, Scales, Tile};
use crate::panels::PANEL;

/// Registers of four numbers that a panel's row fills.
const REGISTERS: usize = PANEL / 4;
/// Sums of a tile's row.
type Row<T> = [T; REGISTERS];

/// Numbers that are widened to f32 as they are read.
pub(crate) trait Load: Copy {
    /// # Safety
    /// The CPU has NEON; `at` can be read at eight places.
    unsafe fn load8(at: *const Self) -> [float32x4_t; 2];
}

impl Load for f32 {
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn load8(at: *const Self) -> [float32x4_t; 2] {
        // SAFETY: eight numbers are readable by the trait's contract.
        unsafe { [vld1q_f32(at), vld1q_f32(at.add(4))] }
    }
}

impl Load for f16 {
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn load8(at: *const Self) -> [float32x4_t; 2] {
        // Widening is part of plain NEON, but stable Rust has no load of f16: the type is read as any other.
        let at = at.cast::<float16x4_t>();
        // SAFETY: eight numbers of two bytes are readable by the trait's contract.
        unsafe { [vcvt_f32_f16(at.read_unaligned()), vcvt_f32_f16(at.add(1).read_unaligned())] }
    }
}

/// # Safety
/// See [`Tile`]; the CPU has NEON.
#[target_feature(enable = "neon")]
pub(crate) unsafe fn tile<T: Load>(t: &Tile<f32>, panel: *const T) {
    // SAFETY: by the caller's contract; the constant is the tile's number of rows.
    unsafe { with_rows!(t.rows, [1 2 3 4 5], 6, ROWS => tile_rows::<ROWS, T>(t, panel)) }
}

/// Six rows' sums fill 24 of the 32 registers.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn tile_rows<const ROWS: usize, T: Load>(t: &Tile<f32>, panel: *const T) {
    let mut sums = [[vdupq_n_f32(0.0); REGISTERS]; ROWS];
    let (mut a, mut b) = (t.a, panel);
    for _ in 0..t.depth {
        // SAFETY: `a` and `b` advance over the `depth` steps that the contract grants; they are advanced past the last step
        // with `wrapping_add` and not read there.
        unsafe {
            let ([b0, b1], [b2, b3]) = (T::load8(b), T::load8(b.add(8)));
            for (r, sum) in sums.iter_mut().enumerate() {
                let x = *a.add(r * t.a_row);
                for (sum, b) in sum.iter_mut().zip([b0, b1, b2, b3]) {
                    *sum = vfmaq_n_f32(*sum, b, x);
                }
            }
        }
        a = a.wrapping_add(t.a_step);
        b = b.wrapping_add(PANEL);
    }
    for (r, sum) in sums.iter().enumerate() {
        // SAFETY: by the caller's contract.
        unsafe { finish_row(t, r, sum) };
    }
}

/// Panels that can be loaded as registers of words.
pub(crate) trait LoadPairs: Copy {
    /// The first and the second weight of sixteen columns.
    ///
    /// # Safety
    /// `at` can be read at twice [`PANEL`] places.
    unsafe fn load(at: *const Self) -> [[int16x8_t; 2]; 2];

    /// The product by dot products, which exist for bytes only; other weights use plain NEON.
    ///
    /// # Safety
    /// See [`super::tile_integers`]; the CPU has NEON with dot products.
    unsafe fn tile_dotprod(t: &Tile<i16>, scales: Scales, panel: *const Self) {
        // SAFETY: by the caller's contract.
        unsafe { tile_integers(t, scales, panel) };
    }
}

impl LoadPairs for i8 {
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn load(at: *const Self) -> [[int16x8_t; 2]; 2] {
        // SAFETY: 32 bytes are readable by the trait's contract.
        let int8x16x2_t(first, second) = unsafe { vld2q_s8(at) };
        [first, second].map(|weights| [vmovl_s8(vget_low_s8(weights)), vmovl_high_s8(weights)])
    }

    unsafe fn tile_dotprod(t: &Tile<i16>, scales: Scales, panel: *const Self) {
        // SAFETY: by the caller's contract.
        unsafe { tile_i8_dotprod(t, scales, panel) };
    }
}

impl LoadPairs for i16 {
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn load(at: *const Self) -> [[int16x8_t; 2]; 2] {
        // SAFETY: 32 words are readable by the trait's contract.
        let [low, high] = unsafe { [vld2q_s16(at), vld2q_s16(at.add(PANEL))] };
        [[low.0, high.0], [low.1, high.1]]
    }
}

/// # Safety
/// See [`super::tile_integers`]; the CPU has NEON.
#[target_feature(enable = "neon")]
pub(crate) unsafe fn tile_integers<T: LoadPairs>(t: &Tile<i16>, scales: Scales, panel: *const T) {
    // SAFETY: by the caller's contract; the constant is the tile's number of rows.
    unsafe { with_rows!(t.rows, [1 2 3 4 5], 6, ROWS => tile_integers_rows::<T, ROWS>(t, scales, panel)) }
}

/// Weights have 16 bits by now, and an instruction multiplies four of them (`smlal`).
#[inline]
#[target_feature(enable = "neon")]
unsafe fn tile_integers_rows<T: LoadPairs, const ROWS: usize>(
    t: &Tile<i16>,
    scales: Scales,
    panel: *const T,
) {
    let mut sums = [[vdupq_n_s32(0); REGISTERS]; ROWS];
    for pair in 0..t.depth / 2 {
        // SAFETY: pair < depth / 2, so all reads lie within what the contract grants.
        unsafe {
            let [first, second] = T::load(panel.add(pair * 2 * PANEL));
            for (r, sum) in sums.iter_mut().enumerate() {
                let x = t.a.add(r * t.a_row + 2 * pair).cast::<i32>().read_unaligned();
                let x = vreinterpret_s16_s32(vdup_n_s32(x));
                for h in 0..2 {
                    sum[2 * h] = vmlal_lane_s16::<0>(sum[2 * h], vget_low_s16(first[h]), x);
                    sum[2 * h + 1] = vmlal_high_lane_s16::<0>(sum[2 * h + 1], first[h], x);
                    sum[2 * h] = vmlal_lane_s16::<1>(sum[2 * h], vget_low_s16(second[h]), x);
                    sum[2 * h + 1] = vmlal_high_lane_s16::<1>(sum[2 * h + 1], second[h], x);
                }
            }
        }
    }
    for (r, sum) in sums.iter().enumerate() {
        // SAFETY: by the caller's contract.
        unsafe { finish_integers(t, scales, r, sum) };
    }
}

/// # Safety
/// See [`super::tile_integers`]; inputs do not exceed [`super::LARGEST_INPUT`]; the CPU has NEON with dot products.
#[target_feature(enable = "neon,dotprod")]
unsafe fn tile_i8_dotprod(t: &Tile<i16>, scales: Scales, panel: *const i8) {
    // SAFETY: by the caller's contract; the tile has these rows.
    unsafe {
        for first in (0..t.rows & !1).step_by(2) {
            tile_i8_dotprod_rows::<2>(t, first, scales, panel);
        }
        if t.rows % 2 == 1 {
            tile_i8_dotprod_rows::<1>(t, t.rows - 1, scales, panel);
        }
    }
}

/// Inputs per step.
const STEP: usize = 8;

/// `ROWS` rows from `first` on. The dot product is of bytes and inputs have 16 bits, so each is split in two:
/// `x = 256 high + low`, both in i8. Two sums, of high and of low parts, make the exact one at the end. That is two
/// instructions for sixteen products, where [`tile_integers_rows`] needs four. Two rows' sums fill sixteen registers; those of
/// three leave too few for the rest.
#[inline]
#[target_feature(enable = "neon,dotprod")]
unsafe fn tile_i8_dotprod_rows<const ROWS: usize>(
    t: &Tile<i16>,
    first: usize,
    scales: Scales,
    panel: *const i8,
) {
    let mut high = [[vdupq_n_s32(0); REGISTERS]; ROWS];
    let mut low = [[vdupq_n_s32(0); REGISTERS]; ROWS];
    // The last step's weights, padded with zeros if the depth is not a multiple.
    let mut last = [0_i8; STEP * PANEL];
    for k in (0..t.depth).step_by(STEP) {
        let whole = k + STEP <= t.depth;
        let mut weights = panel.wrapping_add(k * PANEL);
        if !whole {
            // SAFETY: `depth - k` rows of weights lie there, fewer than there are places.
            unsafe { std::ptr::copy_nonoverlapping(weights, last.as_mut_ptr(), (t.depth - k) * PANEL) };
            weights = last.as_ptr();
        }
        let x: [_; ROWS] = std::array::from_fn(|r| {
            // SAFETY: eight inputs of each row lie there, or as many as are left.
            unsafe {
                let at = t.a.add((first + r) * t.a_row + k);
                if whole {
                    return vld1q_s16(at);
                }
                let mut rest = [0_i16; STEP];
                std::ptr::copy_nonoverlapping(at, rest.as_mut_ptr(), t.depth - k);
                vld1q_s16(rest.as_ptr())
            }
        });
        // The two lanes of low parts, then those of high parts.
        let x = x.map(|x| vrshrn_high_n_s16::<8>(vmovn_s16(x), x));
        for quad in 0..2 {
            // SAFETY: twice four rows of sixteen weights are there.
            let [a0, a1, b0, b1] = std::array::from_fn(|i| unsafe {
                vreinterpretq_s16_s8(vld1q_s8(weights.add((4 * quad + i) * PANEL)))
            });
            // Pairs of two rows become fours of a column each.
            let columns = [vzip1q_s16(a0, b0), vzip2q_s16(a0, b0), vzip1q_s16(a1, b1), vzip2q_s16(a1, b1)];
            for (i, w) in columns.map(|w| vreinterpretq_s8_s16(w)).into_iter().enumerate() {
                for r in 0..ROWS {
                    if quad == 0 {
                        low[r][i] = dot_products::<0>(low[r][i], w, x[r]);
                        high[r][i] = dot_products::<2>(high[r][i], w, x[r]);
                    } else {
                        low[r][i] = dot_products::<1>(low[r][i], w, x[r]);
                        high[r][i] = dot_products::<3>(high[r][i], w, x[r]);
                    }
                }
            }
        }
    }
    for r in 0..ROWS {
        // Overflow of the first sum cancels out: the result is known to fit.
        let sum = std::array::from_fn(|i| vaddq_s32(vshlq_n_s32::<8>(high[r][i]), low[r][i]));
        // SAFETY: by the caller's contract.
        unsafe { finish_integers(t, scales, first + r, &sum) };
    }
}

/// Adds to each sum the product of four weights with the four inputs of a lane.
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn dot_products<const LANE: i32>(sums: int32x4_t, weights: int8x16_t, x: int8x16_t) -> int32x4_t {
    let mut sums = sums;
    // Stable Rust has the feature but not the intrinsic (vdotq_lane_s32).
    // SAFETY: the instruction reads and writes registers alone, and the caller's CPU has it.
    unsafe {
        asm!(
            "sdot {sums:v}.4s, {weights:v}.16b, {x:v}.4b[{lane}]",
            sums = inout(vreg) sums,
            weights = in(vreg) weights,
            x = in(vreg) x,
            lane = const LANE,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}

/// Scales and writes a row's integer sums.
///
/// # Safety
/// See [`Tile`] and [`Scales`]; the CPU has NEON.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn finish_integers(t: &Tile<i16>, scales: Scales, r: usize, sums: &Row<int32x4_t>) {
    // SAFETY: sixteen column scales and one scale per row are readable by the contract of `Scales`.
    let scaled = std::array::from_fn(|i| unsafe {
        let scale = vmulq_n_f32(vld1q_f32(scales.columns.add(4 * i)), *scales.rows.add(r));
        vmulq_f32(vcvtq_f32_s32(sums[i]), scale)
    });
    // SAFETY: by the caller's contract.
    unsafe { finish_row(t, r, &scaled) };
}

/// Adds, applies the epilogue and writes one row of a tile.
///
/// # Safety
/// See [`Tile`]; the CPU has NEON.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn finish_row<A>(t: &Tile<A>, r: usize, sums: &Row<float32x4_t>) {
    // Narrow tiles go through full rows on the stack.
    let (mut row, mut bias) = ([0.0_f32; PANEL], [0.0_f32; PANEL]);
    // SAFETY: `c` and `bias` are readable (and `c` writable) at `columns` places per row by the contract of `Tile`; whole
    // registers are only used on them when `columns` is PANEL.
    unsafe {
        let whole = t.columns == PANEL;
        let c = t.to.c.add(r * t.to.c_row);
        let (at, biases) = if whole {
            (c, t.to.bias)
        } else {
            if t.to.accumulate {
                std::ptr::copy_nonoverlapping(c, row.as_mut_ptr(), t.columns);
            }
            if !t.to.bias.is_null() {
                std::ptr::copy_nonoverlapping(t.to.bias, bias.as_mut_ptr(), t.columns);
            }
            (row.as_mut_ptr(), bias.as_ptr())
        };
        for (i, &sum) in sums.iter().enumerate() {
            let mut value = sum;
            if !t.to.bias.is_null() {
                value = vaddq_f32(value, vld1q_f32(biases.add(4 * i)));
            }
            if t.to.accumulate {
                value = vaddq_f32(value, vld1q_f32(at.add(4 * i)));
            }
            if t.to.gelu {
                value = gelu4(value);
            }
            vst1q_f32(at.add(4 * i), value);
        }
        if !whole {
            std::ptr::copy_nonoverlapping(at, c, t.columns);
        }
    }
}

/// e^x, relative error about 1e-7; 0 below -87.3 and e^88.3 above 88.3.
#[inline]
#[target_feature(enable = "neon")]
fn exp4(x: float32x4_t) -> float32x4_t {
    let underflow = vcltq_f32(x, vdupq_n_f32(-87.3));
    let x = vminnmq_f32(vmaxnmq_f32(x, vdupq_n_f32(-87.3)), vdupq_n_f32(88.3));
    // x = n ln 2 + r with |r| <= ln 2 / 2; ln 2 is split in two so that r is exact (Cody and Waite, 1980).
    let n = vrndnq_f32(vmulq_n_f32(x, std::f32::consts::LOG2_E));
    let r = vfmsq_n_f32(x, n, 0.693_359_4);
    let r = vfmsq_n_f32(r, n, -2.121_944_4e-4);
    // Taylor series to the sixth power: the remainder is below 2e-8 for |r| <= 0.347.
    let mut p = vdupq_n_f32(1.0 / 720.0);
    for c in [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = vfmaq_f32(vdupq_n_f32(c), p, r);
    }
    let scale = vshlq_n_s32::<23>(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)));
    let value = vmulq_f32(p, vreinterpretq_f32_s32(scale));
    vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(value), underflow))
}

#[inline]
#[target_feature(enable = "neon")]
fn gelu4(x: float32x4_t) -> float32x4_t {
    let one = vdupq_n_f32(1.0);
    let z = vmulq_n_f32(vabsq_f32(x), std::f32::consts::FRAC_1_SQRT_2);
    let t = vdivq_f32(one, vfmaq_n_f32(one, z, ERF_P));
    let mut poly = vdupq_n_f32(0.0);
    for a in ERF_A.iter().rev() {
        poly = vmulq_f32(vaddq_f32(poly, vdupq_n_f32(*a)), t);
    }
    let erf = vfmsq_f32(one, poly, exp4(vnegq_f32(vmulq_f32(z, z))));
    let erf = vbslq_f32(vdupq_n_u32(1 << 31), x, erf);
    vmulq_f32(vmulq_n_f32(x, 0.5), vaddq_f32(one, erf))
}

/// # Safety
/// The CPU has NEON.
#[target_feature(enable = "neon")]
pub(crate) unsafe fn gelu(values: &mut [f32]) {
    let (chunks, rest) = values.as_chunks_mut::<4>();
    for chunk in chunks {
        // SAFETY: the chunk has four numbers.
        unsafe { vst1q_f32(chunk.as_mut_ptr(), gelu4(vld1q_f32(chunk.as_ptr()))) };
    }
    let mut padded = [0.0_f32; 4];
    padded[..rest.len()].copy_from_slice(rest);
    // SAFETY: `padded` has four numbers.
    unsafe { vst1q_f32(padded.as_mut_ptr(), gelu4(vld1q_f32(padded.as_ptr()))) };
    rest.copy_from_slice(&padded[..rest.len()]);
}

/// # Safety
/// The CPU has NEON.
#[target_feature(enable = "neon")]
pub(crate) unsafe fn exp_sum(values: &mut [f32], shift: f32) -> f32 {
    let shift = vdupq_n_f32(shift);
    let mut sums = vdupq_n_f32(0.0);
    let (chunks, rest) = values.as_chunks_mut::<4>();
    for chunk in chunks {
        // SAFETY: the chunk has four numbers.
        unsafe {
            let e = exp4(vsubq_f32(vld1q_f32(chunk.as_ptr()), shift));
            sums = vaddq_f32(sums, e);
            vst1q_f32(chunk.as_mut_ptr(), e);
        }
    }
    if !rest.is_empty() {
        // Unused lanes are minus infinity, whose exponential is 0.
        let mut padded = [f32::NEG_INFINITY; 4];
        padded[..rest.len()].copy_from_slice(rest);
        // SAFETY: `padded` has four numbers.
        unsafe {
            let e = exp4(vsubq_f32(vld1q_f32(padded.as_ptr()), shift));
            sums = vaddq_f32(sums, e);
            vst1q_f32(padded.as_mut_ptr(), e);
        }
        rest.copy_from_slice(&padded[..rest.len()]);
    }
    vaddvq_f32(sums)
}

/// # Safety
/// The CPU has NEON.
#[target_feature(enable = "neon")]
pub(crate) unsafe fn largest_magnitude(values: &[f32]) -> f32 {
    let (chunks, rest) = values.as_chunks::<4>();
    let mut largest = vdupq_n_f32(0.0);
    for chunk in chunks {
        // SAFETY: the chunk has four numbers.
        largest = vmaxnmq_f32(largest, vabsq_f32(unsafe { vld1q_f32(chunk.as_ptr()) }));
    }
    rest.iter().fold(vmaxnmvq_f32(largest), |m, v| m.max(v.abs()))
}

/// # Safety
/// The CPU has NEON; `to` is as long as `from`.
#[target_feature(enable = "neon")]
pub(crate) unsafe fn round_to_i16(from: &[f32], factor: f32, to: &mut [i16]) {
    let (from8, from_rest) = from.as_chunks::<8>();
    let (to8, to_rest) = to.as_chunks_mut::<8>();
    for (to, from) in to8.iter_mut().zip(from8) {
        // SAFETY: both have eight numbers.
        unsafe {
            let [low, high] = f32::load8(from.as_ptr()).map(|v| vcvtnq_s32_f32(vmulq_n_f32(v, factor)));
            vst1q_s16(to.as_mut_ptr(), vqmovn_high_s32(vqmovn_s32(low), high));
        }
    }
    for (to, v) in to_rest.iter_mut().zip(from_rest) {
        *to = (v * factor).round_ties_even() as i16;
    }
}

/// # Safety
/// The CPU has NEON; `to` is as long as `from`.
#[target_feature(enable = "neon")]
pub(crate) unsafe fn widen(from: &[f16], to: &mut [f32]) {
    let (from8, from_rest) = from.as_chunks::<8>();
    let (to8, to_rest) = to.as_chunks_mut::<8>();
    for (to, from) in to8.iter_mut().zip(from8) {
        // SAFETY: both have eight numbers.
        unsafe {
            let [low, high] = f16::load8(from.as_ptr());
            vst1q_f32(to.as_mut_ptr(), low);
            vst1q_f32(to.as_mut_ptr().add(4), high);
        }
    }
    for (to, from) in to_rest.iter_mut().zip(from_rest) {
        *to = from.to_f32();
    }
}
