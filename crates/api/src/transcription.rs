//! Answers of `/v1/audio/transcriptions` and `/v1/audio/translations`. Times are seconds of the input audio.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a transcript is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResponseFormat {
    /// [`Transcription`].
    #[default]
    Json,
    /// The text alone.
    Text,
    /// SubRip subtitles.
    Srt,
    /// [`VerboseTranscription`].
    VerboseJson,
    /// WebVTT subtitles.
    Vtt,
}

impl ResponseFormat {
    /// All formats, in the order in which messages list them.
    pub const ALL: [Self; 5] = [Self::Json, Self::Text, Self::Srt, Self::VerboseJson, Self::Vtt];

    /// The parameter's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Text => "text",
            Self::Srt => "srt",
            Self::VerboseJson => "verbose_json",
            Self::Vtt => "vtt",
        }
    }
}

/// What a [`VerboseTranscription`] gives times of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Granularity {
    /// `words`.
    Word,
    /// `segments`.
    Segment,
}

/// `response_format=json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Transcription {
    /// The whole text.
    pub text: String,
    /// Tokens with their log probabilities, if `include[]=logprobs` asked for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<Vec<Logprob>>,
    /// The detected language, where the request left it open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub languages: Option<Vec<DetectedLanguage>>,
    /// What the request cost; absent in translations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// `response_format=verbose_json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VerboseTranscription {
    /// `transcribe` or `translate`.
    pub task: String,
    /// Lower-case English name of the text's language.
    pub language: String,
    /// Length of the input audio.
    pub duration: f64,
    /// The whole text.
    pub text: String,
    /// Present where granularity `segment` is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segments: Option<Vec<Segment>>,
    /// Present where granularity `word` is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<Vec<Word>>,
    /// What the request cost; absent in translations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// A stretch of text; OpenAI's clients require all ten keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Segment {
    /// 0, 1, 2...
    pub id: usize,
    /// First 10 ms frame of the window it was decoded in.
    pub seek: usize,
    /// Start.
    pub start: f64,
    /// End.
    pub end: f64,
    /// Text with its leading space.
    pub text: String,
    /// Token ids.
    pub tokens: Vec<u32>,
    /// Temperature of the attempt that was kept.
    pub temperature: f64,
    /// Mean log probability.
    pub avg_logprob: f64,
    /// Bytes of text over bytes compressed.
    pub compression_ratio: f64,
    /// Probability of silence.
    pub no_speech_prob: f64,
}

/// A word with its place in the audio.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Word {
    /// The word without the space and the punctuation around it.
    pub word: String,
    /// Start.
    pub start: f64,
    /// End.
    pub end: f64,
    /// How probable the model holds it, 0 to 1; beyond what OpenAI gives. Not for words that were spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
}

/// A chosen token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Logprob {
    /// Its text; a token that is a part of a character shows as U+FFFD.
    pub token: String,
    /// Natural log probability.
    pub logprob: f64,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A detected language.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DetectedLanguage {
    /// Its code, e.g. `en`.
    pub code: String,
}

/// What a request cost; speech recognition counts seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Usage {
    /// By length of the audio.
    Duration {
        /// Seconds, rounded up.
        seconds: u64,
    },
}

/// One server-sent event of a streamed transcription.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
pub enum StreamEvent {
    /// The next piece of text. All pieces joined are the text of [`StreamEvent::Done`].
    #[serde(rename = "transcript.text.delta")]
    Delta {
        /// The piece, with its leading space.
        delta: String,
        /// Its tokens, if asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        logprobs: Option<Vec<Logprob>>,
    },
    /// The end.
    #[serde(rename = "transcript.text.done")]
    Done {
        /// The whole text.
        text: String,
        /// All tokens, if asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        logprobs: Option<Vec<Logprob>>,
        /// As in [`Transcription::languages`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        languages: Option<Vec<DetectedLanguage>>,
        /// What the request cost; absent in translations.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        usage: Option<Usage>,
    },
}
