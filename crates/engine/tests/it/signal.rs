//! Synthetic audio, and an empty transcript.

use std::f64::consts::TAU;

use mynah_core::{Task, Transcript};
use mynah_testkit::recording;

/// The transcript of `samples` (16 kHz) that hold no speech.
pub(crate) fn silence(samples: &[f32]) -> Transcript {
    Transcript {
        task: Task::Transcribe,
        language: "en".to_owned(),
        language_probability: 1.0,
        languages: Vec::new(),
        duration_s: samples.len() as f64 / 16_000.0,
        segments: Vec::new(),
    }
}

/// A wav file, 16 kHz mono 16 bit, with a tone of 440 Hz.
pub(crate) fn wav(seconds: f64) -> Vec<u8> {
    let rate_hz = f64::from(recording::RATE_HZ);
    let tone = |i: usize| ((i as f64 * 440.0 * TAU / rate_hz).sin() * 0.25) as f32;
    recording::wav(&(0..(seconds * rate_hz) as usize).map(tone).collect::<Vec<_>>())
}
