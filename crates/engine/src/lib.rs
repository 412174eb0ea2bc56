//! The service without HTTP: which models there are, getting them on disk and into memory, and running jobs on them.
//!
//! [`Engine`] is the handle to all of it. A job runs on a thread of its own; it decodes its audio, waits until its model
//! is in memory and then computes window after window, taking turns with the other jobs. Async code only waits for
//! [`Job::next`].

mod audio;
mod catalogue;
mod engine;
mod error;
mod job;
mod loaded;
mod pull;
mod settings;
mod store;
mod sync;
mod transcriber;
mod turnstile;

pub use catalogue::{Ability, Entry, PinnedFile, Source};
pub use engine::{Engine, ModelRef, ModelStatus};
pub use error::Error;
pub use job::{AudioSource, Job, JobEvent, TranscribeRequest};
pub use loaded::LoadProgress;
pub use pull::PullProgress;
pub use settings::{Patience, Settings, SourcePreference};
pub use store::{OnDisk, Origin};
pub use transcriber::{LoadTranscriber, Transcriber};
