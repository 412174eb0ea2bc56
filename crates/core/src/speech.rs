//! Options, results and the trait of text-to-speech models.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use crate::{JobContext, ModelError, SpeechCapabilities};

/// One request's options. The command line and the HTTP routes start from [`Default`].
#[derive(Clone, Debug, PartialEq)]
pub struct SpeechOptions {
    /// Name of the voice; `None` is the model's own default.
    pub voice: Option<String>,
    /// Instructions on tone and manner.
    pub instructions: Option<String>,
    /// Speed: 1 is the voice's normal speed, 2 twice as fast. Within [`SpeechOptions::SPEEDS`].
    pub speed: f32,
    /// Random seed; equal seeds give equal samples.
    pub seed: u64,
    /// Reference audio of a voice to clone.
    pub reference: Option<ReferenceAudio>,
    /// Let the model insert pauses and laughter into the text first.
    pub refine_text: bool,
    /// Verbalize numbers, dates, money and units; off leaves them as they are written.
    pub normalize_text: bool,
}

/// Reference audio of a voice to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct ReferenceAudio {
    /// Mono samples at the model's sample rate.
    pub samples: Arc<[f32]>,
    /// Its transcript.
    pub transcript: String,
}

impl SpeechOptions {
    /// The allowed speeds.
    pub const SPEEDS: RangeInclusive<f32> = 0.25..=4.0;

    /// Refuses values that no model accepts.
    ///
    /// # Errors
    /// [`ModelError::InvalidOption`] names the value and its limits.
    pub fn check(&self) -> Result<(), ModelError> {
        if Self::SPEEDS.contains(&self.speed) {
            return Ok(());
        }
        let (slowest, fastest) = (Self::SPEEDS.start(), Self::SPEEDS.end());
        let reason = format!("speed {} is outside {slowest} to {fastest}", self.speed);
        Err(ModelError::InvalidOption { name: "speed", reason })
    }
}

impl Default for SpeechOptions {
    fn default() -> Self {
        Self {
            voice: None,
            instructions: None,
            speed: 1.0,
            seed: 0,
            reference: None,
            refine_text: false,
            normalize_text: true,
        }
    }
}

/// A spoken word with its times in the audio.
#[derive(Clone, Debug, PartialEq)]
pub struct SpokenWord {
    /// The word as written.
    pub text: String,
    /// Its range in the text, in bytes.
    pub range: Range<usize>,
    /// Start, seconds.
    pub start_s: f64,
    /// End, seconds.
    pub end_s: f64,
}

/// Size of a synthesis in the model's own units, for usage reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenCounts {
    /// Input units, such as text tokens or phonemes.
    pub input: u64,
    /// Output units, such as audio tokens or frames.
    pub output: u64,
}

/// Receives a model's speech. Called on the thread that computes.
pub trait AudioSink {
    /// The next samples, mono, at the model's rate. May block until the reader is ready.
    ///
    /// # Errors
    /// If the reader is gone. The model then stops with this error.
    fn samples(&mut self, samples: &[f32]) -> Result<(), ModelError>;

    /// A word whose samples were passed before or come next. Words come in the order of the text.
    fn word(&mut self, _word: SpokenWord) {}

    /// Number of bytes of the text spoken so far.
    fn progress(&mut self, _bytes: usize) {}
}

/// A loaded text-to-speech model, shared by all jobs.
pub trait Synthesizer: Send + Sync {
    /// The options that it supports.
    fn capabilities(&self) -> SpeechCapabilities;

    /// Sample rate of its output.
    fn sample_rate_hz(&self) -> u32;

    /// Bytes of weights in memory; 0 if unknown.
    fn weight_bytes(&self) -> u64 {
        0
    }

    /// Synthesizes a text of any length. Computes only under `context`'s step permits, streams samples, and stops
    /// within one step of being cancelled. The caller leaves out options that its capabilities exclude.
    ///
    /// # Errors
    /// For a value or a text that the model cannot use, [`ModelError::Cancelled`], and errors of `sink`.
    fn synthesize(
        &self,
        text: &str,
        options: &SpeechOptions,
        context: JobContext<'_>,
        sink: &mut dyn AudioSink,
    ) -> Result<TokenCounts, ModelError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_speeds_within_the_limits_are_accepted() {
        for (speed, allowed) in [(1.0, true), (0.25, true), (4.0, true), (0.2, false), (4.1, false)] {
            let options = SpeechOptions { speed, ..SpeechOptions::default() };
            assert_eq!(options.check().is_ok(), allowed, "{speed}");
        }
        let error = SpeechOptions { speed: f32::NAN, ..SpeechOptions::default() }.check().unwrap_err();
        assert_eq!(error.to_string(), "speed NaN is outside 0.25 to 4");
    }
}
