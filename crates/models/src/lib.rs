//! Speech models: one folder a model. Weights are shared and immutable; all state lives in sessions.
//!
//! A model is loaded from a checkpoint on disk, which [`weights`] reads, runs synchronously on the thread that calls it
//! (its kernels spread over the pool of `mynah-kernels`) and knows nothing of queues, files being downloaded or HTTP.

#![forbid(unsafe_code)]

pub mod cancel;
pub mod chattts;
pub mod error;
pub mod hibari;
pub mod pace;
pub mod speech_to_text;
pub mod text_to_speech;
pub mod whisper;

pub use mynah_weights as weights;

pub use cancel::CancelFlag;
pub use chattts::ChatTts;
pub use error::Error;
pub use hibari::Hibari;
pub use pace::{Claim, Control, Pace, Share, Unpaced};
pub use speech_to_text::{
    EncoderWindow, Observer, Segment, Task, TranscribeOptions, Transcript, TranscriptEvent, VadOptions, Word,
};
pub use text_to_speech::{
    AudioChunk, Joiner, Listener, Pause, SpeechOptions, SpokenWord, TokenCounts, VoiceRecording,
};
