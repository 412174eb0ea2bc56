//! Compares a compute type of Whisper's weights with float32: both are fed the text that float32 transcribes in the first window
//! of each recording, and their distributions of each next token are compared.
//!
//!     cargo run --release -p mynah-models --example precision -- CHECKPOINT FILE... \
//!         [--compute int8] [--language en] [--task translate] [--threads 2]

#![allow(clippy::print_stdout, reason = "a command-line program")]

use std::path::Path;

use mynah_audio::DecodeLimits;
use mynah_audio::mel::LogMel;
use mynah_core::{
    CancelFlag, ComputeType, JobContext, ModelError, Task, TranscribeOptions, Transcriber, WhisperOptions,
};
use mynah_models::whisper::{EncoderContext, Whisper};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Greedy, as any plausible transcript of the audio is sufficient.
    let whisper = WhisperOptions { beam_size: 1, temperatures: vec![0.0], ..WhisperOptions::default() };
    let mut options = TranscribeOptions { whisper, ..TranscribeOptions::default() };
    let (mut files, mut compute) = (Vec::new(), ComputeType::Int8);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        match arg.as_str() {
            "--language" => options.language = Some(value()?),
            "--task" if value()? == "translate" => options.task = Task::Translate,
            "--threads" => drop(mynah_kernels::pool::set_threads(value()?.parse()?)),
            "--compute" if value()? == "f16" => compute = ComputeType::F16,
            _ => files.push(arg),
        }
    }
    let (checkpoint, files) = files.split_first().ok_or("no checkpoint named")?;
    let exact = Whisper::load(Path::new(checkpoint), ComputeType::F32)?;
    let rounded = Whisper::load(Path::new(checkpoint), compute)?;
    let (cancel, n_mels) = (CancelFlag::new(), exact.config().n_mels);
    let context = JobContext::unscheduled(&cancel);
    let (mut tokens, mut divergence, mut same_best) = (0, 0.0, 0);
    for file in files {
        let decoded = mynah_audio::decode_file(Path::new(file), &DecodeLimits::default(), &|| false)?;
        let samples = &decoded.samples[..decoded.samples.len().min(30 * 16_000)];
        let transcript = exact.transcribe(samples.into(), &options, context, &mut ())?;
        let tokenizer = exact.tokenizer();
        let task =
            if options.task == Task::Translate { tokenizer.translate() } else { tokenizer.transcribe() };
        let language = tokenizer.language_token(&transcript.language).ok_or("a language without a token")?;
        let mut text = vec![tokenizer.sot(), language, task];
        let prompt = text.len();
        text.extend(transcript.segments.iter().flat_map(|segment| &segment.tokens));
        text.truncate(exact.config().text_positions);
        let at: Vec<usize> = (prompt - 1..text.len()).collect();
        let mel = LogMel::new(n_mels);
        let mel = mel.window(samples, 0, samples.len() / 160, mel.peak(samples));
        let logits = |model: &Whisper| -> Result<Vec<f32>, ModelError> {
            model.backend().encode(&mel, EncoderContext::Full, context)?.prefill(&text, &at)
        };
        let vocab_size = exact.config().vocab_size;
        for (exact, rounded) in logits(&exact)?.chunks(vocab_size).zip(logits(&rounded)?.chunks(vocab_size)) {
            let (p, q) = (log_softmax(exact), log_softmax(rounded));
            divergence += p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q)).sum::<f64>();
            same_best += usize::from(likeliest(&p) == likeliest(&q));
            tokens += 1;
        }
    }
    let count = tokens as f64;
    println!(
        "{tokens} tokens: divergence from float32 {:.5} nats per token, same most probable token at {:.2} %",
        divergence / count,
        100.0 * same_best as f64 / count
    );
    Ok(())
}

fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let largest = logits.iter().fold(f32::NEG_INFINITY, |m, v| m.max(*v));
    let sum: f64 = logits.iter().map(|v| f64::from(v - largest).exp()).sum();
    logits.iter().map(|v| f64::from(v - largest) - sum.ln()).collect()
}

fn likeliest(log_probabilities: &[f64]) -> Option<usize> {
    (0..log_probabilities.len()).max_by(|&a, &b| log_probabilities[a].total_cmp(&log_probabilities[b]))
}
