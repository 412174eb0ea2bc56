//! Times of the stages of a Whisper model: encoding windows, feeding prompts, decoder steps by number of rows; for
//! full windows also the share of the machine's peak performance.
//!
//!     cargo run --release -p mynah-models --example stages -- CHECKPOINT [--compute f32] [--threads 2] \
//!         [--frames 300,3000] [--rows 1,5]

#![allow(clippy::print_stdout, reason = "a command-line program")]

use std::path::Path;
use std::time::Instant;

use mynah_core::{CancelFlag, ComputeType, JobContext};
use mynah_kernels::roofline;
use mynah_models::whisper::{Config, EncoderContext, Whisper};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // As in the program.
    mynah_kernels::malloc::tune();
    let (mut checkpoint, mut compute) = (None, ComputeType::Auto);
    let mut lengths = vec![300, 700, 1000, 2000, 3000];
    let mut batches = vec![1, 5, 6, 10, 12, 15, 20, 30, 40];
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        match arg.as_str() {
            "--threads" => drop(mynah_kernels::pool::set_threads(value()?.parse()?)),
            "--frames" => lengths = value()?.split(',').map(str::parse).collect::<Result<_, _>>()?,
            "--rows" => batches = value()?.split(',').map(str::parse).collect::<Result<_, _>>()?,
            "--compute" => compute = value()?.parse()?,
            _ => checkpoint = Some(arg),
        }
    }
    let model = Whisper::load(Path::new(&checkpoint.ok_or("no checkpoint named")?), compute)?;
    let (backend, n_mels, cancel) = (model.backend(), model.config().n_mels, CancelFlag::new());
    let context = JobContext::unscheduled(&cancel);
    let mel = |frames: usize| -> Vec<f32> {
        (0..frames * n_mels).map(|i| ((i * 7919) % 101) as f32 * 0.02 - 1.0).collect()
    };
    drop(backend.encode(&mel(100), EncoderContext::Trimmed, context)?);
    for frames in lengths {
        let mel = mel(frames);
        // Shorter windows are encoded with stored padding after them.
        let full = frames == 2 * model.config().audio_positions;
        let operations = full.then(|| encoder_operations(model.config()));
        let (mut seconds, mut shares) = (Vec::new(), Vec::new());
        for _ in 0..7 {
            let before = operations.map(|o| min_seconds(o, compute));
            let start = Instant::now();
            backend.encode(&mel, EncoderContext::Trimmed, context)?;
            seconds.push(start.elapsed().as_secs_f64());
            let after = operations.map(|o| min_seconds(o, compute));
            let least = before.zip(after).map(|(before, after)| (before + after) / 2.0);
            shares.extend(least.map(|least| least / seconds[seconds.len() - 1]));
        }
        let seconds = median(seconds);
        print!("encode {frames} frames: {:.1} ms", 1e3 * seconds);
        if let Some([products, attention]) = operations {
            let gops = 1e-9 * (products + attention) / seconds;
            print!(", {gops:.1} Gop/s, {:.0} % of what arithmetic alone allows", 100.0 * median(shares));
        }
        println!();
    }
    let mel = mel(700);
    let mut window = backend.encode(&mel, EncoderContext::Trimmed, context)?;
    let prompt = [50258, 50259, 50359];
    let seconds = median_time(9, || window.prefill(&prompt, &[0, 2]).map(drop))?;
    println!("prompt of 3 tokens: {:.2} ms", 1e3 * seconds);
    for rows in batches {
        window.prefill(&prompt, &[])?;
        window.reorder(&vec![0; rows]);
        let tokens = vec![400; rows];
        let seconds = median_time(25, || window.step(&tokens).map(drop))?;
        println!(
            "step of {rows:2} rows: {:.2} ms, {:.2} ms per row, {:.1} Gop/s in {:.1} million weights",
            1e3 * seconds,
            1e3 * seconds / rows as f64,
            2e-9 * rows as f64 * decoder_weights(model.config()) / seconds,
            1e-6 * decoder_weights(model.config())
        );
    }
    Ok(())
}

/// Operations of encoding a full window, a multiplication and an addition counted as two: those of products (the
/// convolutions, the layers, and what the decoder's layers will attend to), and those of attention of all positions to all.
fn encoder_operations(config: &Config) -> [f64; 2] {
    let [positions, mels, width, ffn] =
        [config.audio_positions, config.n_mels, config.width, config.ffn_width].map(|n| n as f64);
    let [layers, decoder_layers] = [config.encoder_layers, config.decoder_layers].map(|n| n as f64);
    let convolutions = 3.0 * (2.0 * positions * mels * width + positions * width * width);
    let products = layers * positions * (4.0 * width * width + 2.0 * width * ffn);
    let cross_key_values = decoder_layers * 2.0 * positions * width * width;
    let attention = layers * 2.0 * positions * positions * width;
    [2.0 * (convolutions + products + cross_key_values), 2.0 * attention]
}

/// Minimum time of these operations, seconds: attention is in f32, products in the arithmetic of `compute`. The peak speed is
/// measured each time, as other programs slow it down too, and for at least 0.1 s, as short bursts are faster.
fn min_seconds([products, attention]: [f64; 2], compute: ComputeType) -> f64 {
    let sustained = |roofline: fn() -> f64| 40.0 / (0..40).map(|_| 1.0 / roofline()).sum::<f64>();
    let floats = sustained(roofline::f32_gops);
    let of_products = match compute {
        ComputeType::F32 | ComputeType::F16 => floats,
        _ => sustained(roofline::int_gops),
    };
    1e-9 * (products / of_products + attention / floats)
}

/// Weights that a step reads: the layers' own attention, their queries and outputs of attention to the audio, their
/// feed-forward networks, and the embedding that gives the logits.
fn decoder_weights(config: &Config) -> f64 {
    let [width, ffn, layers, vocab] =
        [config.width, config.ffn_width, config.decoder_layers, config.vocab_size].map(|n| n as f64);
    layers * (6.0 * width * width + 2.0 * width * ffn) + vocab * width
}

fn median_time<E>(times: usize, mut run: impl FnMut() -> Result<(), E>) -> Result<f64, E> {
    let mut seconds = Vec::new();
    for _ in 0..times {
        let start = Instant::now();
        run()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    Ok(median(seconds))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
