//! Options, events and the trait of speech-to-text models. Times are seconds of the input audio.

use std::ops::Range;
use std::sync::Arc;

use crate::{JobContext, ModelError, Segment, Transcript, TranscriptionCapabilities};

/// Task of a speech-to-text request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Task {
    /// Transcribe in the spoken language.
    #[default]
    Transcribe,
    /// Translate to English.
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
    /// Audio kept before detected speech.
    pub prefix_padding_ms: u32,
    /// Silence that ends a speech segment.
    pub silence_duration_ms: u32,
}

impl Default for VadOptions {
    fn default() -> Self {
        Self { threshold: 0.5, prefix_padding_ms: 300, silence_duration_ms: 200 }
    }
}

/// How much of its 30 s window Whisper's encoder computes when there is less audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AudioContext {
    /// [`AudioContext::Trimmed`] for models whose error rates were measured with it, [`AudioContext::Full`] for the others.
    #[default]
    Auto,
    /// The audio and one second after it; the rest is padding whose keys and values were computed once. The full
    /// window is computed anyway for translations, and for audio on which trimming causes too many errors.
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

/// Options of Whisper and models decoded like it.
#[derive(Clone, Debug, PartialEq)]
pub struct WhisperOptions {
    /// Maximum number of 30 s windows for language detection.
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
    /// Temperatures tried one after the other until a window passes the two thresholds below.
    pub temperatures: Vec<f32>,
    /// A window whose text has a higher compression ratio (zlib) is decoded again; `None` disables the test.
    pub compression_ratio_threshold: Option<f32>,
    /// A window whose mean token log probability is below this is decoded again; `None` disables the test.
    pub logprob_threshold: Option<f32>,
    /// A window with a higher no-speech probability that is also below `logprob_threshold` is skipped; `None` never skips.
    pub no_speech_threshold: Option<f32>,
    /// Condition each window on the text so far.
    pub condition_on_previous_text: bool,
    /// Drop the text so far after a window that needed a temperature above this.
    pub prompt_reset_temperature: f32,
    /// Token ids that are never chosen, in addition to the checkpoint's own list.
    pub suppress_tokens: Vec<u32>,
    /// Use the checkpoint's own list of suppressed tokens (symbols that are not speech).
    pub suppress_non_speech: bool,
    /// Predict timestamps; if false, each window is one segment.
    pub timestamps: bool,
    /// The first timestamp of a window is at most this.
    pub max_initial_timestamp_s: f32,
    /// With word times, skip silence longer than this around text that looks hallucinated.
    pub hallucination_silence_s: Option<f32>,
    /// How much is encoded of a window with less than 30 s of audio.
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
    /// Name of the first option that is not at its default, as in requests.
    pub fn first_changed(&self) -> Option<&'static str> {
        // Destructured, so that a new option cannot be forgotten here.
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

/// One request's options: common ones and Whisper's own. The command line and the HTTP routes start from [`Default`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TranscribeOptions {
    /// Transcribe or translate.
    pub task: Task,
    /// Code of the spoken language (`en`, `yue`); `None` detects it.
    pub language: Option<String>,
    /// Detect one of these codes only; empty: any.
    pub allowed_languages: Vec<String>,
    /// Text before this audio, or a sample of its style.
    pub initial_prompt: Option<String>,
    /// Words and phrases that are likely to occur.
    pub hotwords: Vec<String>,
    /// Align every word with the audio.
    pub word_timestamps: bool,
    /// Whether the client needs token log probabilities. Models that have them always return them.
    pub logprobs: bool,
    /// Transcribe only detected speech.
    pub vad: Option<VadOptions>,
    /// Random seed; equal seeds give equal results.
    pub seed: u64,
    /// Whisper's own.
    pub whisper: WhisperOptions,
}

/// The audio of a request.
#[derive(Clone, Copy, Debug)]
pub struct AudioInput<'a> {
    /// Mono samples at 16 kHz.
    pub samples: &'a [f32],
    /// The speech segments of `samples` to transcribe, in order, if they were detected; `None`: everything.
    pub speech: Option<&'a [Range<usize>]>,
}

impl<'a> From<&'a [f32]> for AudioInput<'a> {
    fn from(samples: &'a [f32]) -> Self {
        Self { samples, speech: None }
    }
}

/// What a model reports during transcription.
#[derive(Clone, Debug, PartialEq)]
pub enum TranscriptEvent {
    /// The language is known (given or detected): code and probability.
    Language(String, f32),
    /// A segment is final.
    Segment(Arc<Segment>),
    /// Seconds of audio done so far.
    Progress(f64),
}

/// Receives events of a transcription. Called on the job's thread, which then holds neither a batch permit nor a step
/// permit.
pub trait TranscriptSink {
    /// Handles an event. May block until the reader is ready.
    fn event(&mut self, event: TranscriptEvent);
}

/// Ignores all events.
impl TranscriptSink for () {
    fn event(&mut self, _: TranscriptEvent) {}
}

/// A loaded speech-to-text model, shared by all jobs.
pub trait Transcriber: Send + Sync {
    /// The options that it supports.
    fn capabilities(&self) -> TranscriptionCapabilities;

    /// Bytes of weights in memory; 0 if unknown.
    fn weight_bytes(&self) -> u64 {
        0
    }

    /// Transcribes `audio`. Computes only under `context`'s batch and step permits, and stops within one step of being cancelled.
    /// The caller leaves options that its capabilities exclude at their defaults.
    ///
    /// # Errors
    /// For a value that the model cannot use, and [`ModelError::Cancelled`].
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
