//! Synthesizes a text with a ChatTTS checkpoint and measures the speed.
//!
//!     cargo run --release -p mynah-models --example chattts -- CHECKPOINT TEXT [--compute f32|f16|int8] [--threads N]
//!         [--voice NAME] [--sample WAV --sample-text TEXT] [--speed N] [--refine] [--seed N] [--steps N]
//!         [--requests N] [--whole] [--wav FILE] [--sound] [--compare]
//!
//! `--steps` generates that many steps, even if the model ends earlier; `--requests` speaks the text that many times at once. Samples
//! go to the file as they come; with `--whole`, once all are there. Prints one line of JSON with times in seconds.

#![allow(clippy::print_stdout, reason = "a command-line program")]

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use mynah_audio::{DecodeLimits, decode_at};
use mynah_core::{CancelFlag, ComputeType, JobContext};
use mynah_kernels::pool;
use mynah_models::chattts::{ChatTts, LoadOptions, SAMPLE_RATE, Sampling, Seed, SpeakOptions};

#[derive(Default)]
struct Arguments {
    checkpoint: PathBuf,
    text: String,
    load: LoadOptions,
    voice: String,
    sample: Option<PathBuf>,
    sample_text: String,
    speed: Option<u8>,
    refine: bool,
    seed: Option<u64>,
    steps: Option<usize>,
    requests: usize,
    whole: bool,
    sound: bool,
    compare: bool,
    wav: Option<PathBuf>,
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut given = std::env::args().skip(1);
    let mut next = || given.next();
    let checkpoint = next().ok_or("a checkpoint's folder is needed")?.into();
    let text = next().ok_or("a text is needed")?;
    let mut parsed = Arguments { checkpoint, text, requests: 1, ..Arguments::default() };
    while let Some(name) = next() {
        match name.as_str() {
            "--refine" => parsed.refine = true,
            "--whole" => parsed.whole = true,
            "--sound" => parsed.sound = true,
            "--compare" => parsed.compare = true,
            _ => {
                let value = next().ok_or("a value is needed")?;
                match name.as_str() {
                    "--compute" => parsed.load.compute = value.parse()?,
                    "--threads" => drop(pool::set_threads(value.parse()?)),
                    "--voice" => parsed.voice = value,
                    "--sample" => parsed.sample = Some(value.into()),
                    "--sample-text" => parsed.sample_text = value,
                    "--speed" => parsed.speed = Some(value.parse()?),
                    "--seed" => parsed.seed = Some(value.parse()?),
                    "--steps" => parsed.steps = Some(value.parse()?),
                    "--requests" => parsed.requests = value.parse()?,
                    "--wav" => parsed.wav = Some(value.into()),
                    _ => return Err(format!("unknown option {name}").into()),
                }
            }
        }
    }
    Ok(parsed)
}

/// Measurements of one request.
struct Measured {
    steps: u64,
    samples: usize,
    first_s: f64,
    total_s: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = arguments()?;
    let start = Instant::now();
    let model = ChatTts::load(&arguments.checkpoint, &arguments.load)?;
    let load_s = start.elapsed().as_secs_f64();
    if arguments.sound {
        return sound(&model, arguments.steps.unwrap_or(235));
    }
    if arguments.compare {
        return compare(&model, &arguments);
    }
    let options = speak_options(&model, &arguments)?;
    let start = Instant::now();
    let measured: Vec<Measured> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..arguments.requests.max(1))
            .map(|i| {
                let wav = arguments.wav.as_deref().filter(|_| i == 0);
                let (model, options, arguments) = (&model, options.clone(), &arguments);
                scope
                    .spawn(move || speak(model, options, arguments, wav).map_err(|reason| reason.to_string()))
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| "a request failed".to_owned())?)
            .collect::<Result<_, _>>()
    })?;
    let total_s = start.elapsed().as_secs_f64();
    let steps: u64 = measured.iter().map(|m| m.steps).sum();
    let samples: usize = measured.iter().map(|m| m.samples).sum();
    println!(
        "{{\"load_s\": {load_s:.3}, \"weights_mb\": {:.1}, \"peak_mb\": {:.1}, \"total_s\": {total_s:.3}, \"steps\": {steps}, \
         \"audio_s\": {:.3}, \"first_audio_s\": {:.3}, \"longest_s\": {:.3}}}",
        model.bytes() as f64 / 1e6,
        peak_mb(),
        samples as f64 / f64::from(SAMPLE_RATE),
        measured.iter().map(|m| m.first_s).fold(0.0, f64::max),
        measured.iter().map(|m| m.total_s).fold(0.0, f64::max),
    );
    Ok(())
}

/// Numbers from 0 to 1, the same in every run.
fn noise(count: usize) -> Vec<f32> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32
    };
    (0..count).map(|_| next()).collect()
}

fn sound(model: &ChatTts, steps: usize) -> Result<(), Box<dyn Error>> {
    let states: Vec<f32> = noise(steps * model.config().width).iter().map(|v| 3.5 * v - 1.75).collect();
    drop(model.decode_states(&states)?);
    let start = Instant::now();
    let samples = model.decode_states(&states)?.len();
    let (took_s, audio_s) = (start.elapsed().as_secs_f64(), samples as f64 / f64::from(SAMPLE_RATE));
    println!(
        "{{\"sound_s\": {took_s:.4}, \"audio_s\": {audio_s:.3}, \"sound_s_per_audio_s\": {:.4}}}",
        took_s / audio_s
    );
    Ok(())
}

fn compare(model: &ChatTts, arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let exact = LoadOptions { compute: ComputeType::F32, ..arguments.load.clone() };
    let exact = ChatTts::load(&arguments.checkpoint, &exact)?;
    let voice = model.voice(&arguments.voice)?;
    let steps = arguments.steps.unwrap_or(64);
    let codes: Vec<u32> = noise(4 * steps).iter().map(|v| (v * 625.0) as u32).collect();
    let codes = codes.as_chunks::<4>().0;
    let scores = |model: &ChatTts| model.scores(&arguments.text, &voice, codes, &CancelFlag::new());
    let (exact, rounded) = (scores(&exact)?, scores(model)?);
    let correlations = exact.iter().zip(&rounded).map(|(a, b)| correlation(a, b));
    let lowest = correlations.clone().fold(1.0, f64::min);
    let mean = correlations.sum::<f64>() / exact.len() as f64;
    let best = |scores: &[f32]| scores.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(i, _)| i);
    let books = |scores: &Vec<f32>| scores.chunks(scores.len() / 4).map(best).collect::<Vec<_>>();
    let pairs = exact.iter().zip(&rounded).flat_map(|(a, b)| books(a).into_iter().zip(books(b)));
    let (same, all) = pairs.fold((0, 0), |(same, all), (a, b)| (same + usize::from(a == b), all + 1));
    println!(
        "{{\"steps\": {}, \"correlation_lowest\": {lowest:.6}, \"correlation_mean\": {mean:.6}, \"argmax_agreement\": {:.4}}}",
        exact.len(),
        same as f64 / all as f64
    );
    Ok(())
}

fn correlation(a: &[f32], b: &[f32]) -> f64 {
    let mean = |x: &[f32]| x.iter().map(|&v| f64::from(v)).sum::<f64>() / x.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let terms = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - mean_a, f64::from(*b) - mean_b));
    let (ab, aa, bb) =
        terms.fold((0.0, 0.0, 0.0), |(ab, aa, bb), (a, b)| (ab + a * b, aa + a * a, bb + b * b));
    ab / f64::sqrt(aa * bb)
}

fn speak_options(model: &ChatTts, arguments: &Arguments) -> Result<SpeakOptions, Box<dyn Error>> {
    let mut options = SpeakOptions { refine: arguments.refine, ..SpeakOptions::default() };
    options.voice = match &arguments.sample {
        Some(path) => model.voice_from_reference(&read_sample(path)?, &arguments.sample_text)?,
        None => model.voice(&arguments.voice)?,
    };
    options.style.speed = arguments.speed.or(options.style.speed);
    options.seed = arguments.seed.map(Seed::Stream);
    if let Some(steps) = arguments.steps {
        options.speech = Sampling { min_tokens: steps, max_tokens: steps, ..Sampling::speech() };
    }
    Ok(options)
}

fn speak(
    model: &ChatTts,
    options: SpeakOptions,
    arguments: &Arguments,
    wav: Option<&Path>,
) -> Result<Measured, Box<dyn Error>> {
    let start = Instant::now();
    let mut file = wav.map(Wav::create).transpose()?;
    let cancel = CancelFlag::new();
    let mut speech = model.begin(&arguments.text, options, &cancel)?;
    let (mut samples, mut first_s, mut kept) = (0, None, Vec::new());
    while let Some(piece) = speech.next_chunk(JobContext::unscheduled(&cancel))? {
        first_s.get_or_insert_with(|| start.elapsed().as_secs_f64());
        samples += piece.len();
        if arguments.whole {
            kept.extend(piece);
        } else if let Some(file) = &mut file {
            file.write(&piece)?;
        }
    }
    if let Some(mut file) = file {
        file.write(&kept)?;
        file.finish()?;
    }
    let total_s = start.elapsed().as_secs_f64();
    Ok(Measured { steps: speech.counts().output, samples, first_s: first_s.unwrap_or(total_s), total_s })
}

/// Mono samples of a file at the model's rate.
fn read_sample(path: &Path) -> Result<Vec<f32>, Box<dyn Error>> {
    let limits = DecodeLimits { max_duration_s: 60.0, ..DecodeLimits::default() };
    Ok(decode_at(SAMPLE_RATE, File::open(path)?, &limits, &|| false)?.samples)
}

/// A file of 16-bit samples, whose length is written at the end.
struct Wav {
    file: BufWriter<File>,
    bytes: u32,
}

impl Wav {
    fn create(path: &Path) -> std::io::Result<Self> {
        let mut file = BufWriter::new(File::create(path)?);
        let mut header = Vec::new();
        header.extend(b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0");
        header.extend(SAMPLE_RATE.to_le_bytes());
        header.extend((2 * SAMPLE_RATE).to_le_bytes());
        header.extend(b"\x02\0\x10\0data\0\0\0\0");
        file.write_all(&header)?;
        Ok(Self { file, bytes: 0 })
    }

    fn write(&mut self, samples: &[f32]) -> std::io::Result<()> {
        for sample in samples {
            self.file.write_all(&((sample.clamp(-1.0, 1.0) * 32_767.0).round() as i16).to_le_bytes())?;
        }
        self.bytes += 2 * samples.len() as u32;
        Ok(())
    }

    fn finish(mut self) -> std::io::Result<()> {
        self.file.seek(SeekFrom::Start(4))?;
        self.file.write_all(&(36 + self.bytes).to_le_bytes())?;
        self.file.seek(SeekFrom::Start(40))?;
        self.file.write_all(&self.bytes.to_le_bytes())?;
        self.file.flush()
    }
}

/// Peak memory of this process, if the system reports it.
fn peak_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<f64>().ok()).unwrap_or_default()
        / 1e3
}
