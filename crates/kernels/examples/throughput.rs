//! This machine's peak performance and the share of it that the kernels reach: arithmetic on whisper-base's shapes, and layers that no
//! cache can hold.
//!
//!     cargo run --release -p mynah-kernels --example throughput [-- THREADS]

#![allow(clippy::print_stdout, reason = "a command-line program")]

use std::time::Instant;

use mynah_kernels::attention::{KeyValues, Queries, attend};
use mynah_kernels::{Epilogue, Matrix, Precision, cpu, pool, roofline};

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

/// Peak performance of the processor.
struct Roofline {
    /// Multiplications and additions of f32, 10^9 per second.
    f32_gops: f64,
    /// Multiplications and additions of integers of 16 bits, 10^9 per second.
    int_gops: f64,
    /// Reading of memory, GB per second.
    gbps: f64,
}

impl Roofline {
    fn measure() -> Self {
        let most = |measure: fn() -> f64| (0..15).map(|_| measure()).fold(0.0, f64::max);
        Self {
            f32_gops: most(roofline::f32_gops),
            int_gops: most(roofline::int_gops),
            gbps: most(roofline::read_gbps),
        }
    }

    /// Peak speed of the arithmetic that `precision` uses.
    fn gops(&self, precision: Precision) -> f64 {
        if matches!(precision, Precision::Int8 | Precision::Int16) { self.int_gops } else { self.f32_gops }
    }
}

fn fill(o: usize, row: &mut [f32]) {
    row.iter_mut().enumerate().for_each(|(k, v)| *v = ((o * 31 + k * 17) % 101) as f32 * 0.01 - 0.5);
}

fn main() {
    if let Some(threads) = std::env::args().nth(1).and_then(|n| n.parse().ok()) {
        pool::set_threads(threads);
    }
    println!("{} on {} threads", cpu::Isa::current().name(), pool::threads());
    let roofline = Roofline::measure();
    println!(
        "roofline: {:.0} Gop/s of f32, {:.0} Gop/s of integers, {:.0} GB/s",
        roofline.f32_gops, roofline.int_gops, roofline.gbps
    );
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
        for precision in [Precision::F32, Precision::F16, Precision::Int8, Precision::Int16] {
            let matrix = Matrix::pack(precision, outputs, inputs, fill);
            let x = vec![0.3; rows * inputs];
            let mut y = vec![0.0; rows * outputs];
            let seconds = best(|| matrix.apply(&x, rows, &mut y, &Epilogue::default()));
            let gops = 2e-9 * (rows * inputs * outputs) as f64 / seconds;
            let gbps = 1e-9 * matrix.bytes() as f64 / seconds;
            println!(
                "{name:20} {precision:?}: {gops:6.1} Gop/s ({:3.0} %), {gbps:5.1} GB/s of weights ({:3.0} %)",
                100.0 * gops / roofline.gops(precision),
                100.0 * gbps / roofline.gbps
            );
        }
    }
    layers(&roofline);
    let qkv = vec![0.1; 1500 * 1536];
    let mut out = vec![0.0; 1500 * 512];
    let mut kv = KeyValues::<f32>::pack(8, 64, 1500, &qkv[512..], &qkv[1024..], 1536);
    let pack = best(|| kv = KeyValues::<f32>::pack(8, 64, 1500, &qkv[512..], &qkv[1024..], 1536));
    let seconds = best(|| attend(Queries { data: &qkv, rows: 1500, stride: 1536 }, 0.125, &kv, &mut out));
    let gops = 4e-9 * 1500.0 * 1500.0 * 512.0 / seconds;
    println!(
        "encoder attention: {gops:.1} Gop/s ({:.0} %); packing its keys and values: {:.2} ms",
        100.0 * gops / roofline.f32_gops,
        1e3 * pack
    );
}

/// Steps through twenty layers of ChatTTS's size, whose weights come from memory each time.
fn layers(roofline: &Roofline) {
    for precision in [Precision::F32, Precision::F16, Precision::Int8, Precision::Int16] {
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
            let gbps = 1e-9 * bytes as f64 / seconds;
            println!(
                "layers, {rows} rows       {precision:?}: {:6.2} ms per step, {gbps:5.1} GB/s of weights ({:.0} %)",
                1e3 * seconds,
                100.0 * gbps / roofline.gbps
            );
        }
    }
}
