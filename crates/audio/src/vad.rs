//! Where somebody speaks: scores of a small network, made into stretches.
//!
//! The `earshot` crate scores each 16 ms for speech. Around it: quiet recordings are raised first, hysteresis keeps a
//! stretch from flickering, pauses shorter than a limit do not end it, and what is too short to be a word is dropped.

use std::ops::Range;

use earshot::Detector;

use crate::SAMPLE_RATE;

/// Samples a score is for: 16 ms.
const FRAME: usize = 256;

/// How scores become stretches of speech.
#[derive(Clone, Debug, PartialEq)]
pub struct VadOptions {
    /// Score from which speech begins, 0 to 1. Default: 0.5.
    pub threshold: f32,
    /// Sound kept before each stretch, in milliseconds. Default: 300.
    pub prefix_padding_ms: u32,
    /// Sound kept behind each stretch, in milliseconds. Default: 200.
    pub suffix_padding_ms: u32,
    /// Pause that ends a stretch, in milliseconds. Default: 500.
    pub silence_duration_ms: u32,
    /// Speech that makes a stretch worth keeping, in milliseconds. Default: 100.
    pub min_speech_ms: u32,
    /// Longest stretch in seconds; longer ones are split where they are quietest. Default: no limit.
    pub max_speech_s: f32,
}

impl Default for VadOptions {
    fn default() -> Self {
        Self {
            threshold: 0.5,
            prefix_padding_ms: 300,
            suffix_padding_ms: 200,
            silence_duration_ms: 500,
            min_speech_ms: 100,
            max_speech_s: f32::INFINITY,
        }
    }
}

/// Speech goes on until the score falls this far below the threshold.
const HYSTERESIS: f32 = 0.15;

/// The stretches of 16 kHz mono `samples` in which somebody speaks: sample ranges, in order, without overlap.
pub fn speech_stretches(samples: &[f32], options: &VadOptions) -> Vec<Range<usize>> {
    let scores = scores(samples);
    let frames = |ms: u32| (ms as usize * SAMPLE_RATE as usize / 1000).div_ceil(FRAME);
    let spoken = spoken(
        &scores,
        options.threshold,
        frames(options.silence_duration_ms),
        frames(options.min_speech_ms),
    );
    let padded =
        pad(&spoken, scores.len(), frames(options.prefix_padding_ms), frames(options.suffix_padding_ms));
    let most = if options.max_speech_s.is_finite() {
        ((options.max_speech_s.max(1.0) * SAMPLE_RATE as f32) as usize / FRAME).max(1)
    } else {
        usize::MAX
    };
    let mut stretches = Vec::new();
    for stretch in padded {
        split(stretch, most, &scores, &mut stretches);
    }
    stretches
        .into_iter()
        .map(|frames| frames.start * FRAME..(frames.end * FRAME).min(samples.len()))
        .collect()
}

/// Loudness that quiet recordings are raised to, as root mean square of their louder parts.
const LEVEL: f32 = 0.05;
/// Most they are raised by: beyond that it is the noise of the recorder.
const MOST_GAIN: f32 = 300.0;

/// Speech score of each frame, the last one filled up with zeros.
fn scores(samples: &[f32]) -> Vec<f32> {
    let gain = gain(samples);
    let mut detector = Detector::default();
    let mut frame = [0.0; FRAME];
    samples
        .chunks(FRAME)
        .map(|chunk| {
            frame.fill(0.0);
            for (slot, sample) in frame.iter_mut().zip(chunk) {
                *slot = (sample * gain).clamp(-1.0, 1.0);
            }
            detector.predict_f32(&frame)
        })
        .collect()
}

/// What to multiply by: by the energy of the loudest tenth of the frames, so that pauses do not count.
fn gain(samples: &[f32]) -> f32 {
    let mut energies: Vec<f32> = samples
        .chunks(FRAME)
        .map(|frame| frame.iter().map(|x| x * x).sum::<f32>() / frame.len() as f32)
        .collect();
    let Some(at) = energies.len().checked_sub(1 + energies.len() / 10) else { return 1.0 };
    let (_, loud, _) = energies.select_nth_unstable_by(at, f32::total_cmp);
    let level = loud.sqrt();
    if level > 0.0 && level.is_finite() { (LEVEL / level).clamp(1.0, MOST_GAIN) } else { 1.0 }
}

/// Runs of frames with speech: hysteresis, pauses closed, short ones dropped.
fn spoken(scores: &[f32], threshold: f32, silence: usize, min_speech: usize) -> Vec<Range<usize>> {
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
    runs.retain(|run| run.len() >= min_speech);
    runs
}

/// Widens runs; where two would meet, the gap is shared out.
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

/// Cuts a stretch until no piece is longer than `most`, where the score is lowest in the second half of each piece.
fn split(mut stretch: Range<usize>, most: usize, scores: &[f32], out: &mut Vec<Range<usize>>) {
    while stretch.len() > most {
        let window = stretch.start + most.div_ceil(2)..stretch.start + most;
        let cut = window.clone().min_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap_or(window.end);
        out.push(stretch.start..cut);
        stretch.start = cut;
    }
    out.push(stretch);
}
