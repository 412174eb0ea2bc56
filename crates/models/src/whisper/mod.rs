//! Whisper (arXiv:2212.04356): speech recognition and translation to English.
//!
//! `config` and `weights` load, `encoder` and `decoder` compute one window, `step` is what the search sees of them,
//! `decode` chooses tokens, `transcribe` walks through a recording window by window and finds word times.

use std::path::Path;

use mynah_audio::mel::LogMel;
use mynah_text::whisper_tokenizer::WhisperTokenizer;

use crate::{Control, Error, Observer, TranscribeOptions, Transcript};

pub mod checkpoint;
pub mod config;
mod decode;
mod decoder;
mod encoder;
mod key_values;
mod padding;
mod padding_file;
#[cfg(test)]
mod reference_tests;
mod session;
pub mod step;
mod steps;
mod transcribe;
mod weights;

pub use checkpoint::Checkpoint;
pub use config::Config;
use padding_file::PaddingFile;
pub use step::{Alignment, Network, WindowDecoder};
pub use transcribe::transcribe;

/// Precision of the weights at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Compute {
    /// What is fastest here within 0.2 points of f32's error rate.
    #[default]
    Auto,
    /// 32-bit floats throughout.
    F32,
    /// Weights kept in 16-bit floats, arithmetic in 32.
    F16,
    /// Weights in integers with a scale a row, of 8 bits where they have to be read in every step.
    Int8,
}

/// A loaded model: immutable, shared by all its jobs.
pub struct Whisper {
    model: session::Model,
    tokenizer: WhisperTokenizer,
    mel: LogMel,
    compute: Compute,
}

impl Whisper {
    /// Loads a checkpoint in any format that [`Checkpoint::open`] knows.
    pub fn load(path: &Path, compute: Compute) -> Result<Self, Error> {
        let Checkpoint { config, tokenizer, tensors, .. } = Checkpoint::open(path)?;
        let weights = weights::Weights::load(&tensors, &config, compute)?;
        let mel = LogMel::new(config.n_mels);
        Ok(Self { model: session::Model::new(config, weights), tokenizer, mel, compute })
    }

    /// Keeps what the model makes of padding in this folder, where the next process that loads the checkpoint at `path`
    /// finds it. Whatever fails is computed instead.
    #[must_use]
    pub fn with_padding_kept_in(mut self, folder: &Path, path: &Path) -> Self {
        self.model.padding_file = PaddingFile::new(folder, path, self.compute);
        self
    }

    /// Sizes and token lists.
    pub fn config(&self) -> &Config {
        &self.model.config
    }

    /// Bytes of weights in memory.
    pub fn weight_bytes(&self) -> usize {
        self.model.weights.bytes()
    }

    /// Vocabulary.
    pub fn tokenizer(&self) -> &WhisperTokenizer {
        &self.tokenizer
    }

    /// The network alone: windows and steps.
    pub fn network(&self) -> &dyn Network {
        &self.model
    }

    /// Whether the model knows languages and can translate.
    pub fn is_multilingual(&self) -> bool {
        self.model.config.is_multilingual()
    }

    /// Transcribes 16 kHz mono samples. Segments are told to `observer` as they become final.
    pub fn transcribe(
        &self,
        samples: &[f32],
        options: &TranscribeOptions,
        control: Control<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Transcript, Error> {
        let Self { model, tokenizer, mel, .. } = self;
        transcribe(model, &model.config, tokenizer, mel, samples, options, control, observer)
    }
}
