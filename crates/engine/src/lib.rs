//! The service without HTTP: which models there are, getting them on disk and into memory, and running jobs on them.
//!
//! [`Engine`] is the handle to all of it. A job runs on a thread of its own: it decodes its audio, waits until its model
//! is in memory and then computes window after window, or speaks sentence after sentence, taking turns with the other
//! jobs. Async code only waits for [`TranscriptionJob::next`] or [`SpeechJob::next`].
//!
//! [`Engine::launch`] makes a model run under a uid, as Xinference does; [`Engine::select`] finds the model that a request
//! names, whether it runs or has yet to be loaded.

mod catalogue;
mod device;
mod disk;
mod download;
mod engine;
mod error;
mod jobs;
mod lifecycle;
mod model_info;
mod model_ref;
mod panics;
mod scheduler;
mod settings;
mod state_store;
mod store;
mod sync;

pub use catalogue::{Entry, HubFile, PinnedFile, Registration, Source, Voice, VoiceFile};
pub use download::PullProgress;
pub use engine::Engine;
pub use error::Error;
pub use jobs::request_memory::{RequestMemory, Reservation};
pub use jobs::speech::{ReferenceSource, SpeakRequest, SpeechEvent, SpeechJob, SpeechResult};
pub use jobs::transcription::{AudioSource, TranscribeRequest, TranscriptionEvent, TranscriptionJob};
pub use lifecycle::event_log::{Event, Severity};
pub use lifecycle::instances::{Launch, LaunchRequest, Lease, Phase, Running};
pub use lifecycle::model_cache::LoadProgress;
pub use lifecycle::running::Selected;
pub use model_info::{CheckpointInfo, ModelStatus, VoiceStatus};
pub use model_ref::{ModelRef, Variant};
pub use scheduler::client_id::ClientId;
pub use scheduler::stats::{BatchStats, SizeHistogram};
pub use settings::{DownloadTimeouts, Settings, SourcePreference};
pub use store::{OnDisk, Origin};
