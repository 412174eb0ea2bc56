//! ChatTTS: dialogue speech in Chinese and English, written from a description of the published model.
//!
//! A text is normalised (`read_out`, `normalise`), cut into pieces (`split`) and put into a prompt (`prompts`,
//! `speaker`). A language model (`gpt`, `generate`, `sampling`) gives four audio codes a step, and with them hidden states,
//! from which a decoder (`mel_decoder`) makes mel spectra and Vocos (`vocos`) samples. The same language model can first
//! put pauses and laughter into the text. `dvae` makes codes of a recording, so that its voice is continued.
//!
//! Weights, homophones and speaker statistics have licences of their own; none of them is in the program.

mod config;
mod convnext;
mod dvae;
mod files;
mod generate;
mod gpt;
mod mel_decoder;
mod normalise;
mod prompts;
mod random;
mod read_aloud;
mod read_out;
#[cfg(test)]
mod reference_tests;
mod sampling;
mod speaker;
mod speech;
mod split;
mod vocos;
mod voicing;
mod weights;
mod window;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use mynah_core::{
    CancelFlag, Capabilities, ComputeType, JobContext, LoadContext, Model, ModelError, ModelFamily, ModelTask,
};
use mynah_kernels::Precision;
use mynah_text::word_piece::WordPiece;

pub use config::Config;
pub use generate::Codes;
pub use normalise::Language;
pub use prompts::Style;
pub use sampling::Sampling;
pub use speaker::strings::{decode_sample, encode_sample, encode_speaker};
pub use speaker::{SavedVoice, StatisticsSource, Voice, VoiceSample};
pub use speech::{Seed, SpeakOptions, Speech};
pub use vocos::SAMPLE_RATE;

use crate::batching::StepBatcher;

use dvae::{DvaeDecoder, DvaeEncoder};
use files::{Files, Part};
use generate::{Generation, Step, Target};
use gpt::Gpt;
use mel_decoder::MelDecoder;
use normalise::Homophones;
use prompts::Tokens;
use sampling::Noise;
use speaker::{Statistics, Voices};
use vocos::Vocos;
use voicing::Voicing;
use weights::Reader;

/// What a model is loaded with, beside its checkpoint.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Precision of the weights; `Auto` is 8 bits.
    pub compute: ComputeType,
    /// Folder of voices that the user saved.
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
    /// Loaded when first needed.
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

    /// Bytes of weights in memory, without what voice samples need.
    pub fn bytes(&self) -> usize {
        self.gpt.bytes() + self.decoder.bytes() + self.vocos.bytes()
    }

    /// Where the spread of seeded voices comes from.
    pub fn statistics_source(&self) -> &StatisticsSource {
        &self.statistics_source
    }

    /// The voice that `name` means: one that the user saved, `seed:N`, an encoded speaker (a base16384 string, or the base64
    /// of a tensor that PyTorch saved), or any other name, whose XXH32 hash is the seed; `default` is the empty name.
    ///
    /// # Errors
    /// [`ModelError::InvalidInput`] says what is wrong with an encoded speaker or a seed.
    pub fn voice(&self, name: &str) -> Result<Voice, ModelError> {
        self.voices.find(name)
    }

    /// A voice that continues a recording: mono samples at 24 kHz and what is said in them.
    ///
    /// # Errors
    /// [`ModelError::InvalidInput`] if it is too short or too long, [`ModelError::Unsupported`] if the checkpoint has no DVAE.
    pub fn voice_of_sample(&self, samples: &[f32], transcript: &str) -> Result<Voice, ModelError> {
        const MOST_SECONDS: usize = 60;
        if samples.len() > MOST_SECONDS * SAMPLE_RATE as usize {
            return Err(ModelError::InvalidInput(format!(
                "the voice sample is longer than {MOST_SECONDS} seconds"
            )));
        }
        let codes = self.dvae_encoder()?.encode(samples)?.into();
        let text = speech::prepare(self, transcript, &SpeakOptions::default());
        Ok(Voice { sample: Some(VoiceSample { codes, text }), ..Voice::default() })
    }

    /// Begins to speak a text; [`Speech::next_chunk`] makes the samples.
    ///
    /// # Errors
    /// [`ModelError::InvalidInput`] if there is nothing to say or an option is outside its limits.
    pub fn begin(
        &self,
        text: &str,
        options: SpeakOptions,
        cancel: &CancelFlag,
    ) -> Result<Speech<'_>, ModelError> {
        Speech::new(self, text, options, cancel)
    }

    /// Samples of codes by way of the DVAE, as the model's first release did it.
    ///
    /// # Errors
    /// [`ModelError::InvalidInput`] for what is no code, [`ModelError::Unsupported`] if the checkpoint has no DVAE.
    pub fn decode_codes(&self, codes: &[Codes]) -> Result<Vec<f32>, ModelError> {
        if codes.iter().flatten().any(|&code| code >= self.gpt.config.stop_code()) {
            return Err(ModelError::InvalidInput("a code is outside the codebook".into()));
        }
        let dvae = self.dvae_decoder()?;
        Ok(Voicing::new(&dvae.mel, &self.vocos).push(&dvae.features(codes), true))
    }

    /// Samples of hidden states, `[steps, width]`, all at once: the last half of what speaking does.
    ///
    /// # Errors
    /// [`ModelError::InvalidInput`] if there are no whole steps.
    pub fn decode_states(&self, states: &[f32]) -> Result<Vec<f32>, ModelError> {
        if !states.len().is_multiple_of(self.gpt.config.width) {
            return Err(ModelError::InvalidInput(format!("a step has {} numbers", self.gpt.config.width)));
        }
        Ok(self.voicing().push(states, true))
    }

    /// Scores of each step's codes, `[codebooks, audio_tokens]` each, if `codes` are what is said: what precision costs is
    /// measured by them.
    ///
    /// # Errors
    /// [`ModelError::InvalidInput`] for what is no code, [`ModelError::Cancelled`].
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

    fn voicing(&self) -> Voicing<'_> {
        Voicing::new(&self.decoder, &self.vocos)
    }

    /// Lets the model put pauses and laughter into texts, all at once.
    fn refine(
        &self,
        texts: &[String],
        tags: &str,
        sampling: &Sampling,
        noise: Noise,
        context: JobContext<'_>,
    ) -> Result<(Vec<String>, Noise), ModelError> {
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
            let kept: Vec<u32> = ids.filter(|&id| id < self.tokens.first_steering).collect();
            self.vocabulary.decode(&kept)
        });
        Ok((refined.collect(), generation.into_noise()))
    }

    fn dvae(&self) -> Result<&Part, ModelError> {
        self.files.dvae.as_ref().ok_or_else(|| {
            ModelError::Unsupported("this ChatTTS checkpoint has no DVAE, which voice samples need".into())
        })
    }

    fn dvae_encoder(&self) -> Result<&DvaeEncoder, ModelError> {
        if let Some(encoder) = self.dvae_encoder.get() {
            return Ok(encoder);
        }
        // Codes are rounded, so what leads to them is kept exact.
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
        Capabilities::Speech(read_aloud::CAPABILITIES)
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
