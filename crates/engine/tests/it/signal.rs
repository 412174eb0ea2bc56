//! Recordings made here, and what is heard where nobody speaks.

use mynah_core::{Task, Transcript};

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
    const RATE_HZ: u32 = 16_000;
    let count = (seconds * f64::from(RATE_HZ)) as u32;
    let mut wav = Vec::new();
    wav.extend(b"RIFF");
    wav.extend((36 + 2 * count).to_le_bytes());
    wav.extend(b"WAVEfmt ");
    wav.extend(16_u32.to_le_bytes());
    wav.extend([1_u16, 1].map(u16::to_le_bytes).concat());
    wav.extend([RATE_HZ, 2 * RATE_HZ].map(u32::to_le_bytes).concat());
    wav.extend([2_u16, 16].map(u16::to_le_bytes).concat());
    wav.extend(b"data");
    wav.extend((2 * count).to_le_bytes());
    for i in 0..count {
        let sample = (f64::from(i) * 440.0 * std::f64::consts::TAU / f64::from(RATE_HZ)).sin();
        wav.extend(((sample * 8000.0) as i16).to_le_bytes());
    }
    wav
}
