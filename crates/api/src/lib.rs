//! What goes over the wire: the bodies of OpenAI's audio API and of Xinference's, in one set of types that clients of
//! both read. Only types and their serde; nothing here knows sockets or models.

mod auth;
mod error;
mod model;
mod speech;
mod transcription;

pub use auth::{AuthProbe, Key, NewKey, TokenPair};
pub use error::{ErrorBody, ErrorObject};
pub use model::{Model, ModelList};
pub use speech::{SpeechStreamEvent, SpeechUsage, SpokenWords, Voice, VoiceList};
pub use transcription::{
    DetectedLanguage, Granularity, Logprob, ResponseFormat, Segment, StreamEvent, Transcription, Usage,
    VerboseTranscription, Word,
};
