//! Transcribes files with a checkpoint on disk and prints one JSON object per line, for comparison with other programs.
//!
//!     cargo run --release -p mynah-models --example transcribe -- CHECKPOINT FILE... \
//!         [--language en] [--task translate] [--beam 5] [--compute f32] [--threads 2] [--vad] [--words] [--no-condition]

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

use std::ops::Range;
use std::path::Path;
use std::time::Instant;

use mynah_audio::DecodeLimits;
use mynah_audio::vad;
use mynah_core::{
    AudioInput, CancelFlag, ComputeType, JobContext, Task, TranscribeOptions, Transcriber, VadOptions,
};
use mynah_models::whisper::Whisper;
use serde_json::json;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut options = TranscribeOptions::default();
    let (mut files, mut compute) = (Vec::new(), ComputeType::Auto);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        match arg.as_str() {
            "--language" => options.language = Some(value()?),
            "--task" if value()? == "translate" => options.task = Task::Translate,
            "--beam" => options.whisper.beam_size = value()?.parse()?,
            "--threads" => drop(mynah_kernels::pool::set_threads(value()?.parse()?)),
            "--vad" => options.vad = Some(VadOptions::default()),
            "--words" => options.word_timestamps = true,
            "--no-condition" => options.whisper.condition_on_previous_text = false,
            "--compute" => compute = value()?.parse()?,
            _ => files.push(arg),
        }
    }
    let start = Instant::now();
    let (checkpoint, files) = files.split_first().ok_or("no checkpoint named")?;
    let model = Whisper::load(Path::new(checkpoint), compute)?;
    eprintln!("loaded in {:.2} s", start.elapsed().as_secs_f64());
    for file in files {
        let decoded = mynah_audio::decode_file(Path::new(file), &DecodeLimits::default(), &|| false)?;
        let start = Instant::now();
        let speech = options.vad.as_ref().map(|options| speech(&decoded.samples, options));
        let transcript = model.transcribe(
            AudioInput { samples: &decoded.samples, speech: speech.as_deref() },
            &options,
            JobContext::unscheduled(&CancelFlag::new()),
            &mut (),
        )?;
        let seconds = start.elapsed().as_secs_f64();
        eprintln!("{file}: {seconds:.2} s for {:.2} s", transcript.duration_s);
        let segments: Vec<_> = transcript
            .segments
            .iter()
            .map(|s| {
                let words: Vec<_> =
                    s.words.iter().map(|w| json!([w.text, w.start_s, w.end_s, w.probability])).collect();
                let stats = s.decoding.as_ref();
                json!({"start": s.start_s, "end": s.end_s, "text": s.text,
                    "avg_logprob": stats.map(|stats| stats.avg_logprob),
                    "no_speech_prob": stats.map(|stats| stats.no_speech_prob),
                    "temperature": stats.map(|stats| stats.temperature),
                    "compression_ratio": stats.map(|stats| stats.compression_ratio), "words": words})
            })
            .collect();
        println!(
            "{}",
            json!({"file": file, "text": transcript.text(), "language": transcript.language,
                "seconds": seconds, "segments": segments})
        );
    }
    Ok(())
}

/// Speech segments, detected like in the engine.
fn speech(samples: &[f32], options: &VadOptions) -> Vec<Range<usize>> {
    let VadOptions { threshold, prefix_padding_ms, silence_duration_ms } = *options;
    let segmentation =
        vad::Segmentation { threshold, prefix_padding_ms, silence_duration_ms, ..vad::Segmentation::PHRASES };
    vad::speech_segments(samples, &segmentation)
}
