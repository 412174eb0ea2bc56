//! The service without HTTP: the catalogue of models, their download and loading, and the jobs that run on them.
//!
//! [`Engine`] is the handle to all of it. Each job runs on its own thread: it decodes its audio, waits until its model is
//! in memory, and then computes step by step, window by window or sentence by sentence. The scheduler decides which job
//! computes its next step. Async code only waits for [`TranscriptionJob::next`] or [`SpeechJob::next`].
//!
//! [`Engine::launch`] runs a model under a uid, as Xinference does; [`Engine::select`] finds the model that a request
//! names, whether it is running or must be loaded first.

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
