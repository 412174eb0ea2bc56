//! Transcription jobs: what a request consists of, and the events of a job.

use std::path::PathBuf;
use std::sync::Arc;

use mynah_core::{CancelFlag, Segment, TranscribeOptions, Transcript};
use tokio::sync::mpsc::Receiver;

use crate::Error;
use crate::lifecycle::model_cache::LoadProgress;
use crate::model_ref::ModelRef;
use crate::scheduler::client_id::ClientId;

/// Maximum events buffered for the reader; beyond that the job waits, without a permit.
pub(crate) const MAX_BUFFERED_EVENTS: usize = 256;

/// Source of the audio.
#[derive(Debug)]
pub enum AudioSource {
    /// A file, which is not changed.
    Path(PathBuf),
    /// A whole file in memory.
    Bytes(Vec<u8>),
    /// A file that is deleted once it has been read.
    TempFile(tempfile::TempPath),
}

/// A request to [`Engine::transcribe`](crate::Engine::transcribe).
#[derive(Debug)]
pub struct TranscribeRequest {
    /// The model.
    pub model: ModelRef,
    /// The audio, in any format that `mynah_audio` decodes.
    pub audio: AudioSource,
    /// The transcription options.
    pub options: TranscribeOptions,
    /// The client; `None` counts as a separate client.
    pub client: Option<ClientId>,
}

/// Events of a job, in this order; [`TranscriptionEvent::Done`] or [`TranscriptionEvent::Failed`] is the last.
#[derive(Clone, Debug)]
pub enum TranscriptionEvent {
    /// The audio is decoded, but the model is not ready yet.
    Waiting(LoadProgress),
    /// The audio is decoded and the model ready.
    Started {
        /// Length of the audio, seconds.
        duration_s: f64,
    },
    /// Its first step is about to be computed.
    FirstStep {
        /// Time in the queue, seconds.
        waited_s: f64,
    },
    /// The language is known: code and probability.
    Language(String, f32),
    /// A segment is final.
    Segment(Arc<Segment>),
    /// Seconds of audio that are transcribed so far.
    Progress(f64),
    /// The job has succeeded.
    Done(Arc<Transcript>),
    /// The job has failed or was cancelled.
    Failed(Error),
}

/// A running job. Dropping it stops the work within one decoder step.
#[derive(Debug)]
pub struct TranscriptionJob {
    pub(crate) events: Receiver<TranscriptionEvent>,
    pub(crate) cancel: CancelFlag,
}

impl TranscriptionJob {
    /// The next event; `None` after the last.
    pub async fn next(&mut self) -> Option<TranscriptionEvent> {
        self.events.recv().await
    }

    /// The next event; `None` after the last. Blocks, so it must not be called from async code.
    pub fn next_blocking(&mut self) -> Option<TranscriptionEvent> {
        self.events.blocking_recv()
    }

    /// Asks the job to stop; its last event is then [`TranscriptionEvent::Failed`] with [`Error::Cancelled`].
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// A flag that stops the job when raised, e.g. from a signal handler.
    pub fn cancel_flag(&self) -> CancelFlag {
        self.cancel.clone()
    }
}

impl Drop for TranscriptionJob {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}
