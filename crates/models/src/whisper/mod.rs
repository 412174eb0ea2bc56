//! Whisper (arXiv:2212.04356): speech recognition and translation to English.
//!
//! `config` and `weights` load, `encoder` and `decoder` compute one window, `step` is what the search sees of them,
//! `decode` chooses tokens, `transcribe` walks through a recording window by window and finds word times.

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

pub use backend::{Alignment, EncoderContext, Network, WindowDecoder};
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

    /// Vocabulary.
    pub fn tokenizer(&self) -> &WhisperTokenizer {
        &self.tokenizer
    }

    /// The network alone: windows and steps.
    pub fn network(&self) -> &dyn Network {
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
        let model = WhisperModel { network: model, config: &model.config, tokenizer, mel };
        transcribe(&model, audio, options, context, sink)
    }
}

/// What models that know these languages can be asked for; none: all of Whisper's.
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
        // A fine-tune of a multilingual model can be asked for other languages than its own; what it knows shows when it is
        // loaded.
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
        let whisper = Whisper::load(path, context.compute)?.with_padding_kept_in(&context.cache, path);
        Ok(Model::Transcriber(Arc::new(whisper)))
    }
}
