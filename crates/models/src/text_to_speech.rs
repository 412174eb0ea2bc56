//! What every text-to-speech model is asked for and what it answers.

use std::ops::RangeInclusive;

use crate::Error;

mod joiner;

pub use joiner::{Joiner, Pause};

/// One request's options. [`Default`] is what the command line and the HTTP routes start from.
#[derive(Clone, Debug, PartialEq)]
pub struct SpeechOptions {
    /// Name of the voice; `None` is the model's own default.
    pub voice: Option<String>,
    /// Pace: 1 as the voice was trained, 2 twice as fast. Within [`SpeechOptions::SPEEDS`].
    pub speed: f32,
    /// Seed of everything random; equal seeds give equal samples.
    pub seed: u64,
}

impl SpeechOptions {
    /// The paces that can be asked for.
    pub const SPEEDS: RangeInclusive<f32> = 0.25..=4.0;

    /// Refuses values outside what is allowed.
    ///
    /// # Errors
    /// [`Error::BadInput`] names the value and its limits.
    pub fn check(&self) -> Result<(), Error> {
        if Self::SPEEDS.contains(&self.speed) {
            return Ok(());
        }
        let (slowest, fastest) = (Self::SPEEDS.start(), Self::SPEEDS.end());
        Err(Error::BadInput(format!("speed {} is outside {slowest} to {fastest}", self.speed)))
    }
}

impl Default for SpeechOptions {
    fn default() -> Self {
        Self { voice: None, speed: 1.0, seed: 0 }
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
    /// Start, seconds.
    pub start_s: f64,
    /// End, seconds.
    pub end_s: f64,
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
