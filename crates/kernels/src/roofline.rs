//! Peak performance of the machine, for benchmarks: arithmetic in registers, and sequential memory reads.
//! These bound every kernel's speed (Williams, Waterman and Patterson, "Roofline", CACM 52(4), 2009).

use std::hint::black_box;
use std::time::Instant;

use crate::pool;

/// Number of independent sums: enough for a latency of four cycles at two operations per cycle, and a reserve.
const SUMS: usize = 12;
/// Number of additions per sum: some milliseconds of work.
const ROUNDS: usize = 1 << 20;

#[cfg(target_arch = "x86_64")]
use x86::{multiply_floats, multiply_integers};

#[cfg(not(target_arch = "x86_64"))]
use plain::{multiply_floats, multiply_integers};

/// Multiplications and additions of f32 on all threads, 10^9 per second.
pub fn f32_gops() -> f64 {
    gops(multiply_floats)
}

/// Multiplications of integers of 16 bits, summed in 32, and those additions; 10^9 per second.
pub fn int_gops() -> f64 {
    gops(multiply_integers)
}

/// Reading of 128 MiB by all threads, 10^9 bytes per second. Each thread reads several streams, as a single one does not keep
/// enough loads in flight.
pub fn read_gbps() -> f64 {
    let data = vec![1_u64; 16 << 20];
    let start = Instant::now();
    std::thread::scope(|scope| {
        for part in data.chunks(data.len().div_ceil(pool::threads())) {
            scope.spawn(move || black_box(sum_of_streams(part)));
        }
    });
    1e-9 * size_of_val(data.as_slice()) as f64 / start.elapsed().as_secs_f64()
}

/// The sum of all numbers, taking a cache line from each stream in turn.
fn sum_of_streams(data: &[u64]) -> u64 {
    const STREAMS: usize = 8;
    const LINE: usize = 8;
    let lines = data.as_chunks::<LINE>().0;
    let length = lines.len() / STREAMS;
    let mut sums = [0_u64; LINE];
    for i in 0..length {
        for stream in 0..STREAMS {
            for (sum, v) in sums.iter_mut().zip(lines[stream * length + i]) {
                *sum = sum.wrapping_add(v);
            }
        }
    }
    sums.iter().fold(0, |sum, v| sum.wrapping_add(*v))
}

/// Speed of `multiply` on all threads; it returns its number of operations, a multiplication and an addition counted as two.
fn gops(multiply: fn() -> usize) -> f64 {
    let start = Instant::now();
    let operations: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..pool::threads()).map(|_| scope.spawn(multiply)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_default()).sum()
    });
    1e-9 * operations as f64 / start.elapsed().as_secs_f64()
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::*;
    use crate::cpu::Isa;

    /// f32 by fused multiplication and addition.
    pub(super) fn multiply_floats() -> usize {
        match Isa::current() {
            // SAFETY: the CPU has AVX-512 F.
            Isa::Avx512Vnni(_) | Isa::Amx(_) => unsafe { floats_wide() },
            // SAFETY: the CPU has AVX2 and FMA.
            Isa::Avx2(_) => unsafe { floats() },
            _ => plain::multiply_floats(),
        }
    }

    /// i16 by i16, summed in i32.
    pub(super) fn multiply_integers() -> usize {
        match Isa::current() {
            // SAFETY: the CPU has these sets.
            Isa::Avx512Vnni(_) | Isa::Amx(_) => unsafe { integers_vnni() },
            // SAFETY: the CPU has AVX2.
            Isa::Avx2(_) => unsafe { integers() },
            _ => plain::multiply_integers(),
        }
    }

    #[target_feature(enable = "avx2,fma")]
    fn floats() -> usize {
        let (a, b) = (_mm256_set1_ps(black_box(0.5)), _mm256_set1_ps(black_box(0.25)));
        let mut sums = [_mm256_setzero_ps(); SUMS];
        for _ in 0..ROUNDS {
            sums.iter_mut().for_each(|sum| *sum = _mm256_fmadd_ps(a, b, *sum));
        }
        black_box(sums);
        2 * ROUNDS * SUMS * 8
    }

    #[target_feature(enable = "avx512f")]
    fn floats_wide() -> usize {
        let (a, b) = (_mm512_set1_ps(black_box(0.5)), _mm512_set1_ps(black_box(0.25)));
        let mut sums = [_mm512_setzero_ps(); SUMS];
        for _ in 0..ROUNDS {
            sums.iter_mut().for_each(|sum| *sum = _mm512_fmadd_ps(a, b, *sum));
        }
        black_box(sums);
        2 * ROUNDS * SUMS * 16
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    fn integers_vnni() -> usize {
        let (a, b) = (_mm512_set1_epi16(black_box(3)), _mm512_set1_epi16(black_box(5)));
        let mut sums = [_mm512_setzero_si512(); SUMS];
        for _ in 0..ROUNDS {
            sums.iter_mut().for_each(|sum| *sum = _mm512_dpwssd_epi32(*sum, a, b));
        }
        black_box(sums);
        2 * ROUNDS * SUMS * 32
    }

    /// One instruction for the products, another for the sums.
    #[target_feature(enable = "avx2")]
    fn integers() -> usize {
        let (a, b) = (_mm256_set1_epi16(black_box(3)), _mm256_set1_epi16(black_box(5)));
        let mut sums = [_mm256_setzero_si256(); SUMS];
        for _ in 0..ROUNDS {
            let a = black_box(a);
            sums.iter_mut().for_each(|sum| *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(a, b)));
        }
        black_box(sums);
        2 * ROUNDS * SUMS * 16
    }
}

/// Plain Rust, vectorised by the compiler.
mod plain {
    use super::*;

    const LANES: usize = 4;

    pub(super) fn multiply_floats() -> usize {
        let (a, b) = (black_box([0.5_f32; LANES]), black_box([0.25_f32; LANES]));
        let mut sums = [[0.0_f32; LANES]; SUMS];
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                for i in 0..LANES {
                    // A fused operation would be a library call if the target does not guarantee the instruction.
                    let fused = cfg!(not(target_arch = "x86_64"));
                    sum[i] = if fused { a[i].mul_add(b[i], sum[i]) } else { a[i] * b[i] + sum[i] };
                }
            }
        }
        black_box(sums);
        2 * ROUNDS * SUMS * LANES
    }

    pub(super) fn multiply_integers() -> usize {
        let (a, b) = (black_box([3_i16; LANES]), black_box([5_i16; LANES]));
        let mut sums = [[0_i32; LANES]; SUMS];
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                for i in 0..LANES {
                    sum[i] = sum[i].wrapping_add(i32::from(a[i]) * i32::from(b[i]));
                }
            }
        }
        black_box(sums);
        2 * ROUNDS * SUMS * LANES
    }
}
