//! Sequential long-form transcription: window by window, each conditioned on the text before it.

use std::cell::OnceCell;
use std::sync::Arc;

use mynah_core::{
    DecodingStats, JobContext, ModelError, Segment, Task, TokenLogprob, TranscribeOptions, TranscriptEvent,
    TranscriptSink,
};
use mynah_text::whisper_tokenizer::{TIMESTAMPS, WhisperTask, WhisperTokenizer};

use super::fallback::{DecodingResult, FallbackDecoder};
use super::hallucination::{Surroundings, drop_hallucinations};
use super::prompt::{Prompt, hotword_tokens, prompt};
use super::recording::Recording;
use super::segments::{self, Draft};
use super::words::{WordContext, add_words};
use super::{WINDOW_FRAMES, encoder_context, quality};
use crate::whisper::search::{LogitsRules, RuleOptions};
use crate::whisper::{Config, DecoderState, EncoderContext};

/// Number of consecutive windows that may advance by less than [`SHORT_ADVANCE_FRAMES`]; after that a whole window is skipped.
/// Otherwise a model that writes very short segments would decode the same audio hundreds of times.
const MAX_SHORT_ADVANCES: usize = 3;
const SHORT_ADVANCE_FRAMES: usize = 100;

/// Width of whisper-base.
const BASE_WIDTH: usize = 512;

/// State of a sequential transcription.
pub(super) struct SequentialTranscriber<'a> {
    recording: &'a Recording<'a>,
    config: &'a Config,
    tokenizer: &'a WhisperTokenizer,
    options: &'a TranscribeOptions,
    context: JobContext<'a>,
    /// Language of the text.
    text_language: &'a str,
    rules: LogitsRules,
    start_sequence: Vec<u32>,
    start_without_timestamps: Vec<u32>,
    hotwords: Vec<u32>,
    /// Tokens that condition the next window: the initial prompt and the text so far.
    previous: Vec<u32>,
    /// Text of the previous window.
    last_text: String,
    /// End of the last word, in seconds of the decoded audio.
    last_speech_s: f64,
    segments: Vec<Arc<Segment>>,
}

/// Result of a window.
struct Outcome {
    segments: Vec<Arc<Segment>>,
    /// Frame at which the next window starts.
    resume_frame: usize,
}

impl<'a> SequentialTranscriber<'a> {
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

    /// Decodes everything from `first_frame` on. `first_window` is the decoder of the first window if it is already encoded.
    pub(super) fn run(
        mut self,
        first_frame: usize,
        mut first_window: Option<Box<dyn DecoderState + 'a>>,
        sink: &mut dyn TranscriptSink,
    ) -> Result<Vec<Arc<Segment>>, ModelError> {
        let content_frames = self.recording.content_frames();
        let mut frame = first_frame;
        let mut short_advances = 0;
        while frame < content_frames {
            let window_frames = self.recording.window_frames(frame);
            // The window was encoded before its language was known; in that language a trimmed window may not be acceptable.
            let first_window = first_window
                .take()
                .filter(|window| !window.is_trimmed() || self.trimmed_acceptance().is_some());
            let outcome = if self.recording.is_silent(frame) {
                Outcome { segments: Vec::new(), resume_frame: frame + window_frames }
            } else {
                let _permit =
                    self.context.enter_batch(frame as f64 / 100.0, self.recording.share(self.options))?;
                let mut decoder = match first_window {
                    Some(decoder) => decoder,
                    None => self.recording.encode(frame, self.first_encoder_context(), self.context)?,
                };
                self.window(&mut decoder, frame)?
            };
            for segment in outcome.segments {
                sink.event(TranscriptEvent::Segment(segment.clone()));
                self.segments.push(segment);
            }

            let advance = outcome.resume_frame.saturating_sub(frame);
            let is_short = advance < SHORT_ADVANCE_FRAMES.min(window_frames);
            short_advances = if is_short { short_advances + 1 } else { 0 };
            let skip = advance == 0 || short_advances > MAX_SHORT_ADVANCES;
            frame += if skip { window_frames } else { advance };
            let done_s = self.recording.end_s(frame.min(content_frames) as f64 / 100.0);
            sink.event(TranscriptEvent::Progress(done_s));
        }
        sink.event(TranscriptEvent::Progress(self.recording.duration_s()));
        Ok(self.segments)
    }

    /// Decodes the window that starts at `frame`.
    fn window(
        &mut self,
        decoder: &mut Box<dyn DecoderState + 'a>,
        frame: usize,
    ) -> Result<Outcome, ModelError> {
        let options = self.options;
        let window_frames = self.recording.window_frames(frame);
        let window_start_s = frame as f64 / 100.0;

        let speech_s = OnceCell::new();
        let speech_s = || speech_s.get_or_init(|| self.recording.speech_s(frame));
        let fallback = FallbackDecoder {
            tokenizer: self.tokenizer,
            rules: &self.rules,
            options,
            cancel: self.context.cancel,
            window_frames,
            has_speech: &|| options.whisper.no_speech_threshold.is_none() || !speech_s().is_empty(),
        };
        // Any odd constant gives the windows different seeds.
        let seed = options.seed.wrapping_add((frame as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let prompt = self.prompt(&self.previous);
        let mut result = self.decode(&fallback, decoder, &prompt, seed, frame)?;
        let repeats = !result.text.is_empty() && result.text == self.last_text;
        if !self.previous.is_empty() && (repeats || fallback.exceeds_speech_rate(&result)) {
            // Conditioned on its own text, the model may repeat it whatever the audio is, in this and all later windows.
            result = fallback.decode_with_fallback(&mut **decoder, &self.prompt(&[]), seed)?;
            self.previous.clear();
        }
        if self.is_silence(&result) || (quality::is_doubtful(&result) && !(fallback.has_speech)()) {
            return Ok(Outcome { segments: Vec::new(), resume_frame: frame + window_frames });
        }

        let hypothesis = &result.hypothesis;
        let cut = segments::cut(
            &hypothesis.tokens,
            &hypothesis.logprobs,
            self.tokenizer.timestamp_begin(),
            window_start_s,
            window_frames,
        );
        let mut drafts = cut.drafts;
        // Text that starts after the end of the audio is hallucinated.
        let audio_end_s = (frame + window_frames) as f64 / 100.0;
        drafts.retain(|draft| draft.start_s < audio_end_s);
        drafts.dedup_by(|draft, before| quality::is_echo(before, draft, audio_end_s, self.tokenizer));
        if options.whisper.no_speech_threshold.is_some() {
            let eot = self.tokenizer.eot();
            drafts.retain(|draft| {
                !quality::is_doubtful_segment(draft, eot) || quality::has_speech(draft, speech_s())
            });
        }
        let mut resume_frame = frame + cut.advance_frames;
        if options.word_timestamps {
            let resume_s = self.align(&mut **decoder, &mut drafts, frame, cut.ends_in_silence)?;
            resume_frame = resume_s.map_or(resume_frame, frames);
        }

        let segments = self.finish(drafts, &result, frame);
        self.last_text = result.text;
        if !options.whisper.condition_on_previous_text
            || result.temperature > options.whisper.prompt_reset_temperature
        {
            self.previous.clear();
        }
        Ok(Outcome { segments, resume_frame })
    }

    /// Adds word times to the segments of the window that starts at `frame`, and drops segments that they show to be
    /// hallucinated. Returns the start of the next window in seconds if the words determine it.
    fn align(
        &mut self,
        decoder: &mut dyn DecoderState,
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

    /// Decodes the window that starts at `frame`. If the result on a trimmed window is not accepted, a wider one is encoded.
    fn decode(
        &self,
        fallback: &FallbackDecoder<'_>,
        decoder: &mut Box<dyn DecoderState + 'a>,
        prompt: &Prompt,
        seed: u64,
        frame: usize,
    ) -> Result<DecodingResult, ModelError> {
        if decoder.is_trimmed()
            && let Some((min_avg_logprob, wider)) = self.trimmed_acceptance()
        {
            if let Some(result) = fallback.decode_trimmed(&mut **decoder, prompt, min_avg_logprob, seed)? {
                return Ok(result);
            }
            *decoder = self.recording.encode(frame, wider, self.context)?;
        }
        fallback.decode_with_fallback(&mut **decoder, prompt, seed)
    }

    /// The encoder context with which a window with less than 30 s of audio is encoded first.
    fn first_encoder_context(&self) -> EncoderContext {
        let window = encoder_context(self.config, self.options);
        if window == EncoderContext::Trimmed && self.trimmed_acceptance().is_none() {
            EncoderContext::Full
        } else {
            window
        }
    }

    /// The lowest mean log probability at which the text of a trimmed window is accepted, and the encoder context with which
    /// the window is decoded again below that; `None` if trimmed windows are never accepted.
    ///
    /// Trimming costs accuracy on difficult speech and on many clips shorter than three seconds; their log probabilities are
    /// low. For English, four more seconds are as good as all 30, and decoding again helps below -0.9; with the tiny models it
    /// helps below -0.8, and only with all 30. When a recording's last window is conditioned on previous text and its audio is
    /// unclear, the model may repeat that text, with a rather high probability. For other languages decoding again helps
    /// below -0.3, and only with all 30 seconds; tiny and base reach -0.3 in only one of ten windows.
    fn trimmed_acceptance(&self) -> Option<(f32, EncoderContext)> {
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

    /// Whether the model detects no speech and its text is improbable as well.
    fn is_silence(&self, result: &DecodingResult) -> bool {
        let probable = self.options.whisper.logprob_threshold.is_some_and(|limit| result.avg_logprob > limit);
        let no_speech = self.options.whisper.no_speech_threshold;
        no_speech.is_some_and(|limit| result.no_speech_prob > limit) && !probable
    }

    /// Segments of the drafts that have text and a duration; their tokens become previous text.
    fn finish(&mut self, drafts: Vec<Draft>, result: &DecodingResult, frame: usize) -> Vec<Arc<Segment>> {
        let mut segments = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let text = self.tokenizer.decode(&draft.tokens);
            // The model writes punctuation alone for sounds that are not speech.
            if draft.start_s == draft.end_s || !text.contains(char::is_alphanumeric) {
                continue;
            }
            self.previous.extend_from_slice(&draft.tokens);
            let words: Vec<_> = draft.words.into_iter().map(|word| self.recording.map_word(word)).collect();
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
                    temperature: result.temperature,
                    avg_logprob: result.avg_logprob,
                    compression_ratio: result.compression_ratio,
                    no_speech_prob: result.no_speech_prob,
                }),
            }));
        }
        segments
    }
}

fn frames(seconds: f64) -> usize {
    (seconds * 100.0).round() as usize
}

/// End of the last word, or of the last draft if there are no words.
fn speech_end_s(drafts: &[Draft]) -> Option<f64> {
    let last_word = drafts.iter().rev().find_map(|draft| draft.words.last());
    last_word.map(|word| word.end_s).or_else(|| drafts.last().map(|draft| draft.end_s))
}

fn rules(config: &Config, tokenizer: &WhisperTokenizer, options: &TranscribeOptions) -> LogitsRules {
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
    LogitsRules::new(&RuleOptions {
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
