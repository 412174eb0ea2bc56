//! The service without HTTP: which models there are, getting them on disk and into memory, and running jobs on them.
//!
//! [`Engine`] is the handle to all of it. A job runs on a thread of its own: it decodes its audio, waits until its model
//! is in memory and then computes window after window, or speaks sentence after sentence, taking turns with the other
//! jobs. Async code only waits for [`Job::next`] or [`SpeechJob::next`].
//!
//! [`Engine::launch`] makes a model run under a uid, as Xinference does; [`Engine::select`] finds the model that a request
//! names, whether it runs or has yet to be loaded.

mod audio;
mod available_memory;
mod batches;
mod catalogue;
mod engine;
mod error;
mod instances;
mod job;
mod journal;
mod loaded;
mod pull;
mod queue;
mod records;
mod request_memory;
mod settings;
mod speech;
mod store;
mod sync;
mod synthesizer;
mod transcriber;
mod turnstile;
mod windows;

pub use batches::{Batches, Sizes};
pub use catalogue::{Ability, Entry, HubFile, PinnedFile, Registration, Source, Voice, VoiceFile};
pub use engine::{Engine, Loaders, ModelRef, ModelStatus, Selected, Variant, VoiceStatus};
pub use error::Error;
pub use instances::{Launch, LaunchRequest, Lease, Phase, Running};
pub use job::{AudioSource, Job, JobEvent, TranscribeRequest};
pub use journal::{Event, Severity};
pub use loaded::LoadProgress;
pub use pull::PullProgress;
pub use request_memory::{RequestMemory, Reservation};
pub use settings::{Patience, Settings, SourcePreference};
pub use speech::{Recording, SpeakRequest, SpeechEvent, SpeechJob, Spoken};
pub use store::{OnDisk, Origin};
pub use synthesizer::{LoadSynthesizer, Synthesizer, family_of_checkpoint};
pub use transcriber::{LoadTranscriber, Transcriber};
pub use windows::ClientId;
