//! Voice activity detection: turns the scores of a small network into speech segments.
//!
//! The `earshot` crate scores each 16 ms for speech. Here each recording is scored at two normalised levels, hysteresis
//! prevents short interruptions of a segment, pauses shorter than a limit do not end it, and segments that are too short
//! or never reach a high score are dropped.

use std::ops::Range;

use earshot::Detector;

use crate::SAMPLE_RATE;

/// Samples per score: 16 ms.
const FRAME: usize = 256;

/// How scores become speech segments.
#[derive(Clone, Debug, PartialEq)]
pub struct Segmentation {
    /// Score at which a segment starts, 0 to 1.
    pub threshold: f32,
    /// Audio kept before each segment, in milliseconds.
    pub prefix_padding_ms: u32,
    /// Audio kept after each segment, in milliseconds.
    pub suffix_padding_ms: u32,
    /// Pause that ends a segment, in milliseconds.
    pub silence_duration_ms: u32,
    /// Minimum length of a segment, in milliseconds.
    pub min_speech_ms: u32,
}

impl Segmentation {
    /// Segments that end where a speaker pauses: for cutting recordings of which all is transcribed.
    pub const PHRASES: Self = Self {
        threshold: 0.5,
        prefix_padding_ms: 300,
        suffix_padding_ms: 200,
        silence_duration_ms: 500,
        min_speech_ms: 100,
    };
}

/// A segment lasts until the score falls this far below the threshold, and must reach this far above it once.
const HYSTERESIS: f32 = 0.15;
/// Upper limit of the score that a segment must reach, as clear speech may not exceed it.
const MAX_CERTAIN_SCORE: f32 = 0.9;

/// The speech segments of 16 kHz mono `samples`: sample ranges, in order, without overlap.
pub fn speech_segments(samples: &[f32], options: &Segmentation) -> Vec<Range<usize>> {
    let scores = scores(samples);
    let frames = |ms: u32| (ms as usize * SAMPLE_RATE as usize / 1000).div_ceil(FRAME);
    let runs = speech_runs(
        &scores,
        options.threshold,
        frames(options.silence_duration_ms),
        frames(options.min_speech_ms),
    );
    let padded =
        pad(&runs, scores.len(), frames(options.prefix_padding_ms), frames(options.suffix_padding_ms));
    padded.into_iter().map(|frames| frames.start * FRAME..(frames.end * FRAME).min(samples.len())).collect()
}

/// Levels at which a recording is scored, as root mean square of its louder parts: once like close speech, once
/// like distant speech. The network takes steady noise and music for speech at some levels only, but speech at all levels.
const LEVELS: [f32; 2] = [0.1, 0.006];
/// Maximum gain for quiet recordings: above it only the recorder's noise is amplified.
const MAX_GAIN: f32 = 300.0;

/// Speech score of each frame, the mean over [`LEVELS`]; the last frame is padded with zeros.
fn scores(samples: &[f32]) -> Vec<f32> {
    let level = level(samples);
    let mut scores = vec![0.0; samples.len().div_ceil(FRAME)];
    for wanted in LEVELS {
        let gain = if level > 0.0 { (wanted / level).min(MAX_GAIN) } else { 1.0 };
        let mut detector = Detector::default();
        let mut frame = [0.0; FRAME];
        for (score, chunk) in scores.iter_mut().zip(samples.chunks(FRAME)) {
            frame.fill(0.0);
            for (slot, sample) in frame.iter_mut().zip(chunk) {
                let sample = sample * gain;
                *slot = if sample.is_finite() { sample.clamp(-1.0, 1.0) } else { 0.0 };
            }
            *score += detector.predict_f32(&frame) / LEVELS.len() as f32;
        }
    }
    scores
}

/// Level of the louder frames: the 90th percentile of the frames' root mean square, so that pauses have no influence.
fn level(samples: &[f32]) -> f32 {
    let mut energies: Vec<f32> = samples
        .chunks(FRAME)
        .map(|frame| frame.iter().map(|x| x * x).sum::<f32>() / frame.len() as f32)
        .collect();
    let Some(at) = energies.len().checked_sub(1 + energies.len() / 10) else { return 0.0 };
    let (_, loud, _) = energies.select_nth_unstable_by(at, f32::total_cmp);
    let level = loud.sqrt();
    if level.is_finite() { level } else { 0.0 }
}

/// Runs of frames with speech: applies hysteresis, closes short pauses, and drops short and uncertain runs.
fn speech_runs(scores: &[f32], threshold: f32, silence: usize, min_speech: usize) -> Vec<Range<usize>> {
    let release = (threshold - HYSTERESIS).max(0.01);
    let mut runs: Vec<Range<usize>> = Vec::new();
    let mut begin = None;
    for (at, &score) in scores.iter().chain(&[0.0]).enumerate() {
        match begin {
            None if score >= threshold => begin = Some(at),
            Some(start) if score < release => {
                match runs.last_mut() {
                    Some(last) if start - last.end < silence => last.end = at,
                    _ => runs.push(start..at),
                }
                begin = None;
            }
            _ => {}
        }
    }
    let certain = (threshold + HYSTERESIS).min(MAX_CERTAIN_SCORE);
    runs.retain(|run| run.len() >= min_speech && scores[run.clone()].iter().any(|&score| score >= certain));
    runs
}

/// Pads runs; if two would overlap, they share the gap.
fn pad(runs: &[Range<usize>], len: usize, before: usize, after: usize) -> Vec<Range<usize>> {
    let mut padded: Vec<Range<usize>> = Vec::with_capacity(runs.len());
    for (at, run) in runs.iter().enumerate() {
        let next = runs.get(at + 1).map_or(len, |next| next.start.saturating_sub(before));
        let floor = padded.last().map_or(0, |last| last.end);
        let end = (run.end + after).min(len).min(next.max(run.end));
        padded.push(run.start.saturating_sub(before).max(floor)..end);
    }
    padded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(ranges: &[Range<usize>]) -> Vec<(usize, usize)> {
        ranges.iter().map(|range| (range.start, range.end)).collect()
    }

    #[test]
    fn a_dip_above_the_release_and_a_short_pause_do_not_end_a_run() {
        let scores = [0.1, 0.9, 0.4, 0.9, 0.1, 0.1, 0.9, 0.1, 0.1, 0.1, 0.1, 0.9, 0.1];
        assert_eq!(bounds(&speech_runs(&scores, 0.5, 3, 1)), [(1, 7), (11, 12)]);
    }

    #[test]
    fn short_and_uncertain_runs_are_dropped() {
        let scores = [0.9, 0.0, 0.0, 0.55, 0.6, 0.55, 0.0, 0.0, 0.9, 0.9, 0.9];
        assert_eq!(bounds(&speech_runs(&scores, 0.5, 1, 2)), [(8, 11)]);
    }

    #[test]
    fn padding_stays_inside_and_never_overlaps() {
        let padded = |runs: &[(usize, usize)], len, before, after| {
            let runs: Vec<_> = runs.iter().map(|&(start, end)| start..end).collect();
            bounds(&pad(&runs, len, before, after))
        };
        assert_eq!(padded(&[(2, 4), (8, 10)], 11, 3, 3), [(0, 5), (5, 11)]);
        assert_eq!(padded(&[(5, 6)], 20, 2, 4), [(3, 10)]);
        assert_eq!(padded(&[(2, 4), (5, 6)], 11, 3, 3), [(0, 4), (4, 9)]);
    }

    #[test]
    fn silence_tones_and_noise_are_not_speech() {
        let second = SAMPLE_RATE as usize;
        let tone = (0..5 * second).map(|n| (n as f32 * 0.4).sin() * 0.3).collect();
        let mut state = 1u32;
        let noise = (0..5 * second)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / 8_388_608.0 - 1.0
            })
            .collect();
        let cases: [(&str, Vec<f32>); 4] =
            [("nothing", vec![]), ("silence", vec![0.0; 5 * second]), ("tone", tone), ("noise", noise)];
        for (name, samples) in cases {
            for gain in [1.0, 0.01] {
                let samples: Vec<f32> = samples.iter().map(|x| x * gain).collect();
                assert_eq!(speech_segments(&samples, &Segmentation::PHRASES), [], "{name} at {gain}");
            }
        }
    }

    #[test]
    fn voiced_syllables_between_pauses_are_found_at_any_loudness() {
        // 1 s of pause, 2 s of syllables, 2 s of pause.
        let mut samples = vec![0.0; SAMPLE_RATE as usize];
        samples.extend(syllables(2.0));
        samples.resize(5 * SAMPLE_RATE as usize, 0.0);
        for gain in [1.0, 0.01] {
            let samples: Vec<f32> = samples.iter().map(|x| x * gain).collect();
            let options =
                Segmentation { prefix_padding_ms: 0, suffix_padding_ms: 0, ..Segmentation::PHRASES };
            let found = speech_segments(&samples, &options);
            let ([first, ..], [.., last]) = (&found[..], &found[..]) else {
                panic!("nothing found at {gain}")
            };
            let (start, end) = (first.start as f32 / 16e3, last.end as f32 / 16e3);
            assert!((start - 1.0).abs() < 0.25 && (end - 3.0).abs() < 0.35, "{start} to {end} s at {gain}");
        }
    }

    /// Something like "aia aia": pulses at a falling pitch through two gliding resonances, four syllables per second.
    fn syllables(seconds: f32) -> Vec<f32> {
        let rate = SAMPLE_RATE as f32;
        let (mut phase, mut low, mut high) = (0.0, [0.0; 2], [0.0; 2]);
        (0..(seconds * rate) as usize)
            .map(|n| {
                let t = n as f32 / rate;
                phase += (140.0 - 15.0 * t + 10.0 * (t * 9.0).sin()) / rate;
                let pulse = if phase >= 1.0 { 1.0 } else { 0.0 };
                phase -= phase.floor();
                let glide = (t * 12.0).sin();
                let voice = resonate(&mut low, pulse, 550.0 - 200.0 * glide, 80.0)
                    + 0.5 * resonate(&mut high, pulse, 1500.0 + 500.0 * glide, 120.0);
                voice * 0.1 * (0.15 + (t * 4.0 * std::f32::consts::PI).sin().abs())
            })
            .collect()
    }

    fn resonate(state: &mut [f32; 2], input: f32, hertz: f32, width: f32) -> f32 {
        let rate = SAMPLE_RATE as f32;
        let radius = (-std::f32::consts::PI * width / rate).exp();
        let angle = std::f32::consts::TAU * hertz / rate;
        let output = input + 2.0 * radius * angle.cos() * state[0] - radius * radius * state[1];
        *state = [output, state[0]];
        output
    }
}
