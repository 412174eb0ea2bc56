//! A text on its way to samples: pieces of it go through the language model in groups, and their sound is made while the
//! next codes are.

use std::collections::VecDeque;

use mynah_core::{CancelFlag, JobContext, ModelError, TokenCounts};

use super::generate::{Generation, Target};
use super::normalise::{self, Language, Switches};
use super::prompts::{self, Style};
use super::random::Mt19937;
use super::sampling::{Noise, Sampling};
use super::speaker::{Voice, VoiceSample};
use super::split::split;
use super::voicing::Voicing;
use super::{ChatTts, read_out};

/// Steps whose sound is made at a time: a third of a second.
const PIECE_STEPS: usize = 16;
/// Longest text, bytes: hours of speech. Longer ones are refused before anything is computed.
const MOST_TEXT_BYTES: usize = 1 << 20;
/// Most texts that go through the model together.
const MOST_ROWS: usize = 16;

/// Where randomness comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seed {
    /// One stream of random numbers for all steps.
    Stream(u64),
    /// The same random numbers at every step, as the reference implementation's `manual_seed`.
    EveryStep(u64),
}

/// How a text is spoken.
#[derive(Clone, Debug, PartialEq)]
pub struct SpeakOptions {
    /// Who speaks.
    pub voice: Voice,
    /// Pace, and what refinement adds.
    pub style: Style,
    /// Let the model put pauses and laughter into the text first. Done in any case if the style asks for it.
    pub refine: bool,
    /// Read out digits, dates, money, units and percent.
    pub read_out: bool,
    /// Replace punctuation by marks that the model knows.
    pub normalise: bool,
    /// Replace characters by homophones that the model knows better, if a map was loaded.
    pub homophones: bool,
    /// Language of the text; found out for each piece if `None`.
    pub language: Option<Language>,
    /// Cut long text into pieces.
    pub split: bool,
    /// Pieces that go through the model together, at most.
    pub rows: usize,
    /// Give the first piece's sound to the others as a sample, so that the voice stays the same.
    pub keep_voice: bool,
    /// How codes are chosen.
    pub speech: Sampling,
    /// How refined text is chosen.
    pub refinement: Sampling,
    /// Randomness; `None` goes on where drawing the voice left off, so that equal voices and texts sound alike.
    pub seed: Option<Seed>,
}

impl Default for SpeakOptions {
    fn default() -> Self {
        Self {
            voice: Voice::default(),
            style: Style { speed: Some(5), ..Style::default() },
            refine: false,
            read_out: true,
            normalise: true,
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

    fn noise(&self, model: &ChatTts) -> Noise {
        match (self.seed, self.voice.drawn_with) {
            (Some(Seed::EveryStep(seed)), _) => Noise::EveryStep(seed),
            (Some(Seed::Stream(seed)), _) => Noise::Stream(Mt19937::new(seed)),
            (None, Some(seed)) => {
                let mut generator = Mt19937::new(seed);
                drop(model.voices.statistics.draw(&mut generator));
                Noise::Stream(generator)
            }
            (None, None) => Noise::Stream(Mt19937::new(0)),
        }
    }
}

/// A text being spoken; made by [`ChatTts::begin`].
pub struct Speech<'a> {
    model: &'a ChatTts,
    options: SpeakOptions,
    /// Texts not yet given to the language model.
    texts: VecDeque<String>,
    group: Option<Group<'a>>,
    /// `None` while a group has it.
    noise: Option<Noise>,
    steps: usize,
    read_tokens: u64,
    /// Texts of the groups before.
    texts_done: usize,
    /// Number of the text that the last samples belong to.
    text: usize,
    spoke: bool,
    cancel: CancelFlag,
}

/// Texts that go through the language model together, one of which is being voiced.
struct Group<'a> {
    generation: Generation<'a>,
    texts: Vec<String>,
    row: usize,
    /// Steps of the row that were voiced.
    voiced: usize,
    voicing: Voicing<'a>,
}

impl<'a> Speech<'a> {
    pub(super) fn new(
        model: &'a ChatTts,
        text: &str,
        mut options: SpeakOptions,
        cancel: &CancelFlag,
    ) -> Result<Self, ModelError> {
        if text.len() > MOST_TEXT_BYTES {
            let reason = format!("the text is longer than {MOST_TEXT_BYTES} bytes");
            return Err(ModelError::InvalidOption { name: "text", reason });
        }
        let text = options.style.lift(text);
        options.refine |= options.style.refines();
        options.check()?;
        let pieces = if options.split { split(text) } else { vec![text.to_owned()] };
        let texts: VecDeque<String> = pieces
            .iter()
            .map(|piece| prepare(model, piece, &options))
            .filter(|text| says_something(text))
            .collect();
        if texts.is_empty() {
            return Err(ModelError::InvalidOption {
                name: "text",
                reason: "the text has no words to speak".into(),
            });
        }
        let noise = Some(options.noise(model));
        Ok(Self {
            model,
            options,
            texts,
            group: None,
            noise,
            steps: 0,
            read_tokens: 0,
            texts_done: 0,
            text: 0,
            spoke: false,
            cancel: cancel.clone(),
        })
    }

    /// Tokens of text read, and steps of the language model made for audio, so far. 46.875 steps are a second.
    pub fn counts(&self) -> TokenCounts {
        let going = self.group.as_ref().map_or(0, |group| group.generation.steps_done());
        TokenCounts { input: self.read_tokens, output: (self.steps + going) as u64 }
    }

    /// Number of the piece of text that the last samples belong to, from 0 on.
    pub fn piece(&self) -> usize {
        self.text
    }

    /// The next samples, mono at 24 kHz; `None` at the end. The language model computes under `context`'s step
    /// permits, or under another request's; what a piece of codes sounds like, a small part of the work, is computed without a permit.
    ///
    /// # Errors
    /// [`ModelError::Cancelled`], [`ModelError::InvalidInput`] if a piece with its voice sample is too long for the model or nothing
    /// was said.
    pub fn next_chunk(&mut self, context: JobContext<'_>) -> Result<Option<Vec<f32>>, ModelError> {
        loop {
            self.cancel.check()?;
            let Some(mut group) = self.group.take() else {
                if self.texts.is_empty() {
                    if !self.spoke {
                        return Err(ModelError::InvalidInput(
                            "the model said nothing; try another seed or voice".into(),
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
                self.spoke = true;
                self.text = text;
                return Ok(Some(samples));
            }
        }
    }

    fn begin_group(&mut self, context: JobContext<'_>) -> Result<Group<'a>, ModelError> {
        let model = self.model;
        // The first piece goes alone if the others are to have its voice, and so that its sound is there soonest.
        let alone = self.options.keep_voice && self.options.voice.sample.is_none();
        let rows = if alone { 1 } else { self.options.rows.clamp(1, MOST_ROWS) };
        let mut texts: Vec<String> = self.texts.drain(..rows.min(self.texts.len())).collect();
        let noise = self.noise.take().unwrap_or(Noise::EveryStep(0));
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
        Ok(Group { generation, texts, row: 0, voiced: 0, voicing: model.voicing() })
    }

    fn end_group(&mut self, group: Group<'a>) {
        self.steps += group.generation.steps_done();
        self.texts_done += group.texts.len();
        if self.options.keep_voice
            && self.options.voice.sample.is_none()
            && let (Some(row), Some(text)) = (group.generation.rows.first(), group.texts.first())
        {
            // One that did not come to its end would be a bad example.
            self.options.keep_voice = row.finished && !row.codes.is_empty();
            if self.options.keep_voice {
                let codes = row.codes.clone().into();
                self.options.voice.sample = Some(VoiceSample { codes, text: text.clone() });
            }
        }
        self.noise = Some(group.generation.into_noise());
    }

    /// Lets the model put pauses and laughter into texts.
    fn refine(
        &self,
        texts: &mut [String],
        noise: Noise,
        context: JobContext<'_>,
    ) -> Result<Noise, ModelError> {
        let model = self.model;
        let tags = self.options.style.refine_tags();
        let (refined, noise) = model.refine(texts, &tags, &self.options.refinement, noise, context)?;
        for (text, refined) in texts.iter_mut().zip(refined) {
            if says_something(&refined) {
                *text = refined;
            }
        }
        Ok(noise)
    }
}

impl Group<'_> {
    /// Makes the next samples; there may be none yet.
    fn next(&mut self, context: JobContext<'_>) -> Result<Vec<f32>, ModelError> {
        let generated = self.generate(context);
        self.generation.leave();
        generated?;
        Ok(self.voice())
    }

    /// Makes codes until there is a piece to voice.
    fn generate(&mut self, context: JobContext<'_>) -> Result<(), ModelError> {
        loop {
            let row = &self.generation.rows[self.row];
            let fresh = row.codes.len() - self.voiced;
            if fresh >= PIECE_STEPS || row.finished || self.generation.is_over() {
                return Ok(());
            }
            self.generation.step(context)?;
        }
    }

    /// Makes the sound of the next piece.
    fn voice(&mut self) -> Vec<f32> {
        let row = &self.generation.rows[self.row];
        let end = row.finished || self.generation.is_over();
        let width = row.states.len().checked_div(row.codes.len()).unwrap_or(0);
        let last = row.codes.len().min(self.voiced + PIECE_STEPS);
        let end = end && last == row.codes.len();
        let samples = self.voicing.push(&row.states[self.voiced * width..last * width], end);
        self.voiced = last;
        if end {
            self.row += 1;
            self.voiced = 0;
            self.voicing.restart();
        }
        samples
    }
}

/// A piece of text as the model should see it.
pub(super) fn prepare(model: &ChatTts, text: &str, options: &SpeakOptions) -> String {
    let read = if options.read_out { read_out::read_out(text, options.language) } else { text.to_owned() };
    let switches = Switches { punctuation: options.normalise, homophones: options.homophones };
    normalise::normalise(&read, options.language, switches, &model.homophones)
}

/// Whether there is anything but punctuation and tags.
fn says_something(text: &str) -> bool {
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        match normalise::tag_length(rest) {
            Some(length) => rest = &rest[length..],
            None if c.is_alphanumeric() => return true,
            None => rest = &rest[c.len_utf8()..],
        }
    }
    false
}
