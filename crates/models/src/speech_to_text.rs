//! What every speech-to-text model is asked for and what it answers. Times are seconds of the input audio.

use std::sync::Arc;

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

/// What the encoder computes of its 30 s where there is less audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum EncoderWindow {
    /// The audio and a second behind it; what lies further behind is padding that was computed once.
    #[default]
    Fitted,
    /// The audio and four seconds behind it: what doubtful English is decoded again on, but by the tiny
    /// models.
    Wide,
    /// All of it, as the model was trained.
    Full,
}

/// One request's options. [`Default`] is what the command line and the HTTP routes start from.
#[derive(Clone, Debug, PartialEq)]
pub struct TranscribeOptions {
    /// Transcribe or translate.
    pub task: Task,
    /// Code of the spoken language (`en`, `yue`); `None` detects it.
    pub language: Option<String>,
    /// Detection chooses among these codes only; empty: among all.
    pub allowed_languages: Vec<String>,
    /// Windows of 30 s that language detection looks at, at most.
    pub language_detection_windows: usize,
    /// Text before this audio, or a sample of its style.
    pub initial_prompt: Option<String>,
    /// Words and phrases to lean towards.
    pub hotwords: Vec<String>,
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
    /// Align every word with the audio.
    pub word_timestamps: bool,
    /// With word times, skip silence longer than this around text that looks hallucinated.
    pub hallucination_silence_s: Option<f32>,
    /// Cut the audio at silence before decoding.
    pub vad: Option<VadOptions>,
    /// What is computed of a window with less audio than it can hold.
    pub encoder_window: EncoderWindow,
    /// Seed of the sampling at temperatures above 0; equal seeds give equal results.
    pub seed: u64,
}

impl Default for TranscribeOptions {
    fn default() -> Self {
        Self {
            task: Task::Transcribe,
            language: None,
            allowed_languages: Vec::new(),
            language_detection_windows: 1,
            initial_prompt: None,
            hotwords: Vec::new(),
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
            word_timestamps: false,
            hallucination_silence_s: None,
            vad: None,
            encoder_window: EncoderWindow::Fitted,
            seed: 0,
        }
    }
}

/// A word with its place in the audio.
#[derive(Clone, Debug, PartialEq)]
pub struct Word {
    /// The word as written, with its leading space and the punctuation that clings to it.
    pub text: String,
    /// Start, seconds.
    pub start_s: f64,
    /// End, seconds.
    pub end_s: f64,
    /// Mean probability of its tokens.
    pub probability: f32,
}

/// A chosen text token with its log probability.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenLogprob {
    /// Token id in the model's vocabulary.
    pub id: u32,
    /// The token's bytes; a single token may be a part of a character.
    pub bytes: Vec<u8>,
    /// Natural log probability.
    pub logprob: f32,
}

/// A stretch of text between two timestamps.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// 0, 1, 2... in the transcript.
    pub id: usize,
    /// First frame of 10 ms of the window that the segment was decoded in.
    pub seek_frames: usize,
    /// Start, seconds.
    pub start_s: f64,
    /// End, seconds.
    pub end_s: f64,
    /// Text with its leading space.
    pub text: String,
    /// Token ids of text and timestamps.
    pub tokens: Vec<u32>,
    /// The text tokens with their log probabilities.
    pub logprobs: Vec<TokenLogprob>,
    /// Temperature of the attempt that was kept.
    pub temperature: f32,
    /// Mean log probability of the window's tokens.
    pub avg_logprob: f32,
    /// Bytes of the window's text over bytes after zlib.
    pub compression_ratio: f32,
    /// Probability that the window has no speech.
    pub no_speech_prob: f32,
    /// Words, if they were asked for.
    pub words: Vec<Word>,
}

/// What a model is told and tells while it works.
#[derive(Clone, Debug, PartialEq)]
pub enum TranscriptEvent {
    /// The language is known (given or detected): code and probability.
    Language(String, f32),
    /// A segment is final.
    Segment(Arc<Segment>),
    /// Seconds of audio done so far.
    Progress(f64),
}

/// A whole transcript.
#[derive(Clone, Debug, PartialEq)]
pub struct Transcript {
    /// What was asked for.
    pub task: Task,
    /// Code of the spoken language, given or detected.
    pub language: String,
    /// Probability of `language`; 1 where it was given.
    pub language_probability: f32,
    /// All languages with their probabilities, most probable first; empty where the language was given.
    pub languages: Vec<(String, f32)>,
    /// Length of the input audio, seconds.
    pub duration_s: f64,
    /// Segments in order of time.
    pub segments: Vec<Arc<Segment>>,
}

impl Transcript {
    /// The segments' texts one after the other, outer white space trimmed.
    pub fn text(&self) -> String {
        let joined: String = self.segments.iter().map(|s| s.text.as_str()).collect();
        joined.trim().to_owned()
    }
}

/// Who watches a job. Called on the job's thread, outside of the windows that it computes.
pub trait Observer {
    /// Something became known.
    fn event(&mut self, event: TranscriptEvent);
}

/// Nobody watches.
impl Observer for () {
    fn event(&mut self, _: TranscriptEvent) {}
}
