//! What every speech-to-text model is asked for and what it answers. Times are seconds of the input audio.

use std::ops::Range;
use std::sync::Arc;

use crate::{JobContext, ModelError, Segment, Transcript, TranscriptionCapabilities};

/// What to make of the speech.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Task {
    /// Text in the spoken language.
    #[default]
    Transcribe,
    /// English text.
    Translate,
}

impl Task {
    /// `transcribe` or `translate`, as in Whisper's tokens and the API's `task` field.
    pub fn as_str(self) -> &'static str {
        match self {
            Task::Transcribe => "transcribe",
            Task::Translate => "translate",
        }
    }
}

/// Voice activity detection before decoding. Defaults are OpenAI's `server_vad`.
#[derive(Clone, Debug, PartialEq)]
pub struct VadOptions {
    /// Speech probability from which a frame counts as speech, 0 to 1.
    pub threshold: f32,
    /// Audio kept before the detected speech.
    pub prefix_padding_ms: u32,
    /// Silence that ends a stretch of speech.
    pub silence_duration_ms: u32,
}

impl Default for VadOptions {
    fn default() -> Self {
        Self { threshold: 0.5, prefix_padding_ms: 300, silence_duration_ms: 200 }
    }
}

/// What Whisper's encoder computes of its 30 s window where there is less audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AudioContext {
    /// [`AudioContext::Trimmed`] for models whose error rates were measured with it, [`AudioContext::Full`] for the others.
    #[default]
    Auto,
    /// The audio and a second after it; the rest is padding whose keys and values were computed once. A model computes the full
    /// window all the same for translations, and for audio that it makes too many errors on otherwise.
    Trimmed,
    /// All of it, as the model was trained.
    Full,
}

impl AudioContext {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Trimmed, Self::Full];

    /// The name on the command line and in requests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Trimmed => "trimmed",
            Self::Full => "full",
        }
    }
}

/// What only Whisper and models decoded like it can be asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct WhisperOptions {
    /// Windows of 30 s that language detection looks at, at most.
    pub language_detection_windows: usize,
    /// Hypotheses kept at temperature 0; 1 is greedy.
    pub beam_size: usize,
    /// Finished hypotheses to wait for, as a multiple of `beam_size` (arXiv:2204.05424).
    pub patience: f32,
    /// Exponent of the length by which a hypothesis' log probability is divided when ranking; `None` is the plain
    /// mean, otherwise Google NMT's `((5 + length) / 6) ^ penalty`.
    pub length_penalty: Option<f32>,
    /// Samples drawn at temperatures above 0, of which the best is kept.
    pub best_of: usize,
    /// Temperatures tried in turn until a window passes the two thresholds below.
    pub temperatures: Vec<f32>,
    /// A window whose text compresses better than this (zlib) is tried again; `None` switches the test off.
    pub compression_ratio_threshold: Option<f32>,
    /// A window whose mean token log probability is below this is tried again; `None` switches the test off.
    pub logprob_threshold: Option<f32>,
    /// A window more probably silent than this, and below `logprob_threshold`, is skipped; `None`: never skip.
    pub no_speech_threshold: Option<f32>,
    /// Give the text so far to the next window as its prompt.
    pub condition_on_previous_text: bool,
    /// Forget the text so far after a window that needed a temperature above this.
    pub prompt_reset_temperature: f32,
    /// Token ids that are never chosen, beside the checkpoint's own list.
    pub suppress_tokens: Vec<u32>,
    /// Use the checkpoint's own list of suppressed tokens (symbols that are not speech).
    pub suppress_non_speech: bool,
    /// Predict timestamps; off gives one segment a window.
    pub timestamps: bool,
    /// The first timestamp of a window is at most this.
    pub max_initial_timestamp_s: f32,
    /// With word times, skip silence longer than this around text that looks hallucinated.
    pub hallucination_silence_s: Option<f32>,
    /// What is computed of a window with less audio than it can hold.
    pub audio_context: AudioContext,
}

impl Default for WhisperOptions {
    fn default() -> Self {
        Self {
            language_detection_windows: 1,
            beam_size: 5,
            patience: 1.0,
            length_penalty: None,
            best_of: 5,
            temperatures: vec![0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
            compression_ratio_threshold: Some(2.4),
            logprob_threshold: Some(-1.0),
            no_speech_threshold: Some(0.6),
            condition_on_previous_text: true,
            prompt_reset_temperature: 0.5,
            suppress_tokens: Vec::new(),
            suppress_non_speech: true,
            timestamps: true,
            max_initial_timestamp_s: 1.0,
            hallucination_silence_s: None,
            audio_context: AudioContext::Auto,
        }
    }
}

impl WhisperOptions {
    /// Name of the first option that is not at its default, as the field of a request is called.
    pub fn first_changed(&self) -> Option<&'static str> {
        // Taken apart, so that a new option cannot be forgotten here.
        let Self {
            language_detection_windows,
            beam_size,
            patience,
            length_penalty,
            best_of,
            temperatures,
            compression_ratio_threshold,
            logprob_threshold,
            no_speech_threshold,
            condition_on_previous_text,
            prompt_reset_temperature,
            suppress_tokens,
            suppress_non_speech,
            timestamps,
            max_initial_timestamp_s,
            hallucination_silence_s,
            audio_context,
        } = self;
        let default = Self::default();
        let changed = [
            ("language_detection_windows", *language_detection_windows != default.language_detection_windows),
            ("beam_size", *beam_size != default.beam_size),
            ("patience", *patience != default.patience),
            ("length_penalty", *length_penalty != default.length_penalty),
            ("best_of", *best_of != default.best_of),
            ("temperature", *temperatures != default.temperatures),
            (
                "compression_ratio_threshold",
                *compression_ratio_threshold != default.compression_ratio_threshold,
            ),
            ("logprob_threshold", *logprob_threshold != default.logprob_threshold),
            ("no_speech_threshold", *no_speech_threshold != default.no_speech_threshold),
            ("condition_on_previous_text", *condition_on_previous_text != default.condition_on_previous_text),
            ("prompt_reset_temperature", *prompt_reset_temperature != default.prompt_reset_temperature),
            ("suppress_tokens", *suppress_tokens != default.suppress_tokens),
            ("suppress_tokens", *suppress_non_speech != default.suppress_non_speech),
            ("without_timestamps", *timestamps != default.timestamps),
            ("max_initial_timestamp", *max_initial_timestamp_s != default.max_initial_timestamp_s),
            ("hallucination_silence_threshold", *hallucination_silence_s != default.hallucination_silence_s),
            ("audio_context", *audio_context != default.audio_context),
        ];
        changed.into_iter().find(|(_, changed)| *changed).map(|(name, _)| name)
    }
}

/// One request's options: those that every model may be asked for, and Whisper's own. [`Default`] is what the command line
/// and the HTTP routes start from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TranscribeOptions {
    /// Transcribe or translate.
    pub task: Task,
    /// Code of the spoken language (`en`, `yue`); `None` detects it.
    pub language: Option<String>,
    /// Detection chooses among these codes only; empty: among all.
    pub allowed_languages: Vec<String>,
    /// Text before this audio, or a sample of its style.
    pub initial_prompt: Option<String>,
    /// Words and phrases that are likely to occur.
    pub hotwords: Vec<String>,
    /// Align every word with the audio.
    pub word_timestamps: bool,
    /// Log probabilities of the tokens will be read. Models that have them give them in any case.
    pub logprobs: bool,
    /// Cut the audio at silence before decoding.
    pub vad: Option<VadOptions>,
    /// Seed of everything random; equal seeds give equal results.
    pub seed: u64,
    /// Whisper's own.
    pub whisper: WhisperOptions,
}

/// The audio of a request.
#[derive(Clone, Copy, Debug)]
pub struct AudioInput<'a> {
    /// Mono samples at 16 kHz.
    pub samples: &'a [f32],
    /// The stretches of `samples` to transcribe, in order, where the request had voice activity detected; `None`: all.
    pub speech: Option<&'a [Range<usize>]>,
}

impl<'a> From<&'a [f32]> for AudioInput<'a> {
    fn from(samples: &'a [f32]) -> Self {
        Self { samples, speech: None }
    }
}

/// What a model reports while it works.
#[derive(Clone, Debug, PartialEq)]
pub enum TranscriptEvent {
    /// The language is known (given or detected): code and probability.
    Language(String, f32),
    /// A segment is final.
    Segment(Arc<Segment>),
    /// Seconds of audio done so far.
    Progress(f64),
}

/// Receives a transcript while it is made. Called on the job's thread, which then holds neither room in a batch nor a step
/// permit.
pub trait TranscriptSink {
    /// Something became known. May block until the reader wants it.
    fn event(&mut self, event: TranscriptEvent);
}

/// Drops all events.
impl TranscriptSink for () {
    fn event(&mut self, _: TranscriptEvent) {}
}

/// A loaded speech-to-text model, shared by all jobs.
pub trait Transcriber: Send + Sync {
    /// What it can be asked for.
    fn capabilities(&self) -> TranscriptionCapabilities;

    /// Bytes of weights in memory; 0 where that is not known.
    fn weight_bytes(&self) -> u64 {
        0
    }

    /// Transcribes. Computes within `context`'s batch and step permits only, and stops within one step of being cancelled.
    /// Options that its capabilities exclude are left at their defaults by the caller.
    ///
    /// # Errors
    /// A value that the model cannot use, or cancelled.
    fn transcribe(
        &self,
        audio: AudioInput<'_>,
        options: &TranscribeOptions,
        context: JobContext<'_>,
        sink: &mut dyn TranscriptSink,
    ) -> Result<Transcript, ModelError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_option_is_named_as_in_requests() {
        assert_eq!(WhisperOptions::default().first_changed(), None);
        let options = WhisperOptions { suppress_non_speech: false, ..WhisperOptions::default() };
        assert_eq!(options.first_changed(), Some("suppress_tokens"));
        let options = WhisperOptions { temperatures: vec![0.4], ..WhisperOptions::default() };
        assert_eq!(options.first_changed(), Some("temperature"));
    }
}
