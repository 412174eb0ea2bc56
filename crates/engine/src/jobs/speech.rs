//! Jobs that speak: one request for audio each, on a thread of its own that computes in turn with the others.

use bytes::Bytes;
use mynah_audio::{EncodeOptions, OutputFormat};
use mynah_core::{CancelFlag, SpeechOptions, SpokenWord, TokenCounts};
use tokio::sync::mpsc::Receiver;

use crate::Error;
use crate::jobs::transcription::AudioSource;
use crate::lifecycle::model_cache::LoadProgress;
use crate::model_ref::ModelRef;
use crate::scheduler::client_id::ClientId;

/// Audio chunks buffered for the reader; beyond that the job waits and other jobs compute.
pub(crate) const PIECES_AHEAD: usize = 16;

/// What is asked of [`Engine::speak`](crate::Engine::speak).
#[derive(Clone, Debug, PartialEq)]
pub struct SpeakRequest {
    /// Which model.
    pub model: ModelRef,
    /// What to say, of any length.
    pub text: String,
    /// How to say it. The voice may be any name that the catalogue knows it by.
    pub options: SpeechOptions,
    /// How the audio is written.
    pub format: OutputFormat,
    /// Sample rate and bitrate of the audio.
    pub encoding: EncodeOptions,
    /// The client; `None` counts as a separate client.
    pub client: Option<ClientId>,
}

/// A voice to copy; see [`Engine::speak_with_reference`](crate::Engine::speak_with_reference).
#[derive(Debug)]
pub struct ReferenceSource {
    /// In any format that `mynah_audio` decodes; of a minute at most.
    pub audio: AudioSource,
    /// What is said in it.
    pub transcript: String,
}

/// Events of a job, in this order; [`SpeechEvent::Done`] or [`SpeechEvent::Failed`] is the last.
#[derive(Clone, Debug)]
pub enum SpeechEvent {
    /// The model or the voice is not ready yet.
    Waiting(LoadProgress),
    /// The model is ready and speaks with this voice; `None` where it knows no names of voices.
    Started {
        /// Name of the voice that speaks.
        voice: Option<String>,
    },
    /// Its first step is about to be computed.
    Turn {
        /// Time in the queue, seconds.
        waited_s: f64,
    },
    /// The next bytes of the audio.
    Audio(Bytes),
    /// Bytes of the text spoken so far.
    Progress(usize),
    /// All is done.
    Done(SpeechResult),
    /// It ended early.
    Failed(Error),
}

/// The end of a speech.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpeechResult {
    /// The file's header with the final length, for writers that can seek back and replace it; empty where nothing
    /// changes.
    pub head: Vec<u8>,
    /// Length of the audio, seconds.
    pub duration_s: f64,
    /// Its words with their times.
    pub words: Vec<SpokenWord>,
    /// What it cost, in the model's own units.
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
