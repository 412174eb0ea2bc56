//! Synthesis of a text: its pieces go through the language model in groups, and audio is decoded while codes are still being
//! generated.

use std::collections::VecDeque;

use mynah_core::{CancelFlag, JobContext, ModelError, TokenCounts};

use super::character_map::{self, Language, Switches};
use super::codes_to_audio::AudioDecoder;
use super::generate::{Generation, Target};
use super::prompts::{self, Style};
use super::random::Mt19937;
use super::sampling::{RandomSource, Sampling};
use super::speaker::{Voice, VoiceSample};
use super::split::split;
use super::{ChatTts, text_normalization};

/// Steps decoded to audio at a time: a third of a second.
const PIECE_STEPS: usize = 16;
/// Maximum text length, bytes: hours of speech. Longer texts are refused before anything is computed.
const MAX_TEXT_BYTES: usize = 1 << 20;
/// Maximum number of texts per batch of the model.
const MAX_ROWS: usize = 16;

/// The seed of random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seed {
    /// One stream of random numbers for all steps.
    Stream(u64),
    /// The same random numbers at every step, like the reference implementation's `manual_seed`.
    EveryStep(u64),
}

/// Options of synthesis.
#[derive(Clone, Debug, PartialEq)]
pub struct SpeakOptions {
    /// The voice.
    pub voice: Voice,
    /// Pace, and what refinement adds.
    pub style: Style,
    /// Let the model insert pauses and laughter into the text first. Implied by some fields of the style.
    pub refine: bool,
    /// Verbalize digits, dates, money, units and percentages.
    pub normalize_text: bool,
    /// Replace punctuation by marks in the model's vocabulary.
    pub map_punctuation: bool,
    /// Replace rare characters by common homophones, if a map was loaded.
    pub homophones: bool,
    /// Language of the text; `None` detects it for each piece.
    pub language: Option<Language>,
    /// Cut long text into pieces.
    pub split: bool,
    /// Maximum number of pieces per batch.
    pub rows: usize,
    /// Use the first piece's audio as reference for the others, so that the voice stays the same.
    pub keep_voice: bool,
    /// Sampling of codes.
    pub speech: Sampling,
    /// Sampling of refined text.
    pub refinement: Sampling,
    /// Seed; `None` continues the generator that drew the voice, so that equal voices and texts give equal audio.
    pub seed: Option<Seed>,
}

impl Default for SpeakOptions {
    fn default() -> Self {
        Self {
            voice: Voice::default(),
            style: Style { speed: Some(5), ..Style::default() },
            refine: false,
            normalize_text: true,
            map_punctuation: true,
            homophones: true,
            language: None,
            split: true,
            rows: 4,
            keep_voice: true,
            speech: Sampling::speech(),
            refinement: Sampling::refinement(),
            seed: None,
        }
    }
}

impl SpeakOptions {
    fn check(&self) -> Result<(), ModelError> {
        self.style.check()?;
        for sampling in [&self.speech, &self.refinement] {
            let refuse =
                |what: &str, value: f32| Err(ModelError::InvalidInput(format!("{what} cannot be {value}")));
            if let Some(&t) = sampling.temperature.iter().find(|t| !(0.0..=100.0).contains(*t)) {
                return refuse("temperature", t);
            }
            if let Some(p) = sampling.top_p.filter(|p| !(0.0..=1.0).contains(p)) {
                return refuse("top_p", p);
            }
            if !(0.01..=100.0).contains(&sampling.repetition_penalty) {
                return refuse("repetition_penalty", sampling.repetition_penalty);
            }
        }
        Ok(())
    }

    fn random(&self, model: &ChatTts) -> RandomSource {
        match (self.seed, self.voice.drawn_with) {
            (Some(Seed::EveryStep(seed)), _) => RandomSource::EveryStep(seed),
            (Some(Seed::Stream(seed)), _) => RandomSource::Stream(Mt19937::new(seed)),
            (None, Some(seed)) => {
                let mut generator = Mt19937::new(seed);
                drop(model.voices.statistics.draw(&mut generator));
                RandomSource::Stream(generator)
            }
            (None, None) => RandomSource::Stream(Mt19937::new(0)),
        }
    }
}

/// A text that is being synthesized; created by [`ChatTts::begin`].
pub struct Speech<'a> {
    model: &'a ChatTts,
    options: SpeakOptions,
    /// Texts not yet passed to the language model.
    texts: VecDeque<String>,
    group: Option<Group<'a>>,
    /// `None` while a group uses it.
    random: Option<RandomSource>,
    steps: usize,
    read_tokens: u64,
    /// Number of texts in previous groups.
    texts_done: usize,
    /// Index of the text that the last samples belong to.
    text: usize,
    has_audio: bool,
    cancel: CancelFlag,
}

/// Texts in one batch of the language model, one of which is being decoded to audio.
struct Group<'a> {
    generation: Generation<'a>,
    texts: Vec<String>,
    row: usize,
    /// Steps of the row decoded to audio.
    decoded_steps: usize,
    audio_decoder: AudioDecoder<'a>,
}

impl<'a> Speech<'a> {
    pub(super) fn new(
        model: &'a ChatTts,
        text: &str,
        mut options: SpeakOptions,
        cancel: &CancelFlag,
    ) -> Result<Self, ModelError> {
        if text.len() > MAX_TEXT_BYTES {
            let reason = format!("the text is longer than {MAX_TEXT_BYTES} bytes");
            return Err(ModelError::InvalidOption { name: "text", reason });
        }
        let text = options.style.take_leading_tags(text);
        options.refine |= options.style.refines();
        options.check()?;
        let pieces = if options.split { split(text) } else { vec![text.to_owned()] };
        let texts: VecDeque<String> = pieces
            .iter()
            .map(|piece| prepare(model, piece, &options))
            .filter(|text| has_words(text))
            .collect();
        if texts.is_empty() {
            return Err(ModelError::InvalidOption {
                name: "text",
                reason: "the text has no words to speak".into(),
            });
        }
        let random = Some(options.random(model));
        Ok(Self {
            model,
            options,
            texts,
            group: None,
            random,
            steps: 0,
            read_tokens: 0,
            texts_done: 0,
            text: 0,
            has_audio: false,
            cancel: cancel.clone(),
        })
    }

    /// Text tokens read and audio steps generated so far. 46.875 steps are a second.
    pub fn counts(&self) -> TokenCounts {
        let going = self.group.as_ref().map_or(0, |group| group.generation.steps_done());
        TokenCounts { input: self.read_tokens, output: (self.steps + going) as u64 }
    }

    /// Index of the piece of text that the last samples belong to.
    pub fn piece(&self) -> usize {
        self.text
    }

    /// The next samples, mono at 24 kHz; `None` at the end. The language model computes under `context`'s step
    /// permits, or under another request's; decoding codes to audio, a small part of the work, needs no permit.
    ///
    /// # Errors
    /// [`ModelError::Cancelled`], [`ModelError::InvalidInput`] if a piece with its reference audio is too long for the model or the
    /// model generated no audio.
    pub fn next_chunk(&mut self, context: JobContext<'_>) -> Result<Option<Vec<f32>>, ModelError> {
        loop {
            self.cancel.check()?;
            let Some(mut group) = self.group.take() else {
                if self.texts.is_empty() {
                    if !self.has_audio {
                        return Err(ModelError::InvalidInput(
                            "the model generated no audio; try another seed or voice".into(),
                        ));
                    }
                    return Ok(None);
                }
                self.group = Some(self.begin_group(context)?);
                continue;
            };
            let text = self.texts_done + group.row;
            let samples = group.next(context)?;
            if group.row == group.texts.len() {
                self.end_group(group);
            } else {
                self.group = Some(group);
            }
            if !samples.is_empty() {
                self.has_audio = true;
                self.text = text;
                return Ok(Some(samples));
            }
        }
    }

    fn begin_group(&mut self, context: JobContext<'_>) -> Result<Group<'a>, ModelError> {
        let model = self.model;
        // The first piece goes alone if the others use its voice; this also gives its audio soonest.
        let alone = self.options.keep_voice && self.options.voice.sample.is_none();
        let rows = if alone { 1 } else { self.options.rows.clamp(1, MAX_ROWS) };
        let mut texts: Vec<String> = self.texts.drain(..rows.min(self.texts.len())).collect();
        let noise = self.random.take().unwrap_or(RandomSource::EveryStep(0));
        let noise = if self.options.refine { self.refine(&mut texts, noise, context)? } else { noise };
        let tags = self.options.style.speech_tags();
        let voice = &self.options.voice;
        let prompt =
            |text: &String| prompts::speech_prompt(&model.vocabulary, &model.tokens, text, &tags, voice);
        let prompts: Vec<_> = texts.iter().map(prompt).collect();
        self.read_tokens += prompts.iter().map(|prompt| prompt.ids.len() as u64).sum::<u64>();
        let permit = context.step()?;
        let generation = Generation::begin(
            &model.gpt,
            &model.batcher,
            Target::Codes,
            &prompts,
            &self.options.speech,
            noise,
            &self.cancel,
        )?;
        drop(permit);
        Ok(Group { generation, texts, row: 0, decoded_steps: 0, audio_decoder: model.audio_decoder() })
    }

    fn end_group(&mut self, group: Group<'a>) {
        self.steps += group.generation.steps_done();
        self.texts_done += group.texts.len();
        if self.options.keep_voice
            && self.options.voice.sample.is_none()
            && let (Some(row), Some(text)) = (group.generation.rows.first(), group.texts.first())
        {
            // A piece that was cut off would be a bad reference.
            self.options.keep_voice = row.finished && !row.codes.is_empty();
            if self.options.keep_voice {
                let codes = row.codes.clone().into();
                self.options.voice.sample = Some(VoiceSample { codes, text: text.clone() });
            }
        }
        self.random = Some(group.generation.into_random());
    }

    /// Lets the model insert pauses and laughter into texts.
    fn refine(
        &self,
        texts: &mut [String],
        noise: RandomSource,
        context: JobContext<'_>,
    ) -> Result<RandomSource, ModelError> {
        let model = self.model;
        let tags = self.options.style.refine_tags();
        let (refined, noise) = model.refine(texts, &tags, &self.options.refinement, noise, context)?;
        for (text, refined) in texts.iter_mut().zip(refined) {
            if has_words(&refined) {
                *text = refined;
            }
        }
        Ok(noise)
    }
}

impl Group<'_> {
    /// Generates codes and decodes the next samples, of which there may be none yet.
    fn next(&mut self, context: JobContext<'_>) -> Result<Vec<f32>, ModelError> {
        let generated = self.generate(context);
        self.generation.leave();
        generated?;
        Ok(self.decode_audio())
    }

    /// Generates codes until there is enough to decode.
    fn generate(&mut self, context: JobContext<'_>) -> Result<(), ModelError> {
        loop {
            let row = &self.generation.rows[self.row];
            let fresh = row.codes.len() - self.decoded_steps;
            if fresh >= PIECE_STEPS || row.finished || self.generation.is_over() {
                return Ok(());
            }
            self.generation.step(context)?;
        }
    }

    /// Decodes the next steps to audio.
    fn decode_audio(&mut self) -> Vec<f32> {
        let row = &self.generation.rows[self.row];
        let end = row.finished || self.generation.is_over();
        let width = row.states.len().checked_div(row.codes.len()).unwrap_or(0);
        let last = row.codes.len().min(self.decoded_steps + PIECE_STEPS);
        let end = end && last == row.codes.len();
        let samples = self.audio_decoder.push(&row.states[self.decoded_steps * width..last * width], end);
        self.decoded_steps = last;
        if end {
            self.row += 1;
            self.decoded_steps = 0;
            self.audio_decoder.restart();
        }
        samples
    }
}

/// A piece of text in the form that the model expects.
pub(super) fn prepare(model: &ChatTts, text: &str, options: &SpeakOptions) -> String {
    let read = if options.normalize_text {
        text_normalization::normalize_text(text, options.language)
    } else {
        text.to_owned()
    };
    let switches = Switches { punctuation: options.map_punctuation, homophones: options.homophones };
    character_map::map_characters(&read, options.language, switches, &model.homophones)
}

/// Whether there is anything but punctuation and tags.
fn has_words(text: &str) -> bool {
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        match character_map::tag_length(rest) {
            Some(length) => rest = &rest[length..],
            None if c.is_alphanumeric() => return true,
            None => rest = &rest[c.len_utf8()..],
        }
    }
    false
}
