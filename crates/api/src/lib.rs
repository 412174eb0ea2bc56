//! What goes over the wire: the bodies of OpenAI's audio API and of Xinference's, in one set of types that clients of
//! both read. Only types and their serde; nothing here knows sockets or models.

mod auth;
mod cluster;
mod error;
mod instance;
mod model;
mod registration;
mod speech;
mod transcription;

pub use auth::{Key, NewKey, TokenPair};
pub use cluster::{
    AuthProbe, ClusterNode, ClusterNodeDetails, ClusterStatus, ClusterVersion, CpuStatus, Done, Supervisor,
    Worker, WorkerStatus,
};
pub use error::{Detail, ErrorBody, ErrorObject, ValidationError};
pub use instance::{
    DownloadFile, Event, Instance, InstanceStatus, LaunchProgress, Launched, Replica, ReplicaProgress,
    ReplicaStatus, Stage,
};
pub use model::{Model, ModelDescription, ModelList, ModelVersion};
pub use registration::{
    CachedFiles, CachedModel, CachedModels, ModelSpec, RegisterRequest, RegistrationDetail, RegistrationName,
    VirtualEnvironment,
};
pub use speech::{SpeechStreamEvent, SpeechUsage, SpokenWords, Voice, VoiceList};
pub use transcription::{
    DetectedLanguage, Granularity, Logprob, ResponseFormat, Segment, StreamEvent, Transcription, Usage,
    VerboseTranscription, Word,
};
