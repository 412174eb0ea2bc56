//! The service without HTTP: which models there are, getting them on disk and into memory, and running jobs on them.
//!
//! [`Engine`] is the handle to all of it. A job runs on a thread of its own: it decodes its audio, waits until its model
//! is in memory and then computes window after window, or speaks sentence after sentence, taking turns with the other
//! jobs. Async code only waits for [`Job::next`] or [`SpeechJob::next`].

mod audio;
mod catalogue;
mod engine;
mod error;
mod job;
mod loaded;
mod pull;
mod settings;
mod speech;
mod store;
mod sync;
mod synthesizer;
mod transcriber;
mod turnstile;
mod windows;

pub use catalogue::{Ability, Entry, HubFile, PinnedFile, Source, Voice, VoiceFile};
pub use engine::{Engine, Loaders, ModelRef, ModelStatus, VoiceStatus};
pub use error::Error;
pub use job::{AudioSource, Job, JobEvent, TranscribeRequest};
pub use loaded::LoadProgress;
pub use pull::PullProgress;
pub use settings::{Patience, Settings, SourcePreference};
pub use speech::{SpeakRequest, SpeechEvent, SpeechJob, Spoken};
pub use store::{OnDisk, Origin};
pub use synthesizer::{LoadSynthesizer, Synthesizer};
pub use transcriber::{LoadTranscriber, Transcriber};
pub use windows::ClientId;
