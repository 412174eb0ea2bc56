//! The walk through a recording, window by window.

use std::cell::OnceCell;
use std::sync::Arc;

use mynah_core::{
    DecodingStats, JobContext, ModelError, Segment, Task, TokenLogprob, TranscribeOptions, TranscriptEvent,
    TranscriptSink,
};
use mynah_text::whisper_tokenizer::{TIMESTAMPS, WhisperTask, WhisperTokenizer};

use super::fallback::{Attempt, Attempts};
use super::hallucination::{Surroundings, drop_hallucinations};
use super::prompt::{Prompt, hotword_tokens, prompt};
use super::recording::Recording;
use super::segments::{self, Draft};
use super::words::{WordContext, add_words};
use super::{WINDOW_FRAMES, encoder_context, quality};
use crate::whisper::search::{RuleOptions, Rules};
use crate::whisper::{Config, EncoderContext, WindowDecoder};

/// Windows in a row that may advance by less than [`CRAWL_FRAMES`]; the next one is left as a whole. A model that
/// stammers would otherwise have the same audio decoded hundreds of times.
const MAX_CRAWLS: usize = 3;
const CRAWL_FRAMES: usize = 100;

/// Width of whisper-base.
const BASE_WIDTH: usize = 512;

/// A transcription under way.
pub(super) struct Walk<'a> {
    recording: &'a Recording<'a>,
    config: &'a Config,
    tokenizer: &'a WhisperTokenizer,
    options: &'a TranscribeOptions,
    context: JobContext<'a>,
    /// Language of the text.
    text_language: &'a str,
    rules: Rules,
    start_sequence: Vec<u32>,
    start_without_timestamps: Vec<u32>,
    hotwords: Vec<u32>,
    /// The initial prompt and the text so far, as far as it is given to the next window.
    previous: Vec<u32>,
    /// What the window before wrote.
    last_text: String,
    /// Where the last word ended, in seconds of what is decoded.
    last_speech_s: f64,
    segments: Vec<Arc<Segment>>,
}

/// What a window gave.
struct Outcome {
    segments: Vec<Arc<Segment>>,
    /// Frame at which the next window begins.
    resume_frame: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        recording: &'a Recording<'a>,
        config: &'a Config,
        tokenizer: &'a WhisperTokenizer,
        options: &'a TranscribeOptions,
        language: &'a str,
        context: JobContext<'a>,
    ) -> Self {
        let (task, text_language) = match options.task {
            Task::Transcribe => (WhisperTask::Transcribe, language),
            Task::Translate => (WhisperTask::Translate, "en"),
        };
        let start = |timestamps| tokenizer.sot_sequence(Some(language), task, timestamps);
        let initial_prompt = options.initial_prompt.as_deref().map(str::trim).filter(|text| !text.is_empty());
        Self {
            recording,
            config,
            tokenizer,
            options,
            context,
            text_language,
            rules: rules(config, tokenizer, options),
            start_sequence: start(options.whisper.timestamps),
            start_without_timestamps: start(false),
            hotwords: hotword_tokens(tokenizer, &options.hotwords),
            previous: initial_prompt.map_or_else(Vec::new, |text| tokenizer.encode(&format!(" {text}"))),
            last_text: String::new(),
            last_speech_s: 0.0,
            segments: Vec::new(),
        }
    }

    /// Decodes everything from `first_frame` on. `first_window` is the first window if it is encoded already.
    pub(super) fn run(
        mut self,
        first_frame: usize,
        mut first_window: Option<Box<dyn WindowDecoder + 'a>>,
        sink: &mut dyn TranscriptSink,
    ) -> Result<Vec<Arc<Segment>>, ModelError> {
        let content_frames = self.recording.content_frames();
        let mut frame = first_frame;
        let mut crawls = 0;
        while frame < content_frames {
            let window_frames = self.recording.window_frames(frame);
            // Where the language had to be heard first, the window may be one that is not believed in it.
            let first_window =
                first_window.take().filter(|window| !window.is_trimmed() || self.belief().is_some());
            let outcome = if self.recording.is_silent(frame) {
                Outcome { segments: Vec::new(), resume_frame: frame + window_frames }
            } else {
                let _permit =
                    self.context.enter_batch(frame as f64 / 100.0, self.recording.share(self.options))?;
                let mut decoder = match first_window {
                    Some(decoder) => decoder,
                    None => self.recording.encode(frame, self.window_at_first(), self.context)?,
                };
                self.window(&mut decoder, frame)?
            };
            for segment in outcome.segments {
                sink.event(TranscriptEvent::Segment(segment.clone()));
                self.segments.push(segment);
            }

            let advance = outcome.resume_frame.saturating_sub(frame);
            crawls = if advance < CRAWL_FRAMES.min(window_frames) { crawls + 1 } else { 0 };
            frame += if advance == 0 || crawls > MAX_CRAWLS { window_frames } else { advance };
            let done_s = self.recording.end_s(frame.min(content_frames) as f64 / 100.0);
            sink.event(TranscriptEvent::Progress(done_s));
        }
        sink.event(TranscriptEvent::Progress(self.recording.duration_s()));
        Ok(self.segments)
    }

    /// Decodes the window that begins at `frame`.
    fn window(
        &mut self,
        decoder: &mut Box<dyn WindowDecoder + 'a>,
        frame: usize,
    ) -> Result<Outcome, ModelError> {
        let options = self.options;
        let window_frames = self.recording.window_frames(frame);
        let window_start_s = frame as f64 / 100.0;

        let speech_s = OnceCell::new();
        let speech_s = || speech_s.get_or_init(|| self.recording.speech_s(frame));
        let attempts = Attempts {
            tokenizer: self.tokenizer,
            rules: &self.rules,
            options,
            cancel: self.context.cancel,
            window_frames,
            is_spoken: &|| options.whisper.no_speech_threshold.is_none() || !speech_s().is_empty(),
        };
        // Any odd constant spreads the windows' seeds.
        let seed = options.seed.wrapping_add((frame as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let prompt = self.prompt(&self.previous);
        let mut attempt = self.best(&attempts, decoder, &prompt, seed, frame)?;
        let repeats = !attempt.text.is_empty() && attempt.text == self.last_text;
        if !self.previous.is_empty() && (repeats || attempts.is_hurried(&attempt)) {
            // Given its own text, the model may write it again whatever it hears, and so on for ever.
            attempt = attempts.best(&mut **decoder, &self.prompt(&[]), seed)?;
            self.previous.clear();
        }
        if self.is_silence(&attempt) || (quality::is_doubtful(&attempt) && !(attempts.is_spoken)()) {
            return Ok(Outcome { segments: Vec::new(), resume_frame: frame + window_frames });
        }

        let hypothesis = &attempt.hypothesis;
        let cut = segments::cut(
            &hypothesis.tokens,
            &hypothesis.logprobs,
            self.tokenizer.timestamp_begin(),
            window_start_s,
            window_frames,
        );
        let mut drafts = cut.drafts;
        // Nobody said what begins behind the audio.
        let audio_end_s = (frame + window_frames) as f64 / 100.0;
        drafts.retain(|draft| draft.start_s < audio_end_s);
        drafts.dedup_by(|draft, before| quality::is_echo(before, draft, audio_end_s, self.tokenizer));
        if options.whisper.no_speech_threshold.is_some() {
            let eot = self.tokenizer.eot();
            drafts.retain(|draft| {
                !quality::is_doubtful_segment(draft, eot) || quality::is_spoken(draft, speech_s())
            });
        }
        let mut resume_frame = frame + cut.advance_frames;
        if options.word_timestamps {
            let resume_s = self.align(&mut **decoder, &mut drafts, frame, cut.ends_in_silence)?;
            resume_frame = resume_s.map_or(resume_frame, frames);
        }

        let segments = self.finish(drafts, &attempt, frame);
        self.last_text = attempt.text;
        if !options.whisper.condition_on_previous_text
            || attempt.temperature > options.whisper.prompt_reset_temperature
        {
            self.previous.clear();
        }
        Ok(Outcome { segments, resume_frame })
    }

    /// Adds times of words to the segments of the window that begins at `frame`, and drops what they show to be invented.
    /// Returns where the next window begins, in seconds, where the words tell.
    fn align(
        &mut self,
        decoder: &mut dyn WindowDecoder,
        drafts: &mut Vec<Draft>,
        frame: usize,
        ends_in_silence: bool,
    ) -> Result<Option<f64>, ModelError> {
        self.context.cancel.check()?;
        let window_frames = self.recording.window_frames(frame);
        let window_start_s = frame as f64 / 100.0;
        let context = WordContext {
            tokenizer: self.tokenizer,
            language: self.text_language,
            start_sequence: &self.start_without_timestamps,
            window_start_s,
            window_frames,
        };
        add_words(decoder, &context, drafts, self.last_speech_s)?;
        let spoken_until = speech_end_s(drafts).filter(|&end_s| end_s > window_start_s);
        let mut resume_s = spoken_until.filter(|_| !ends_in_silence);
        if let Some(threshold_s) = self.options.whisper.hallucination_silence_s {
            let around = Surroundings {
                window_start_s,
                window_end_s: (frame + window_frames) as f64 / 100.0,
                full_window_end_s: (frame + WINDOW_FRAMES) as f64 / 100.0,
                content_end_s: self.recording.content_frames() as f64 / 100.0,
                last_speech_s: self.last_speech_s,
            };
            resume_s = drop_hallucinations(drafts, &around, f64::from(threshold_s)).or(resume_s);
        }
        self.last_speech_s = speech_end_s(drafts).unwrap_or(self.last_speech_s);
        Ok(resume_s)
    }

    /// The best attempt at the window that begins at `frame`. A trimmed window that leaves doubts is replaced by a wider
    /// one.
    fn best(
        &self,
        attempts: &Attempts<'_>,
        decoder: &mut Box<dyn WindowDecoder + 'a>,
        prompt: &Prompt,
        seed: u64,
        frame: usize,
    ) -> Result<Attempt, ModelError> {
        if decoder.is_trimmed()
            && let Some((believed_from, wider)) = self.belief()
        {
            if let Some(attempt) = attempts.on_trimmed(&mut **decoder, prompt, believed_from, seed)? {
                return Ok(attempt);
            }
            *decoder = self.recording.encode(frame, wider, self.context)?;
        }
        attempts.best(&mut **decoder, prompt, seed)
    }

    /// What is computed at first of a window with less audio than it can hold.
    fn window_at_first(&self) -> EncoderContext {
        let window = encoder_context(self.config, self.options);
        if window == EncoderContext::Trimmed && self.belief().is_none() {
            EncoderContext::Full
        } else {
            window
        }
    }

    /// The mean log probability from which on a trimmed window's text is believed, and the window on which it is decoded
    /// again below; `None` if it never is.
    ///
    /// Below are the windows that come out worse than wider ones: hard speech, and much of what is less than three seconds
    /// long. English comes out of four more seconds as well as of all 30, and gains nothing above -0.9; from the tiny models it
    /// gains up to -0.8, and of all 30 only. Where a recording's last window is given the text before, and its audio is hard to
    /// make out, the model may write that text again, which it finds rather probable. Other languages gain up to -0.3, and of
    /// all 30 seconds only; tiny and base are that sure of one window in ten of them.
    fn belief(&self) -> Option<(f32, EncoderContext)> {
        let continues = !self.last_text.is_empty() && !self.previous.is_empty();
        match self.text_language {
            "en" if continues => Some((-0.5, EncoderContext::Full)),
            "en" if self.config.width < BASE_WIDTH => Some((-0.8, EncoderContext::Full)),
            "en" => Some((-0.9, EncoderContext::TrimmedWide)),
            _ => (self.config.width > BASE_WIDTH).then_some((-0.3, EncoderContext::Full)),
        }
    }

    fn prompt(&self, previous: &[u32]) -> Prompt {
        let positions = self.config.text_positions;
        prompt(self.tokenizer, &self.hotwords, previous, &self.start_sequence, positions)
    }

    /// The model hears no speech and is not sure of its text either.
    fn is_silence(&self, attempt: &Attempt) -> bool {
        let sure = self.options.whisper.logprob_threshold.is_some_and(|limit| attempt.avg_logprob > limit);
        self.options.whisper.no_speech_threshold.is_some_and(|limit| attempt.no_speech_prob > limit) && !sure
    }

    /// Segments of the drafts that have text and last; their tokens become previous text.
    fn finish(&mut self, drafts: Vec<Draft>, attempt: &Attempt, frame: usize) -> Vec<Arc<Segment>> {
        let mut segments = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let text = self.tokenizer.decode(&draft.tokens);
            // Marks alone are the model's way to say that it heard something that is no speech.
            if draft.start_s == draft.end_s || !text.contains(char::is_alphanumeric) {
                continue;
            }
            self.previous.extend_from_slice(&draft.tokens);
            let words: Vec<_> = draft.words.into_iter().map(|word| self.recording.place_word(word)).collect();
            let (start_s, end_s) = match (words.first(), words.last()) {
                (Some(first), Some(last)) => (first.start_s, last.end_s),
                _ => (self.recording.start_s(draft.start_s), self.recording.end_s(draft.end_s)),
            };
            let logprobs =
                draft.tokens.iter().zip(&draft.logprobs).filter(|&(&id, _)| id < self.tokenizer.eot());
            let logprobs = logprobs
                .map(|(&id, &logprob)| {
                    let bytes = self.tokenizer.token_bytes(id).to_vec();
                    TokenLogprob { id, bytes, logprob }
                })
                .collect();
            segments.push(Arc::new(Segment {
                id: self.segments.len() + segments.len(),
                start_s,
                end_s,
                text,
                tokens: draft.tokens,
                logprobs,
                words,
                speaker: None,
                decoding: Some(DecodingStats {
                    seek_frames: frames(self.recording.start_s(frame as f64 / 100.0)),
                    temperature: attempt.temperature,
                    avg_logprob: attempt.avg_logprob,
                    compression_ratio: attempt.compression_ratio,
                    no_speech_prob: attempt.no_speech_prob,
                }),
            }));
        }
        segments
    }
}

fn frames(seconds: f64) -> usize {
    (seconds * 100.0).round() as usize
}

/// Where the last word ends, or the last draft if there are no words.
fn speech_end_s(drafts: &[Draft]) -> Option<f64> {
    let last_word = drafts.iter().rev().find_map(|draft| draft.words.last());
    last_word.map(|word| word.end_s).or_else(|| drafts.last().map(|draft| draft.end_s))
}

fn rules(config: &Config, tokenizer: &WhisperTokenizer, options: &TranscribeOptions) -> Rules {
    let mut suppress = options.whisper.suppress_tokens.clone();
    if options.whisper.suppress_non_speech {
        suppress.extend_from_slice(&config.suppress_tokens);
        suppress.extend(tokenizer.non_speech_tokens());
    }
    let mut begin_suppress = config.begin_suppress_tokens.clone();
    if begin_suppress.is_empty() {
        begin_suppress = tokenizer.encode(" ");
        begin_suppress.push(tokenizer.eot());
    }
    Rules::new(&RuleOptions {
        eot: tokenizer.eot(),
        timestamp_begin: tokenizer.timestamp_begin(),
        vocab_size: config.vocab_size.min((tokenizer.timestamp_begin() + TIMESTAMPS) as usize),
        suppress: &suppress,
        begin_suppress: &begin_suppress,
        max_initial_timestamp: options
            .whisper
            .timestamps
            .then(|| (options.whisper.max_initial_timestamp_s * 50.0).round() as usize),
    })
}
