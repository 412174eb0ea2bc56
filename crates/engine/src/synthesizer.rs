//! What the engine asks of a text-to-speech model.

use std::path::Path;
use std::sync::Arc;

use mynah_models::{CancelFlag, Error, Hibari, Listener, SpeechOptions, TokenCounts, hibari};

use crate::Ability;

/// A loaded text-to-speech model, shared by all jobs.
pub trait Synthesizer: Send + Sync {
    /// Rate of the samples that it makes.
    fn sample_rate_hz(&self) -> u32;

    /// Speaks a text of any length. Computes between `listener`'s `turn_begins` and `turn_ends` only, gives samples while
    /// they are made, and stops within one step of `cancel`.
    ///
    /// # Errors
    /// An option or a text that the model cannot do, cancelled, or what `listener` fails with.
    fn synthesize(
        &self,
        text: &str,
        options: &SpeechOptions,
        cancel: &CancelFlag,
        listener: &mut dyn Listener,
    ) -> Result<TokenCounts, Error>;
}

impl Synthesizer for Hibari {
    fn sample_rate_hz(&self) -> u32 {
        hibari::SAMPLE_RATE
    }

    fn synthesize(
        &self,
        text: &str,
        options: &SpeechOptions,
        cancel: &CancelFlag,
        listener: &mut dyn Listener,
    ) -> Result<TokenCounts, Error> {
        self.read_aloud(text, options, cancel, listener)
    }
}

impl Ability {
    /// What the checkpoint at a path can do, by the names of its files.
    pub fn of_checkpoint(path: &Path) -> Self {
        if Hibari::is_at(path) { Ability::Text2audio } else { Ability::Audio2text }
    }
}

/// Makes a model of the checkpoint at a path.
pub type LoadSynthesizer = dyn Fn(&Path) -> Result<Arc<dyn Synthesizer>, Error> + Send + Sync;

/// Loads a folder of hibari voices.
pub(crate) fn load_hibari(path: &Path) -> Result<Arc<dyn Synthesizer>, Error> {
    Ok(Arc::new(Hibari::load(path)?))
}
