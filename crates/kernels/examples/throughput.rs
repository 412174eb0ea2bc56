//! Arithmetic and memory throughput of the kernels on whisper-base's shapes, and of layers that no cache holds.
//!
//!     cargo run --release -p mynah-kernels --example throughput [-- THREADS]

#![allow(clippy::print_stdout, reason = "a command-line program")]

use std::time::Instant;

use mynah_kernels::attention::{KeyValues, Queries, attend};
use mynah_kernels::{Epilogue, Matrix, Precision, cpu, pool};

/// Best time of several runs, seconds.
fn best(mut run: impl FnMut()) -> f64 {
    (0..15)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min)
}

fn main() {
    if let Some(threads) = std::env::args().nth(1).and_then(|n| n.parse().ok()) {
        pool::set_threads(threads);
    }
    println!("{} on {} threads", cpu::Isa::current().name(), pool::threads());
    let fill = |o: usize, row: &mut [f32]| {
        row.iter_mut().enumerate().for_each(|(k, v)| *v = ((o * 31 + k * 17) % 101) as f32 * 0.01 - 0.5);
    };
    for (name, rows, inputs, outputs) in [
        ("encoder qkv", 1500, 512, 1536),
        ("encoder fc1", 1500, 512, 2048),
        ("encoder fc2", 1500, 2048, 512),
        ("block of fc1", 96, 512, 512),
        ("prompt fc1", 200, 512, 2048),
        ("decoder fc1, beam 5", 5, 512, 2048),
        ("logits, beam 5", 5, 512, 51865),
        ("logits, greedy", 1, 512, 51865),
    ] {
        for precision in [Precision::F32, Precision::F16, Precision::Int8] {
            let matrix = Matrix::pack(precision, outputs, inputs, fill);
            let x = vec![0.3; rows * inputs];
            let mut y = vec![0.0; rows * outputs];
            let seconds = best(|| matrix.apply(&x, rows, &mut y, &Epilogue::default()));
            println!(
                "{name:20} {precision:?}: {:6.1} Gop/s, {:5.1} GB/s of weights",
                2e-9 * (rows * inputs * outputs) as f64 / seconds,
                1e-9 * matrix.bytes() as f64 / seconds
            );
        }
    }
    layers();
    let qkv = vec![0.1; 1500 * 1536];
    let mut out = vec![0.0; 1500 * 512];
    let mut kv = KeyValues::<f32>::pack(8, 64, 1500, &qkv[512..], &qkv[1024..], 1536);
    let pack = best(|| kv = KeyValues::<f32>::pack(8, 64, 1500, &qkv[512..], &qkv[1024..], 1536));
    let seconds = best(|| attend(Queries { data: &qkv, rows: 1500, stride: 1536 }, 0.125, &kv, &mut out));
    println!(
        "encoder attention: {:.1} Gop/s; packing its keys and values: {:.2} ms",
        4e-9 * 1500.0 * 1500.0 * 512.0 / seconds,
        1e3 * pack
    );
}

/// Steps through twenty layers of ChatTTS's size, whose weights come from memory each time, and beside them plain reading.
fn layers() {
    let fill = |o: usize, row: &mut [f32]| {
        row.iter_mut().enumerate().for_each(|(k, v)| *v = ((o * 31 + k * 17) % 101) as f32 * 0.01 - 0.5);
    };
    for precision in [Precision::F32, Precision::F16, Precision::Int8] {
        let layer = || {
            [(768, 2304), (768, 768), (768, 6144), (3072, 768)]
                .map(|(inputs, outputs)| Matrix::pack(precision, outputs, inputs, fill))
        };
        let matrices: Vec<Matrix> = (0..20).flat_map(|_| layer()).collect();
        let bytes: usize = matrices.iter().map(Matrix::bytes).sum();
        for rows in [1, 2, 5] {
            let (x, mut y) = (vec![0.3; rows * 3072], vec![0.0; rows * 6144]);
            let seconds = best(|| {
                for m in &matrices {
                    let y = &mut y[..rows * m.outputs()];
                    m.apply(&x[..rows * m.inputs()], rows, y, &Epilogue::default());
                }
            });
            let (speed, step) = (1e-9 * bytes as f64 / seconds, 1e3 * seconds);
            println!(
                "layers, {rows} rows       {precision:?}: {step:6.2} ms a step, {speed:5.1} GB/s of weights"
            );
        }
    }
    let data = vec![1_u64; 16 << 20];
    let sum = |part: &[u64]| part.iter().fold(0, |sum: u64, &v| sum.wrapping_add(v));
    let seconds = best(|| {
        std::thread::scope(|scope| {
            for part in data.chunks(data.len() / pool::threads()) {
                scope.spawn(move || std::hint::black_box(sum(part)));
            }
        });
    });
    println!("plain reading: {:.1} GB/s", 1e-9 * size_of_val(data.as_slice()) as f64 / seconds);
}
