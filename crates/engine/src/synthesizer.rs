//! What the engine asks of a text-to-speech model.

use std::path::Path;
use std::sync::Arc;

use mynah_models::chattts::{LoadOptions, StatisticsSource};
use mynah_models::{
    CancelFlag, ChatTts, Error, Hibari, Listener, SpeechOptions, TokenCounts, chattts, hibari,
};

use crate::{Ability, Settings};

/// A loaded text-to-speech model, shared by all jobs.
pub trait Synthesizer: Send + Sync {
    /// Rate of the samples that it makes.
    fn sample_rate_hz(&self) -> u32;

    /// Bytes of weights in memory; 0 where that is not known.
    fn bytes(&self) -> u64 {
        0
    }

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

    fn bytes(&self) -> u64 {
        Hibari::bytes(self) as u64
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

impl Synthesizer for ChatTts {
    fn sample_rate_hz(&self) -> u32 {
        chattts::SAMPLE_RATE
    }

    fn bytes(&self) -> u64 {
        ChatTts::bytes(self) as u64
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

/// The family of the checkpoint at a path, by the names of its files.
pub fn family_of_checkpoint(path: &Path) -> &'static str {
    if Hibari::is_at(path) {
        "hibari"
    } else if ChatTts::is_at(path) {
        "ChatTTS"
    } else {
        "whisper"
    }
}

impl Ability {
    /// What the checkpoint at a path can do, by the names of its files.
    pub fn of_checkpoint(path: &Path) -> Self {
        if family_of_checkpoint(path) == "whisper" { Ability::Audio2text } else { Ability::Text2audio }
    }
}

/// Makes a model of the checkpoint at a path.
pub type LoadSynthesizer = dyn Fn(&Path, &Settings) -> Result<Arc<dyn Synthesizer>, Error> + Send + Sync;

/// Loads a ChatTTS checkpoint, or else a folder of hibari voices.
pub(crate) fn load_synthesizer(path: &Path, settings: &Settings) -> Result<Arc<dyn Synthesizer>, Error> {
    if !ChatTts::is_at(path) {
        return Ok(Arc::new(Hibari::load(path)?));
    }
    let voices = Some(settings.home.join("voices"));
    let model =
        ChatTts::load(path, &LoadOptions { compute: settings.compute, voices, ..LoadOptions::default() })?;
    match model.statistics_source() {
        StatisticsSource::File(file) => tracing::debug!("speaker statistics from {}", file.display()),
        StatisticsSource::Fallback => tracing::warn!(
            "this ChatTTS has no speaker statistics (asset/spk_stat.pt or asset/spk_stat.txt): seeded and named voices \
             are drawn by a fallback, and are not those of other programs"
        ),
    }
    Ok(Arc::new(model))
}
