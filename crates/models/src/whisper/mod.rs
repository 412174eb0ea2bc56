//! Whisper (arXiv:2212.04356): speech recognition and translation to English.
//!
//! `config` and `weights` load; `encoder` and `decoder` compute one window; `backend` is the interface through which the search
//! sees them; `search` chooses tokens; `transcribe` goes through a recording window by window and aligns words.

pub mod backend;
pub mod checkpoint;
pub mod config;
mod decoder;
mod encoder;
mod files;
mod key_values;
mod padding;
mod padding_file;
#[cfg(test)]
mod reference_tests;
mod search;
mod session;
mod transcribe;
mod weights;

use std::path::Path;
use std::sync::Arc;

use mynah_audio::mel::LogMel;
use mynah_core::{
    AudioInput, Capabilities, ComputeType, JobContext, LoadContext, Model, ModelError, ModelFamily,
    ModelTask, Timestamps, TranscribeOptions, Transcriber, Transcript, TranscriptSink,
    TranscriptionCapabilities,
};
use mynah_text::whisper_tokenizer::WhisperTokenizer;

pub use backend::{Alignment, DecoderState, EncoderContext, WhisperBackend};
pub use checkpoint::Checkpoint;
pub use config::Config;

use padding_file::PaddingFile;
use transcribe::{WhisperModel, transcribe};

/// A loaded model: immutable, shared by all its jobs.
pub struct Whisper {
    model: session::Model,
    tokenizer: WhisperTokenizer,
    mel: LogMel,
    compute: ComputeType,
}

impl Whisper {
    /// Loads a checkpoint in any format that [`Checkpoint::open`] knows.
    pub fn load(path: &Path, compute: ComputeType) -> Result<Self, ModelError> {
        let Checkpoint { config, tokenizer, tensors, .. } = Checkpoint::open(path)?;
        let weights = weights::Weights::load(&tensors, &config, compute)?;
        let mel = LogMel::new(config.n_mels);
        Ok(Self { model: session::Model::new(config, weights), tokenizer, mel, compute })
    }

    /// Caches the keys and values of padding in this folder for the next process that loads the checkpoint at `path`. If the
    /// cache cannot be read or written they are computed.
    #[must_use]
    pub fn with_padding_cache(mut self, folder: &Path, path: &Path) -> Self {
        self.model.padding_file = PaddingFile::new(folder, path, self.compute);
        self
    }

    /// Sizes and token lists.
    pub fn config(&self) -> &Config {
        &self.model.config
    }

    /// The tokenizer with its vocabulary.
    pub fn tokenizer(&self) -> &WhisperTokenizer {
        &self.tokenizer
    }

    /// The model without its tokenizer: encodes windows and runs decoder steps.
    pub fn backend(&self) -> &dyn WhisperBackend {
        &self.model
    }
}

impl Transcriber for Whisper {
    fn capabilities(&self) -> TranscriptionCapabilities {
        let codes = self.tokenizer.language_tokens().into_iter().map(|(code, _)| code.to_owned());
        capabilities(if self.model.config.is_multilingual() {
            codes.collect()
        } else {
            vec!["en".to_owned()]
        })
    }

    fn weight_bytes(&self) -> u64 {
        self.model.weights.bytes() as u64
    }

    fn transcribe(
        &self,
        audio: AudioInput<'_>,
        options: &TranscribeOptions,
        context: JobContext<'_>,
        sink: &mut dyn TranscriptSink,
    ) -> Result<Transcript, ModelError> {
        let Self { model, tokenizer, mel, .. } = self;
        let model = WhisperModel { backend: model, config: &model.config, tokenizer, mel };
        transcribe(&model, audio, options, context, sink)
    }
}

/// Capabilities of a model of these languages; an empty list means all of Whisper's.
fn capabilities(languages: Vec<String>) -> TranscriptionCapabilities {
    TranscriptionCapabilities {
        translates: languages.len() != 1,
        languages,
        timestamps: Timestamps::Word,
        initial_prompt: true,
        hotwords: true,
        logprobs: true,
        whisper_decoding: true,
        first_result_s: 30.0,
    }
}

/// The family of Whisper's models.
#[derive(Clone, Copy, Debug)]
pub struct WhisperFamily;

impl ModelFamily for WhisperFamily {
    fn name(&self) -> &'static str {
        "whisper"
    }

    fn task(&self) -> ModelTask {
        ModelTask::Transcription
    }

    fn capabilities(&self, languages: &[String]) -> Capabilities {
        // A fine-tune of a multilingual model accepts other languages than the listed ones; its vocabulary is known only once
        // it is loaded.
        let translates = languages.len() != 1;
        Capabilities::Transcription(TranscriptionCapabilities { translates, ..capabilities(Vec::new()) })
    }

    fn detect(&self, path: &Path) -> Result<bool, ModelError> {
        checkpoint::is_at(path)
    }

    fn select_files<'a>(&self, names: &[&'a str]) -> Result<Vec<&'a str>, &'static str> {
        files::select(names)
    }

    fn load(&self, path: &Path, context: &LoadContext) -> Result<Model, ModelError> {
        let whisper = Whisper::load(path, context.compute)?.with_padding_cache(&context.cache, path);
        Ok(Model::Transcriber(Arc::new(whisper)))
    }
}
