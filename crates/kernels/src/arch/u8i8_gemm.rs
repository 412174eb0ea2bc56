//! The product of a tile of unsigned bytes (inputs) with signed ones (weights), exact in 32 bits.

use crate::cpu::Isa;

/// Columns whose weights are stored together: four AVX-512 registers of sums.
pub(crate) const GROUP: usize = 64;
/// Inputs that one instruction multiplies and sums.
pub(crate) const QUAD: usize = 4;
/// Rows of a tile: with GROUP columns its sums fill 24 of AVX-512's 32 registers.
pub(crate) const TILE_ROWS: usize = 6;

/// What [`multiply`] subtracts from each input: ARM's instructions only multiply signed bytes by signed ones.
pub(crate) fn input_offset(isa: Isa) -> i32 {
    match isa {
        Isa::Neon(_) | Isa::NeonDotprod(_) => 128,
        _ => 0,
    }
}

/// `sums[r][column] = start[column] + (a[r] - input_offset(isa)) . group[column]` of up to TILE_ROWS rows of `depth`
/// inputs.
pub(crate) fn multiply(
    isa: Isa,
    a: &[u8],
    depth: usize,
    group: &[i8],
    start: &[i32; GROUP],
    sums: &mut [i32; TILE_ROWS * GROUP],
) {
    assert!(depth.is_multiple_of(QUAD) && group.len() == depth * GROUP && a.len() <= TILE_ROWS * depth);
    match isa {
        // SAFETY: `Isa::Avx2` is only made where the CPU has it; sizes were checked above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(_) => unsafe { x86::multiply_avx2(a, depth, group, start, sums) },
        // SAFETY: so is `Isa::Avx512Vnni`.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni(_) | Isa::Amx(_) => unsafe { x86::multiply_vnni(a, depth, group, start, sums) },
        // SAFETY: so is `Isa::Neon`.
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(_) => unsafe { neon::multiply(a, depth, group, start, sums) },
        // SAFETY: so is `Isa::NeonDotprod`.
        #[cfg(target_arch = "aarch64")]
        Isa::NeonDotprod(_) => unsafe { neon::multiply_dotprod(a, depth, group, start, sums) },
        _ => multiply_scalar(a, depth, group, start, sums),
    }
}

fn multiply_scalar(a: &[u8], depth: usize, group: &[i8], start: &[i32; GROUP], sums: &mut [i32]) {
    for (row, sums) in a.chunks_exact(depth.max(1)).zip(sums.chunks_exact_mut(GROUP)) {
        sums.copy_from_slice(start);
        for (x, w) in row.chunks_exact(QUAD).zip(group.chunks_exact(GROUP * QUAD)) {
            for (sum, w) in sums.iter_mut().zip(w.chunks_exact(QUAD)) {
                *sum += x.iter().zip(w).map(|(&x, &w)| i32::from(x) * i32::from(w)).sum::<i32>();
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{GROUP, QUAD, TILE_ROWS};

    /// # Safety
    /// The CPU has AVX-512F and AVX-512VNNI; `a` holds at most TILE_ROWS rows of `depth`, a multiple of QUAD, and
    /// `group` GROUP times `depth` weights.
    #[target_feature(enable = "avx512f,avx512vnni")]
    pub(super) unsafe fn multiply_vnni(
        a: &[u8],
        depth: usize,
        group: &[i8],
        start: &[i32; GROUP],
        sums: &mut [i32],
    ) {
        // SAFETY: by the caller's contract; each arm's constant is the number of rows.
        unsafe {
            match a.len() / depth.max(1) {
                0 => {}
                1 => rows_vnni::<1>(a, depth, group, start, sums),
                2 => rows_vnni::<2>(a, depth, group, start, sums),
                3 => rows_vnni::<3>(a, depth, group, start, sums),
                4 => rows_vnni::<4>(a, depth, group, start, sums),
                5 => rows_vnni::<5>(a, depth, group, start, sums),
                _ => rows_vnni::<TILE_ROWS>(a, depth, group, start, sums),
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512vnni")]
    unsafe fn rows_vnni<const ROWS: usize>(
        a: &[u8],
        depth: usize,
        group: &[i8],
        start: &[i32; GROUP],
        sums: &mut [i32],
    ) {
        // SAFETY: `start` has four times sixteen numbers.
        let start = std::array::from_fn(|i| unsafe { _mm512_loadu_si512(start[16 * i..].as_ptr().cast()) });
        let mut totals: [[__m512i; 4]; ROWS] = [start; ROWS];
        for quad in 0..depth / QUAD {
            // SAFETY: quad < depth / QUAD: four inputs of each row and GROUP * QUAD weights are there.
            unsafe {
                let weights = group.as_ptr().add(quad * GROUP * QUAD);
                let w: [__m512i; 4] = std::array::from_fn(|i| _mm512_loadu_si512(weights.add(64 * i).cast()));
                for (r, totals) in totals.iter_mut().enumerate() {
                    let x = a.as_ptr().add(r * depth + quad * QUAD).cast::<i32>().read_unaligned();
                    let x = _mm512_set1_epi32(x);
                    for (total, w) in totals.iter_mut().zip(w) {
                        *total = _mm512_dpbusd_epi32(*total, x, w);
                    }
                }
            }
        }
        for (totals, sums) in totals.iter().zip(sums.chunks_exact_mut(GROUP)) {
            for (total, sums) in totals.iter().zip(sums.chunks_exact_mut(16)) {
                // SAFETY: the chunk has sixteen numbers.
                unsafe { _mm512_storeu_si512(sums.as_mut_ptr().cast(), *total) };
            }
        }
    }

    /// # Safety
    /// As [`multiply_vnni`], with AVX2.
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn multiply_avx2(
        a: &[u8],
        depth: usize,
        group: &[i8],
        start: &[i32; GROUP],
        sums: &mut [i32],
    ) {
        for (a, sums) in a.chunks(2 * depth.max(1)).zip(sums.chunks_mut(2 * GROUP)) {
            // SAFETY: by the caller's contract; the chunk has one row or two.
            unsafe {
                if a.len() == 2 * depth {
                    rows_avx2::<2>(a, depth, group, start, sums);
                } else {
                    rows_avx2::<1>(a, depth, group, start, sums);
                }
            }
        }
    }

    /// Sixteen columns at a time. Products of neighbours are summed in pairs, in 32 bits, so nothing saturates.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn rows_avx2<const ROWS: usize>(
        a: &[u8],
        depth: usize,
        group: &[i8],
        start: &[i32; GROUP],
        sums: &mut [i32],
    ) {
        for first in (0..GROUP).step_by(16) {
            let mut totals = [[_mm256_setzero_si256(); 4]; ROWS];
            for quad in 0..depth / QUAD {
                // SAFETY: quad < depth / QUAD, first + 16 <= GROUP: all that is read is there.
                unsafe {
                    let weights = group.as_ptr().add((quad * GROUP + first) * QUAD);
                    let x: [__m256i; ROWS] = std::array::from_fn(|r| {
                        let x = a.as_ptr().add(r * depth + quad * QUAD).cast::<i32>().read_unaligned();
                        _mm256_broadcastq_epi64(_mm_cvtepu8_epi16(_mm_cvtsi32_si128(x)))
                    });
                    let w: [__m256i; 4] = std::array::from_fn(|i| {
                        _mm256_cvtepi8_epi16(_mm_loadu_si128(weights.add(16 * i).cast()))
                    });
                    for (totals, x) in totals.iter_mut().zip(x) {
                        for (total, w) in totals.iter_mut().zip(w) {
                            *total = _mm256_add_epi32(*total, _mm256_madd_epi16(x, w));
                        }
                    }
                }
            }
            for (totals, sums) in totals.iter().zip(sums.chunks_exact_mut(GROUP)) {
                for half in 0..2 {
                    // Two registers of four columns in pairs become one of eight columns, whose middle quarters the
                    // addition leaves swapped.
                    let added = _mm256_hadd_epi32(totals[2 * half], totals[2 * half + 1]);
                    let ordered = _mm256_permute4x64_epi64::<0b11_01_10_00>(added);
                    let to = &mut sums[first + 8 * half..][..8];
                    let start = &start[first + 8 * half..][..8];
                    // SAFETY: `to` and `start` have eight numbers.
                    unsafe {
                        let sum = _mm256_add_epi32(ordered, _mm256_loadu_si256(start.as_ptr().cast()));
                        _mm256_storeu_si256(to.as_mut_ptr().cast(), sum);
                    }
                }
            }
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod neon {
    use std::arch::aarch64::*;

    use super::{GROUP, QUAD};
    use crate::arch::neon::dot_products;

    /// Rows whose sums of sixteen columns fit the registers.
    const ROWS_AT_ONCE: usize = 3;

    /// Flips the sign bit, which turns `x` as an unsigned byte into `x - 128` as a signed one.
    const SUBTRACT_128: u8 = 0x80;

    /// # Safety
    /// The CPU has NEON; `a` holds rows of `depth`, a multiple of QUAD, `sums` has GROUP places for each, and `group`
    /// holds GROUP times `depth` weights.
    #[target_feature(enable = "neon")]
    pub(super) unsafe fn multiply(
        a: &[u8],
        depth: usize,
        group: &[i8],
        start: &[i32; GROUP],
        sums: &mut [i32],
    ) {
        for (a, sums) in a.chunks(ROWS_AT_ONCE * depth.max(1)).zip(sums.chunks_mut(ROWS_AT_ONCE * GROUP)) {
            // SAFETY: by the caller's contract; each arm's constant is the number of rows.
            unsafe {
                match a.len() / depth {
                    1 => rows::<1>(a, depth, group, start, sums),
                    2 => rows::<2>(a, depth, group, start, sums),
                    _ => rows::<ROWS_AT_ONCE>(a, depth, group, start, sums),
                }
            }
        }
    }

    /// Sixteen columns at a time; sums of three rows fill 24 registers. A product of two signed bytes fits 16 bits, two
    /// of them may not: each is widened as it is added to its neighbour.
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn rows<const ROWS: usize>(
        a: &[u8],
        depth: usize,
        group: &[i8],
        start: &[i32; GROUP],
        sums: &mut [i32],
    ) {
        for first in (0..GROUP).step_by(16) {
            let mut totals = [[[vdupq_n_s32(0); 2]; 4]; ROWS];
            for quad in 0..depth / QUAD {
                // SAFETY: quad < depth / QUAD, first + 16 <= GROUP: all that is read is there.
                unsafe {
                    let weights = group.as_ptr().add((quad * GROUP + first) * QUAD);
                    let x: [int8x16_t; ROWS] = std::array::from_fn(|r| {
                        let x = a.as_ptr().add(r * depth + quad * QUAD).cast::<u32>().read_unaligned();
                        let x = veorq_u8(vreinterpretq_u8_u32(vdupq_n_u32(x)), vdupq_n_u8(SUBTRACT_128));
                        vreinterpretq_s8_u8(x)
                    });
                    for i in 0..4 {
                        let w = vld1q_s8(weights.add(16 * i));
                        for (totals, x) in totals.iter_mut().zip(x) {
                            let [low, high] = totals[i];
                            totals[i] = [
                                vpadalq_s16(low, vmull_s8(vget_low_s8(w), vget_low_s8(x))),
                                vpadalq_s16(high, vmull_high_s8(w, x)),
                            ];
                        }
                    }
                }
            }
            for (totals, sums) in totals.iter().zip(sums.chunks_exact_mut(GROUP)) {
                for (i, [low, high]) in totals.iter().enumerate() {
                    let at = first + 4 * i;
                    // SAFETY: at + 4 <= GROUP.
                    unsafe {
                        let sum = vaddq_s32(vpaddq_s32(*low, *high), vld1q_s32(start[at..].as_ptr()));
                        vst1q_s32(sums[at..].as_mut_ptr(), sum);
                    }
                }
            }
        }
    }

    /// # Safety
    /// As [`multiply`], with dot products.
    #[target_feature(enable = "neon,dotprod")]
    pub(super) unsafe fn multiply_dotprod(
        a: &[u8],
        depth: usize,
        group: &[i8],
        start: &[i32; GROUP],
        sums: &mut [i32],
    ) {
        for (a, sums) in a.chunks(ROWS_AT_ONCE * depth.max(1)).zip(sums.chunks_mut(ROWS_AT_ONCE * GROUP)) {
            // SAFETY: by the caller's contract; each arm's constant is the number of rows.
            unsafe {
                match a.len() / depth {
                    1 => rows_dotprod::<1>(a, depth, group, start, sums),
                    2 => rows_dotprod::<2>(a, depth, group, start, sums),
                    _ => rows_dotprod::<ROWS_AT_ONCE>(a, depth, group, start, sums),
                }
            }
        }
    }

    /// Sixteen columns at a time, whose sums stay in registers.
    #[inline]
    #[target_feature(enable = "neon,dotprod")]
    unsafe fn rows_dotprod<const ROWS: usize>(
        a: &[u8],
        depth: usize,
        group: &[i8],
        start: &[i32; GROUP],
        sums: &mut [i32],
    ) {
        for first in (0..GROUP).step_by(16) {
            // SAFETY: first + 16 <= GROUP.
            let start = std::array::from_fn(|i| unsafe { vld1q_s32(start[first + 4 * i..].as_ptr()) });
            let mut totals: [[int32x4_t; 4]; ROWS] = [start; ROWS];
            for quad in 0..depth / QUAD {
                // SAFETY: quad < depth / QUAD, first + 16 <= GROUP: all that is read is there.
                unsafe {
                    let weights = group.as_ptr().add((quad * GROUP + first) * QUAD);
                    let w: [int8x16_t; 4] = std::array::from_fn(|i| vld1q_s8(weights.add(16 * i)));
                    for (r, totals) in totals.iter_mut().enumerate() {
                        let x = a.as_ptr().add(r * depth + quad * QUAD).cast::<u32>().read_unaligned();
                        let x = veorq_u8(vreinterpretq_u8_u32(vdupq_n_u32(x)), vdupq_n_u8(SUBTRACT_128));
                        for (total, w) in totals.iter_mut().zip(w) {
                            *total = dot_products::<0>(*total, w, vreinterpretq_s8_u8(x));
                        }
                    }
                }
            }
            for (totals, sums) in totals.iter().zip(sums.chunks_exact_mut(GROUP)) {
                for (i, total) in totals.iter().enumerate() {
                    // SAFETY: first + 16 <= GROUP.
                    unsafe { vst1q_s32(sums[first + 4 * i..].as_mut_ptr(), *total) };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::words;

    #[test]
    fn sums_are_exact_on_every_instruction_set() {
        for isa in Isa::available() {
            for (rows, depth) in [(1, 4), (2, 8), (3, 12), (4, 256), (5, 768), (6, 1024)] {
                // Random bytes, and the extremes that 16-bit sums could not hold, of unsigned and of signed bytes.
                for extreme in [false, true] {
                    let a: Vec<u8> =
                        words(rows * depth, 1).map(|v| if extreme { 255 } else { v as u8 }).collect();
                    let group: Vec<i8> = words(depth * GROUP, 2)
                        .enumerate()
                        .map(|(i, v)| match (extreme, i / QUAD % 2) {
                            (false, _) => v as i8,
                            (true, 0) => -128,
                            (true, _) => 127,
                        })
                        .collect();
                    let start: [i32; GROUP] = std::array::from_fn(|i| i as i32 * 1000 - 5);
                    let mut sums = [7_i32; TILE_ROWS * GROUP];
                    multiply(isa, &a, depth, &group, &start, &mut sums);
                    let input_offset = i64::from(input_offset(isa));
                    for r in 0..rows {
                        for column in 0..GROUP {
                            let want: i64 = (0..depth)
                                .map(|k| {
                                    let w = group[(k / QUAD * GROUP + column) * QUAD + k % QUAD];
                                    (i64::from(a[r * depth + k]) - input_offset) * i64::from(w)
                                })
                                .sum();
                            assert_eq!(
                                i64::from(sums[r * GROUP + column]),
                                want + i64::from(start[column]),
                                "{isa:?} {rows}x{depth} at {r}, {column}"
                            );
                        }
                    }
                }
            }
        }
    }
}
