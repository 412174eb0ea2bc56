//! Transcripts. Times are seconds of the input audio.

use std::sync::Arc;

use crate::Task;

/// A word with its times in the audio.
#[derive(Clone, Debug, PartialEq)]
pub struct Word {
    /// The word as written, with its leading space and adjoining punctuation.
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

/// Decoding statistics of a segment, if the model has them: Whisper's fields of OpenAI's `verbose_json`.
#[derive(Clone, Debug, PartialEq)]
pub struct DecodingStats {
    /// First frame of 10 ms of the window that the segment was decoded in.
    pub seek_frames: usize,
    /// Temperature of the accepted result.
    pub temperature: f32,
    /// Mean log probability of the window's tokens.
    pub avg_logprob: f32,
    /// Bytes of the window's text divided by its bytes after zlib.
    pub compression_ratio: f32,
    /// Probability that the window has no speech.
    pub no_speech_prob: f32,
}

/// Text with a start and an end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Segment {
    /// 0, 1, 2... in the transcript.
    pub id: usize,
    /// Start, seconds.
    pub start_s: f64,
    /// End, seconds.
    pub end_s: f64,
    /// Text with its leading space.
    pub text: String,
    /// Token ids of text and timestamps; empty if the model has none.
    pub tokens: Vec<u32>,
    /// The text tokens with their log probabilities; empty if the model has none.
    pub logprobs: Vec<TokenLogprob>,
    /// Words, if requested.
    pub words: Vec<Word>,
    /// The speaker, if requested and known.
    pub speaker: Option<String>,
    /// Decoding statistics, if the model has them.
    pub decoding: Option<DecodingStats>,
}

/// A whole transcript.
#[derive(Clone, Debug, PartialEq)]
pub struct Transcript {
    /// The requested task.
    pub task: Task,
    /// Code of the spoken language, given or detected.
    pub language: String,
    /// Probability of `language`; 1 if it was given.
    pub language_probability: f32,
    /// All languages with their probabilities, most probable first; empty if the language was given.
    pub languages: Vec<(String, f32)>,
    /// Length of the input audio, seconds.
    pub duration_s: f64,
    /// Segments in order of time.
    pub segments: Vec<Arc<Segment>>,
}

impl Transcript {
    /// The concatenated texts of the segments, trimmed.
    pub fn text(&self) -> String {
        let joined: String = self.segments.iter().map(|segment| segment.text.as_str()).collect();
        joined.trim().to_owned()
    }
}
