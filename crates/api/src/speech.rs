//! Answers of `/v1/audio/speech` and `/v1/audio/voices`. Times are seconds of the audio.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Word;

/// One server-sent event of `stream_format=sse`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
pub enum SpeechStreamEvent {
    /// The next bytes of the audio. All of them joined are a file of the format asked for.
    #[serde(rename = "speech.audio.delta")]
    Delta {
        /// The bytes in base64.
        audio: String,
    },
    /// The end.
    #[serde(rename = "speech.audio.done")]
    Done {
        /// What the request cost.
        usage: SpeechUsage,
        /// The words and their places in the audio, if `timestamp_granularities[]=word` asked for them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        words: Option<Vec<Word>>,
    },
}

/// What a speech cost, in the model's own units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SpeechUsage {
    /// Units of text that the model read.
    pub input_tokens: u64,
    /// Units of sound that it made.
    pub output_tokens: u64,
    /// Both together.
    pub total_tokens: u64,
}

/// A spoken text's words with their times, as a file beside the audio.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpokenWords {
    /// The text that was spoken.
    pub text: String,
    /// Length of the audio.
    pub duration: f64,
    /// The words in order.
    pub words: Vec<Word>,
}

/// A voice that requests can name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Voice {
    /// Name to be used as `voice` in requests.
    pub id: String,
    /// The same name, where clients look for it.
    pub name: String,
    /// Model that speaks with it.
    pub model: String,
    /// Language tag, e.g. `en-GB`.
    pub language: String,
    /// `female` or `male`.
    pub gender: String,
    /// Other names that mean it, those of OpenAI's voices among them.
    pub aliases: Vec<String>,
    /// Whether the model speaks with it where no voice is named.
    pub default: bool,
    /// Whether it is on this machine already.
    pub on_disk: bool,
}

/// Answer of `GET /v1/audio/voices`: the same list under the two names that clients look for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VoiceList {
    /// Always `list`.
    pub object: String,
    /// The voices.
    pub voices: Vec<Voice>,
    /// The voices.
    pub data: Vec<Voice>,
}
