//! What every text-to-speech model is asked for and what it answers.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use crate::{JobContext, ModelError, SpeechCapabilities};

/// One request's options. [`Default`] is what the command line and the HTTP routes start from.
#[derive(Clone, Debug, PartialEq)]
pub struct SpeechOptions {
    /// Name of the voice; `None` is the model's own default.
    pub voice: Option<String>,
    /// Tone and manner in words.
    pub instructions: Option<String>,
    /// Pace: 1 as the voice was trained, 2 twice as fast. Within [`SpeechOptions::SPEEDS`].
    pub speed: f32,
    /// Seed of everything random; equal seeds give equal samples.
    pub seed: u64,
    /// A voice to copy.
    pub reference: Option<ReferenceAudio>,
    /// Let the model put pauses and laughter into the text first.
    pub refine_text: bool,
    /// Verbalize numbers, dates, money and units; off leaves them as they are written.
    pub normalize_text: bool,
}

/// A recording of a voice to copy.
#[derive(Clone, Debug, PartialEq)]
pub struct ReferenceAudio {
    /// Mono samples at the rate of the model that is to copy it.
    pub samples: Arc<[f32]>,
    /// What is said in it.
    pub transcript: String,
}

impl SpeechOptions {
    /// The paces that can be asked for.
    pub const SPEEDS: RangeInclusive<f32> = 0.25..=4.0;

    /// Refuses values outside what any model takes.
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

/// A spoken word with its place in the audio.
#[derive(Clone, Debug, PartialEq)]
pub struct SpokenWord {
    /// The word as written.
    pub text: String,
    /// Where it stands in the text that is spoken, in bytes.
    pub range: Range<usize>,
    /// Start, seconds.
    pub start_s: f64,
    /// End, seconds.
    pub end_s: f64,
}

/// What speaking a text cost, in the model's own units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenCounts {
    /// Units of text that the model read.
    pub input: u64,
    /// Units of sound that it made.
    pub output: u64,
}

/// Receives what a model speaks. Called on the thread that computes.
pub trait AudioSink {
    /// The next samples, mono, at the model's rate. May block until the reader wants them.
    ///
    /// # Errors
    /// The reader is gone; the model then stops with this error.
    fn samples(&mut self, samples: &[f32]) -> Result<(), ModelError>;

    /// A word whose samples have been given or come next. Words come in the order of the text.
    fn word(&mut self, _word: SpokenWord) {}

    /// Bytes of the text that have been spoken so far.
    fn progress(&mut self, _bytes: usize) {}
}

/// A loaded text-to-speech model, shared by all jobs.
pub trait Synthesizer: Send + Sync {
    /// What it can be asked for.
    fn capabilities(&self) -> SpeechCapabilities;

    /// Rate of the samples that it makes.
    fn sample_rate_hz(&self) -> u32;

    /// Bytes of weights in memory; 0 where that is not known.
    fn weight_bytes(&self) -> u64 {
        0
    }

    /// Speaks a text of any length. Computes under `context`'s step permits only, gives samples as they are made, and stops
    /// within one step of being cancelled. Options that its capabilities exclude are left out by the caller.
    ///
    /// # Errors
    /// A value or a text that the model cannot use, cancelled, or what `sink` fails with.
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
    fn only_paces_within_the_limits_pass() {
        for (speed, allowed) in [(1.0, true), (0.25, true), (4.0, true), (0.2, false), (4.1, false)] {
            let options = SpeechOptions { speed, ..SpeechOptions::default() };
            assert_eq!(options.check().is_ok(), allowed, "{speed}");
        }
        let error = SpeechOptions { speed: f32::NAN, ..SpeechOptions::default() }.check().unwrap_err();
        assert_eq!(error.to_string(), "speed NaN is outside 0.25 to 4");
    }
}
