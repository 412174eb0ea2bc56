//! Speech jobs: what a request consists of, the events of a job, and its result.

use bytes::Bytes;
use mynah_audio::{EncodeOptions, OutputFormat};
use mynah_core::{CancelFlag, SpeechOptions, SpokenWord, TokenCounts};
use tokio::sync::mpsc::Receiver;

use crate::Error;
use crate::jobs::transcription::AudioSource;
use crate::lifecycle::model_cache::LoadProgress;
use crate::model_ref::ModelRef;
use crate::scheduler::client_id::ClientId;

/// Maximum audio chunks buffered for the reader; beyond that the job waits and other jobs compute.
pub(crate) const MAX_BUFFERED_CHUNKS: usize = 16;

/// A request to [`Engine::speak`](crate::Engine::speak).
#[derive(Clone, Debug, PartialEq)]
pub struct SpeakRequest {
    /// The model.
    pub model: ModelRef,
    /// The text to speak, of any length.
    pub text: String,
    /// Options of the model. The voice can have any of its names in the catalogue.
    pub options: SpeechOptions,
    /// Format of the audio.
    pub format: OutputFormat,
    /// Sample rate and bitrate of the audio.
    pub encoding: EncodeOptions,
    /// The client; `None` counts as a separate client.
    pub client: Option<ClientId>,
}

/// Reference audio of a voice to clone; see [`Engine::speak_with_reference`](crate::Engine::speak_with_reference).
#[derive(Debug)]
pub struct ReferenceSource {
    /// The audio, in any format that `mynah_audio` decodes; a minute at most.
    pub audio: AudioSource,
    /// Its transcript.
    pub transcript: String,
}

/// Events of a job, in this order; [`SpeechEvent::Done`] or [`SpeechEvent::Failed`] is the last.
#[derive(Clone, Debug)]
pub enum SpeechEvent {
    /// The model or the voice is not ready yet.
    Waiting(LoadProgress),
    /// The model is ready.
    Started {
        /// Name of the voice; `None` for models without named voices.
        voice: Option<String>,
    },
    /// Its first step is about to be computed.
    FirstStep {
        /// Time in the queue, seconds.
        waited_s: f64,
    },
    /// The next bytes of the audio.
    Audio(Bytes),
    /// Bytes of the text that are spoken so far.
    Progress(usize),
    /// The job has succeeded.
    Done(SpeechResult),
    /// The job has failed or was cancelled.
    Failed(Error),
}

/// The result of a speech job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpeechResult {
    /// The file's header with the final length, for writers that can seek back and replace it; empty if the header does not
    /// change.
    pub head: Vec<u8>,
    /// Length of the audio, seconds.
    pub duration_s: f64,
    /// The words with their times.
    pub words: Vec<SpokenWord>,
    /// Token counts, in the model's own units.
    pub tokens: TokenCounts,
}

/// A running job. Dropping it stops the work within one step of the model.
#[derive(Debug)]
pub struct SpeechJob {
    pub(crate) events: Receiver<SpeechEvent>,
    pub(crate) cancel: CancelFlag,
}

impl SpeechJob {
    /// The next event; `None` after the last.
    pub async fn next(&mut self) -> Option<SpeechEvent> {
        self.events.recv().await
    }

    /// The next event; `None` after the last. Blocks, so it must not be called from async code.
    pub fn next_blocking(&mut self) -> Option<SpeechEvent> {
        self.events.blocking_recv()
    }

    /// Asks the job to stop; its last event is then [`SpeechEvent::Failed`] with [`Error::Cancelled`].
    pub fn cancel(&self) {
        self.cancel.cancel();
    }
}

impl Drop for SpeechJob {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}
