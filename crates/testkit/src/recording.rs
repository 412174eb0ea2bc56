//! Synthetic recordings that voice activity detection classifies as speech.

use std::f32::consts::{PI, TAU};

/// Samples per second.
pub const RATE_HZ: u32 = 16_000;

/// Alternating syllables and silence of these lengths in seconds; mono.
pub fn syllables_and_pauses(parts_s: &[(f32, f32)]) -> Vec<f32> {
    let mut samples = Vec::new();
    for (syllables_s, pause_s) in parts_s {
        samples.extend(syllables(*syllables_s));
        samples.resize(samples.len() + (pause_s * RATE_HZ as f32) as usize, 0.0);
    }
    samples
}

/// Something like "aia aia": pulses at a falling pitch through two gliding resonances, four syllables per second.
fn syllables(seconds: f32) -> Vec<f32> {
    let rate = RATE_HZ as f32;
    let (mut phase, mut low, mut high) = (0.0, [0.0; 2], [0.0; 2]);
    (0..(seconds * rate) as usize)
        .map(|n| {
            // The pitch restarts with every phrase of two seconds.
            let t = n as f32 / rate % 2.0;
            phase += (140.0 - 15.0 * t + 10.0 * (t * 9.0).sin()) / rate;
            let pulse = if phase >= 1.0 { 1.0 } else { 0.0 };
            phase -= phase.floor();
            let glide = (t * 12.0).sin();
            let voice = resonate(&mut low, pulse, 550.0 - 200.0 * glide, 80.0)
                + 0.5 * resonate(&mut high, pulse, 1500.0 + 500.0 * glide, 120.0);
            voice * 0.1 * (0.15 + (t * 4.0 * PI).sin().abs())
        })
        .collect()
}

/// A two-pole resonance.
fn resonate(state: &mut [f32; 2], input: f32, hertz: f32, width: f32) -> f32 {
    let rate = RATE_HZ as f32;
    let radius = (-PI * width / rate).exp();
    let angle = TAU * hertz / rate;
    let output = input + 2.0 * radius * angle.cos() * state[0] - radius * radius * state[1];
    *state = [output, state[0]];
    output
}

/// A wav file of 16-bit samples.
pub fn wav(samples: &[f32]) -> Vec<u8> {
    let data_bytes = 2 * samples.len() as u32;
    let mut file = Vec::with_capacity(44 + data_bytes as usize);
    file.extend(b"RIFF");
    file.extend((36 + data_bytes).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    file.extend([1_u16, 1].map(u16::to_le_bytes).concat());
    file.extend([RATE_HZ, 2 * RATE_HZ].map(u32::to_le_bytes).concat());
    file.extend([2_u16, 16].map(u16::to_le_bytes).concat());
    file.extend(b"data");
    file.extend(data_bytes.to_le_bytes());
    file.extend(
        samples.iter().flat_map(|sample| ((sample.clamp(-1.0, 1.0) * 32_767.0) as i16).to_le_bytes()),
    );
    file
}
