//! ChatTTS: dialogue speech in Chinese and English, written from a description of the published model.
//!
//! A text is normalised (`text_normalization`, `character_map`), cut into pieces (`split`) and put into a prompt (`prompts`,
//! `speaker`). A language model (`gpt`, `generate`, `sampling`) generates four audio codes and a hidden state per step.
//! `codes_to_audio` decodes hidden states to mel spectra (`mel_decoder`) and those to samples (`vocos`). The same language model
//! can first insert pauses and laughter into the text. `dvae` encodes reference audio, whose voice is then continued.
//!
//! Weights, homophones and speaker statistics have licences of their own; none of them is part of the program.

mod character_map;
mod codes_to_audio;
mod config;
mod conv_buffer;
mod convnext;
mod dvae;
mod files;
mod generate;
mod gpt;
mod mel_decoder;
mod prompts;
mod random;
#[cfg(test)]
mod reference_tests;
mod sampling;
mod speaker;
mod speech;
mod split;
mod synthesize;
mod text_normalization;
mod vocos;
mod weights;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use mynah_core::{
    CancelFlag, Capabilities, ComputeType, JobContext, LoadContext, Model, ModelError, ModelFamily, ModelTask,
};
use mynah_kernels::Precision;
use mynah_text::word_piece::WordPiece;

pub use character_map::Language;
pub use config::Config;
pub use generate::Codes;
pub use prompts::Style;
pub use sampling::Sampling;
pub use speaker::strings::{decode_sample, encode_sample, encode_speaker};
pub use speaker::{SavedVoice, StatisticsSource, Voice, VoiceSample};
pub use speech::{Seed, SpeakOptions, Speech};
pub use vocos::SAMPLE_RATE;

use crate::batching::StepBatcher;

use character_map::Homophones;
use codes_to_audio::AudioDecoder;
use dvae::{DvaeDecoder, DvaeEncoder};
use files::{Files, Part};
use generate::{Generation, Step, Target};
use gpt::Gpt;
use mel_decoder::MelDecoder;
use prompts::Tokens;
use sampling::RandomSource;
use speaker::{Statistics, Voices};
use vocos::Vocos;
use weights::Reader;

/// Options of loading a model.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Precision of the weights; `Auto` is 8 bits.
    pub compute: ComputeType,
    /// Folder of the user's saved voices.
    pub voices: Option<PathBuf>,
}

/// A loaded model: immutable, shared by all its jobs.
pub struct ChatTts {
    files: Files,
    vocabulary: WordPiece,
    tokens: Tokens,
    homophones: Homophones,
    voices: Voices,
    statistics_source: StatisticsSource,
    gpt: Gpt,
    decoder: MelDecoder,
    vocos: Vocos,
    batcher: StepBatcher<Step>,
    precision: Precision,
    /// Loaded on first use.
    dvae_encoder: OnceLock<DvaeEncoder>,
    dvae_decoder: OnceLock<DvaeDecoder>,
}

impl ChatTts {
    /// Loads a checkpoint: a folder with `asset/gpt`, `asset/Embed.safetensors` and so on, or in the older layout with
    /// `asset/GPT.pt` and so on. Nothing in a file is executed.
    ///
    /// # Errors
    /// A file is missing or damaged, or a tensor is missing or has another shape; the error names it.
    pub fn load(path: &Path, options: &LoadOptions) -> Result<Self, ModelError> {
        let precision = match options.compute {
            ComputeType::F32 => Precision::F32,
            ComputeType::F16 => Precision::F16,
            ComputeType::Auto | ComputeType::Int8 => Precision::Int8,
        };
        let files = Files::open(path)?;
        let reader = |part| reader(part, precision);
        let (gpt, embed) = (reader(&files.gpt), reader(&files.embed));
        let config = Config::new(&files.settings()?, &gpt, &embed)?;
        let vocabulary = files.vocabulary()?;
        if vocabulary.vocab_size() > config.text_tokens {
            return Err(ModelError::Unsupported(format!(
                "the vocabulary has {} tokens, the model knows {}",
                vocabulary.vocab_size(),
                config.text_tokens
            )));
        }
        let width = config.width;
        let (statistics, statistics_source) = match files.statistics() {
            Some(path) => (Statistics::read(&path, width)?, StatisticsSource::File(path)),
            None => (Statistics::fallback(width), StatisticsSource::Fallback),
        };
        Ok(Self {
            tokens: Tokens::new(&vocabulary)?,
            vocabulary,
            homophones: files
                .homophones()
                .map_or_else(|| Ok(Homophones::new()), |path| files::read_homophones(&path))?,
            voices: Voices { width, statistics, saved: options.voices.clone() },
            statistics_source,
            gpt: Gpt::load(config, &gpt, &embed)?,
            decoder: MelDecoder::load(&reader(&files.decoder))?,
            vocos: Vocos::load(&reader(&files.vocos))?,
            batcher: StepBatcher::default(),
            precision,
            dvae_encoder: OnceLock::new(),
            dvae_decoder: OnceLock::new(),
            files,
        })
    }

    /// Whether a folder looks like a checkpoint of this model, in either layout.
    pub fn is_at(path: &Path) -> bool {
        Files::is_at(path)
    }

    /// Sizes of the language model.
    pub fn config(&self) -> &Config {
        &self.gpt.config
    }

    /// Bytes of weights in memory, without the DVAE, which only reference audio needs.
    pub fn bytes(&self) -> usize {
        self.gpt.bytes() + self.decoder.bytes() + self.vocos.bytes()
    }

    /// Source of the statistics from which seeded voices are drawn.
    pub fn statistics_source(&self) -> &StatisticsSource {
        &self.statistics_source
    }

    /// The voice for `name`: a saved voice, `seed:N`, an encoded speaker (a base16384 string, or the base64
    /// of a tensor saved by PyTorch), or any other name, whose XXH32 hash is the seed; `default` is the empty name.
    ///
    /// # Errors
    /// [`ModelError::InvalidInput`] describes an invalid encoded speaker or seed.
    pub fn voice(&self, name: &str) -> Result<Voice, ModelError> {
        self.voices.find(name)
    }

    /// A voice that continues reference audio: mono samples at 24 kHz and their transcript.
    ///
    /// # Errors
    /// [`ModelError::InvalidInput`] if it is too short or too long, [`ModelError::Unsupported`] if the checkpoint has no DVAE.
    pub fn voice_from_reference(&self, samples: &[f32], transcript: &str) -> Result<Voice, ModelError> {
        const MAX_SECONDS: usize = 60;
        if samples.len() > MAX_SECONDS * SAMPLE_RATE as usize {
            return Err(ModelError::InvalidInput(format!(
                "the reference audio is longer than {MAX_SECONDS} seconds"
            )));
        }
        let codes = self.dvae_encoder()?.encode(samples)?.into();
        let text = speech::prepare(self, transcript, &SpeakOptions::default());
        Ok(Voice { sample: Some(VoiceSample { codes, text }), ..Voice::default() })
    }

    /// Begins to synthesize a text; [`Speech::next_chunk`] returns the samples.
    ///
    /// # Errors
    /// [`ModelError::InvalidInput`] if the text has no words or an option is outside its limits.
    pub fn begin(
        &self,
        text: &str,
        options: SpeakOptions,
        cancel: &CancelFlag,
    ) -> Result<Speech<'_>, ModelError> {
        Speech::new(self, text, options, cancel)
    }

    /// Decodes codes to samples through the DVAE, as in the model's first release.
    ///
    /// # Errors
    /// [`ModelError::InvalidInput`] for an invalid code, [`ModelError::Unsupported`] if the checkpoint has no DVAE.
    pub fn decode_codes(&self, codes: &[Codes]) -> Result<Vec<f32>, ModelError> {
        if codes.iter().flatten().any(|&code| code >= self.gpt.config.stop_code()) {
            return Err(ModelError::InvalidInput("a code is outside the codebook".into()));
        }
        let dvae = self.dvae_decoder()?;
        Ok(AudioDecoder::new(&dvae.mel, &self.vocos).push(&dvae.features(codes), true))
    }

    /// Decodes hidden states, `[steps, width]`, to samples: the second half of synthesis.
    ///
    /// # Errors
    /// [`ModelError::InvalidInput`] if the length is not a multiple of the width.
    pub fn decode_states(&self, states: &[f32]) -> Result<Vec<f32>, ModelError> {
        if !states.len().is_multiple_of(self.gpt.config.width) {
            return Err(ModelError::InvalidInput(format!("a step has {} numbers", self.gpt.config.width)));
        }
        Ok(self.audio_decoder().push(states, true))
    }

    /// Logits of each step's codes, `[codebooks, audio_tokens]` each, when `codes` are fed as the speech of `text`. Used to
    /// measure the effect of precision.
    ///
    /// # Errors
    /// [`ModelError::InvalidInput`] for an invalid code, [`ModelError::Cancelled`].
    pub fn scores(
        &self,
        text: &str,
        voice: &Voice,
        codes: &[Codes],
        cancel: &CancelFlag,
    ) -> Result<Vec<Vec<f32>>, ModelError> {
        if codes.iter().flatten().any(|&code| code > self.gpt.config.stop_code()) {
            return Err(ModelError::InvalidInput("a code is outside the codebook".into()));
        }
        let mut prompt = prompts::speech_prompt(&self.vocabulary, &self.tokens, text, "[speed_5]", voice);
        let prompt_rows = prompt.ids.len() + prompt.audio.len();
        prompt.audio = [&prompt.audio, codes].concat().into();
        let mut sequence = self.gpt.sequence();
        let mut scores = Vec::with_capacity(codes.len());
        let width = self.gpt.config.width;
        for (at, row) in prompt.embed(&self.gpt).chunks_exact_mut(width).enumerate() {
            let state = self.gpt.forward(row, &mut [&mut sequence], &[1], cancel, &mut |_, _| {})?;
            if at + 1 >= prompt_rows && at + 1 < prompt_rows + codes.len() {
                scores.push(self.gpt.code_logits(&state));
            }
        }
        Ok(scores)
    }

    fn audio_decoder(&self) -> AudioDecoder<'_> {
        AudioDecoder::new(&self.decoder, &self.vocos)
    }

    /// Lets the model insert pauses and laughter into texts, in one batch.
    fn refine(
        &self,
        texts: &[String],
        tags: &str,
        sampling: &Sampling,
        noise: RandomSource,
        context: JobContext<'_>,
    ) -> Result<(Vec<String>, RandomSource), ModelError> {
        let prompts: Vec<_> = texts
            .iter()
            .map(|text| generate::Prompt {
                ids: self.vocabulary.encode(&prompts::refinement(text, tags)),
                ..generate::Prompt::default()
            })
            .collect();
        let target = Target::Text { end: self.tokens.end_of_text };
        let permit = context.step()?;
        let cancel = context.cancel;
        let mut generation =
            Generation::begin(&self.gpt, &self.batcher, target, &prompts, sampling, noise, cancel)?;
        drop(permit);
        while generation.step(context)? {}
        generation.leave();
        let refined = generation.rows.iter().map(|row| {
            let ids = row.codes.iter().map(|codes| codes[0]);
            let kept: Vec<u32> = ids.filter(|&id| id < self.tokens.first_control_token).collect();
            self.vocabulary.decode(&kept)
        });
        Ok((refined.collect(), generation.into_random()))
    }

    fn dvae(&self) -> Result<&Part, ModelError> {
        self.files.dvae.as_ref().ok_or_else(|| {
            ModelError::Unsupported("this ChatTTS checkpoint has no DVAE, which reference audio needs".into())
        })
    }

    fn dvae_encoder(&self) -> Result<&DvaeEncoder, ModelError> {
        if let Some(encoder) = self.dvae_encoder.get() {
            return Ok(encoder);
        }
        // Codes are quantised, so the encoder is computed in full precision.
        let loaded = DvaeEncoder::load(&reader(self.dvae()?, Precision::F32))?;
        Ok(self.dvae_encoder.get_or_init(|| loaded))
    }

    fn dvae_decoder(&self) -> Result<&DvaeDecoder, ModelError> {
        if let Some(decoder) = self.dvae_decoder.get() {
            return Ok(decoder);
        }
        let loaded = DvaeDecoder::load(&reader(self.dvae()?, self.precision))?;
        Ok(self.dvae_decoder.get_or_init(|| loaded))
    }
}

/// The family of ChatTTS.
#[derive(Clone, Copy, Debug)]
pub struct ChatTtsFamily;

impl ModelFamily for ChatTtsFamily {
    fn name(&self) -> &'static str {
        "ChatTTS"
    }

    fn task(&self) -> ModelTask {
        ModelTask::Speech
    }

    fn capabilities(&self, _languages: &[String]) -> Capabilities {
        Capabilities::Speech(synthesize::CAPABILITIES)
    }

    fn detect(&self, path: &Path) -> Result<bool, ModelError> {
        Ok(Files::is_at(path))
    }

    fn select_files<'a>(&self, names: &[&'a str]) -> Result<Vec<&'a str>, &'static str> {
        files::select(names)
    }

    fn load(&self, path: &Path, context: &LoadContext) -> Result<Model, ModelError> {
        let voices = Some(context.voices.clone());
        let options = LoadOptions { compute: context.compute, voices };
        let model = ChatTts::load(path, &options)?;
        match model.statistics_source() {
            StatisticsSource::File(file) => tracing::debug!("speaker statistics from {}", file.display()),
            StatisticsSource::Fallback => tracing::warn!(
                "this ChatTTS has no speaker statistics (asset/spk_stat.pt or asset/spk_stat.txt): seeded and named voices \
                 are drawn by a fallback, and are not those of other programs"
            ),
        }
        Ok(Model::Synthesizer(Arc::new(model)))
    }
}

fn reader(part: &Part, precision: Precision) -> Reader<'_> {
    Reader { file: part.name, tensors: &part.tensors, prefix: part.prefix, precision }
}
