//! What every text-to-speech model is asked for and what it answers.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use crate::Error;

mod joiner;

pub use joiner::{Joiner, Pause};

/// One request's options. [`Default`] is what the command line and the HTTP routes start from.
#[derive(Clone, Debug, PartialEq)]
pub struct SpeechOptions {
    /// Name of the voice; `None` is the model's own default.
    pub voice: Option<String>,
    /// Tone and manner in words, for models that follow them; the others refuse them.
    pub instructions: Option<String>,
    /// Pace: 1 as the voice was trained, 2 twice as fast. Within [`SpeechOptions::SPEEDS`].
    pub speed: f32,
    /// Seed of everything random; equal seeds give equal samples.
    pub seed: u64,
    /// A voice to copy, for models that can; the others refuse it.
    pub recording: Option<VoiceRecording>,
    /// Have the model put pauses and laughter into the text first; refused by models that cannot.
    pub refine: bool,
    /// Read out numbers, dates, money and units; off leaves them as they are written, for models that can.
    pub read_out: bool,
}

/// A recording of a voice.
#[derive(Clone, Debug, PartialEq)]
pub struct VoiceRecording {
    /// Mono samples at the rate of the model that is to copy it.
    pub samples: Arc<[f32]>,
    /// What is said in it.
    pub transcript: String,
}

impl SpeechOptions {
    /// The paces that can be asked for.
    pub const SPEEDS: RangeInclusive<f32> = 0.25..=4.0;

    /// Refuses values outside what is allowed.
    ///
    /// # Errors
    /// [`Error::Option`] names the value and its limits.
    pub fn check(&self) -> Result<(), Error> {
        if Self::SPEEDS.contains(&self.speed) {
            return Ok(());
        }
        let (slowest, fastest) = (Self::SPEEDS.start(), Self::SPEEDS.end());
        let reason = format!("speed {} is outside {slowest} to {fastest}", self.speed);
        Err(Error::Option { name: "speed", reason })
    }
}

impl Default for SpeechOptions {
    fn default() -> Self {
        Self {
            voice: None,
            instructions: None,
            speed: 1.0,
            seed: 0,
            recording: None,
            refine: false,
            read_out: true,
        }
    }
}

/// A piece of audio: mono samples, full scale at -1 and 1.
#[derive(Clone, Debug, PartialEq)]
pub struct AudioChunk {
    /// The samples.
    pub samples: Vec<f32>,
    /// Samples a second.
    pub sample_rate: u32,
}

impl AudioChunk {
    /// Length in seconds.
    pub fn duration_s(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.sample_rate)
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

/// Who listens to a model that speaks, and paces it. Called on the thread that computes.
pub trait Listener {
    /// The next samples, mono, at the model's rate. May block until somebody wants them.
    ///
    /// # Errors
    /// Nobody listens any more; the model then stops with this error.
    fn samples(&mut self, samples: &[f32]) -> Result<(), Error>;

    /// A word whose samples have been given or come next. Words come in the order of the text.
    fn word(&mut self, _word: SpokenWord) {}

    /// Bytes of the text that have been spoken so far.
    fn progress(&mut self, _bytes: usize) {}

    /// A piece of the text, a sentence at most, is about to be computed; may block until it is this job's turn.
    fn turn_begins(&mut self) {}

    /// The piece that [`Listener::turn_begins`] announced is done, also when it failed.
    fn turn_ends(&mut self) {}

    /// A step is about to be computed in this job's turn, of so many rows, other jobs' among them.
    fn step(&mut self, _rows: usize) {}
}

/// What speaking a text cost, in the model's own units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenCounts {
    /// Units of text that the model read.
    pub input: u64,
    /// Units of sound that it made.
    pub output: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paces_within_the_limits_pass() {
        for (speed, allowed) in [(1.0, true), (0.25, true), (4.0, true), (0.2, false), (4.1, false)] {
            assert_eq!(
                SpeechOptions { speed, ..SpeechOptions::default() }.check().is_ok(),
                allowed,
                "{speed}"
            );
        }
        let error = SpeechOptions { speed: f32::NAN, ..SpeechOptions::default() }.check().unwrap_err();
        assert_eq!(error.to_string(), "speed NaN is outside 0.25 to 4");
    }
}
