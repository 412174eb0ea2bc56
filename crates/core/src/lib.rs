//! The types that all crates share: transcripts, options, capabilities, errors, and the traits that models implement.
//!
//! Nothing here reads files, opens sockets or computes. A server, a command line or a remote worker can use these types
//! without linking a model or a kernel.

mod cancel;
mod capabilities;
mod compute;
mod diarization;
mod error;
mod family;
mod job;
mod speech;
mod transcribe;
mod transcript;

pub use cancel::{CancelFlag, WakeOnCancel};
pub use capabilities::{Capabilities, SpeechCapabilities, Timestamps, TranscriptionCapabilities};
pub use compute::{ComputeType, Device, UnknownComputeType};
pub use diarization::{SpeakerTurn, assign_speakers};
pub use error::ModelError;
pub use family::{LoadContext, Model, ModelFamily, ModelTask, Registry};
pub use job::{BatchPermit, BatchShare, JobContext, Priority, StepPermit, StepScheduler, Unscheduled};
pub use speech::{AudioSink, ReferenceAudio, SpeechOptions, SpokenWord, Synthesizer, TokenCounts};
pub use transcribe::{
    AudioContext, AudioInput, Task, TranscribeOptions, Transcriber, TranscriptEvent, TranscriptSink,
    VadOptions, WhisperOptions,
};
pub use transcript::{DecodingStats, Segment, TokenLogprob, Transcript, Word};
