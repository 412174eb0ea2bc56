//! Synthesizes phonemes and measures the speed.
//!
//!     cargo run --release -p mynah-models --example hibari -- VOICE [--threads N] [--speed X] [--seed N] [--repeat N]
//!         [--wav FILE] [--dump FOLDER] < PHONEMES
//!
//! VOICE is a folder with hibari.onnx, or a voice's file. Standard input has one utterance per line; an empty line ends a
//! paragraph. `--repeat` speaks everything several times and prints the best time; `--dump` writes, for each utterance,
//! the network's outputs and the samples as little-endian f32.

#![allow(clippy::print_stdout, reason = "a command-line program")]

use std::error::Error;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use mynah_core::{CancelFlag, SpeechOptions};
use mynah_kernels::pool;
use mynah_models::hibari::{Hibari, SAMPLE_RATE, split_phonemes};
use mynah_models::joiner::{Joiner, Pause};

struct Arguments {
    voice: PathBuf,
    options: SpeechOptions,
    repeat: usize,
    wav: Option<PathBuf>,
    dump: Option<PathBuf>,
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut given = std::env::args_os().skip(1);
    let voice = given.next().ok_or("a folder or file of a voice is needed")?.into();
    let mut parsed = Arguments { voice, options: SpeechOptions::default(), repeat: 1, wav: None, dump: None };
    while let Some(name) = given.next() {
        let value = given.next().ok_or("a value is needed")?;
        let text = value.to_string_lossy();
        match name.to_str() {
            Some("--threads") => drop(pool::set_threads(text.parse()?)),
            Some("--speed") => parsed.options.speed = text.parse()?,
            Some("--seed") => parsed.options.seed = text.parse()?,
            Some("--repeat") => parsed.repeat = text.parse()?,
            Some("--wav") => parsed.wav = Some(value.into()),
            Some("--dump") => parsed.dump = Some(value.into()),
            _ => return Err(format!("unknown option {}", name.to_string_lossy()).into()),
        }
    }
    Ok(parsed)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = arguments()?;
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input)?;
    let mut parts = Vec::new();
    let mut pause = Pause::Sentence;
    for line in input.lines() {
        for (i, part) in split_phonemes(line).into_iter().enumerate() {
            parts.push((if i > 0 { Pause::Cut } else { pause }, part));
            pause = Pause::Sentence;
        }
        if line.trim().is_empty() {
            pause = Pause::Paragraph;
        }
    }

    let start = Instant::now();
    let hibari = Hibari::load(&arguments.voice)?;
    println!(
        "loaded in {:.1} ms, {} KB of weights",
        start.elapsed().as_secs_f64() * 1e3,
        hibari.bytes() / 1024
    );
    let (mut best, mut best_first, mut audio_s, mut samples) =
        (f64::INFINITY, f64::INFINITY, 0.0, Vec::new());
    for _ in 0..arguments.repeat {
        let start = Instant::now();
        let mut first = None;
        samples = speak(&hibari, &parts, &arguments.options, &mut || {
            first.get_or_insert_with(|| start.elapsed().as_secs_f64());
        })?;
        audio_s = samples.len() as f64 / f64::from(SAMPLE_RATE);
        best = best.min(start.elapsed().as_secs_f64());
        best_first = best_first.min(first.unwrap_or_default());
    }
    println!(
        "{audio_s:.3} s of audio in {:.1} ms on {} threads: {:.0} times real time; first samples after {:.1} ms",
        best * 1e3,
        pool::threads(),
        audio_s / best,
        best_first * 1e3
    );
    if let Some(path) = arguments.wav {
        write_wav(&path, &samples)?;
    }
    if let Some(folder) = arguments.dump {
        for (i, (_, part)) in parts.iter().enumerate() {
            dump(&hibari, part, &arguments.options, &folder.join(i.to_string()))?;
        }
    }
    Ok(())
}

fn speak(
    hibari: &Hibari,
    parts: &[(Pause, &str)],
    options: &SpeechOptions,
    on_samples: &mut dyn FnMut(),
) -> Result<Vec<f32>, Box<dyn Error>> {
    let cancel = CancelFlag::new();
    let mut joiner = Joiner::new(SAMPLE_RATE);
    let mut samples = Vec::new();
    for (i, (pause, part)) in parts.iter().enumerate() {
        // Every utterance has its own noise.
        let options = SpeechOptions { seed: options.seed.wrapping_add(i as u64), ..options.clone() };
        joiner.begin(*pause, &mut samples);
        let mut utterance = hibari.begin(part, &options, &cancel)?;
        while let Some(chunk) = utterance.next_chunk(&cancel)? {
            joiner.push(&chunk, &mut samples);
            on_samples();
        }
    }
    joiner.end(&mut samples);
    Ok(samples)
}

fn dump(hibari: &Hibari, phonemes: &str, options: &SpeechOptions, to: &Path) -> Result<(), Box<dyn Error>> {
    let cancel = CancelFlag::new();
    let outputs = hibari.begin(phonemes, options, &cancel)?.network_outputs();
    let speech = hibari.synthesize_phonemes(phonemes, options, &cancel)?;
    let durations: Vec<f32> = outputs.durations.iter().map(|&d| d as f32).collect();
    std::fs::create_dir_all(to)?;
    for (name, numbers) in [
        ("durations", &durations),
        ("f0", &outputs.f0_hz),
        ("parts", &outputs.parts),
        ("samples", &speech.samples),
    ] {
        std::fs::write(to.join(name), numbers.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())?;
    }
    Ok(())
}

/// 16-bit mono.
fn write_wav(path: &Path, samples: &[f32]) -> std::io::Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    let bytes = 2 * samples.len() as u32;
    file.write_all(b"RIFF")?;
    file.write_all(&(36 + bytes).to_le_bytes())?;
    file.write_all(b"WAVEfmt \x10\0\0\0\x01\0\x01\0")?;
    file.write_all(&SAMPLE_RATE.to_le_bytes())?;
    file.write_all(&(2 * SAMPLE_RATE).to_le_bytes())?;
    file.write_all(b"\x02\0\x10\0data")?;
    file.write_all(&bytes.to_le_bytes())?;
    for sample in samples {
        file.write_all(&((sample.clamp(-1.0, 1.0) * 32767.0) as i16).to_le_bytes())?;
    }
    file.flush()
}
