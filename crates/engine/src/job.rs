//! Jobs: one request for a transcript each, on a thread of its own that mostly waits for its turn to compute.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use mynah_models::{CancelFlag, Observer, Segment, TranscribeOptions, Transcript, TranscriptEvent};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use crate::turnstile::{Turn, Turnstile};
use crate::{Error, LoadProgress, ModelRef};

/// Where the audio comes from.
#[derive(Debug)]
pub enum AudioSource {
    /// A file that stays.
    Path(PathBuf),
    /// A whole file in memory.
    Bytes(Vec<u8>),
    /// A file that is deleted once it has been read.
    TempFile(tempfile::TempPath),
}

/// What is asked of [`Engine::transcribe`](crate::Engine::transcribe).
#[derive(Debug)]
pub struct TranscribeRequest {
    /// Which model.
    pub model: ModelRef,
    /// The recording, in any format that `mynah_audio` decodes.
    pub audio: AudioSource,
    /// What to make of it.
    pub options: TranscribeOptions,
}

/// What a job tells, in this order; [`JobEvent::Done`] or [`JobEvent::Failed`] is the last.
#[derive(Clone, Debug)]
pub enum JobEvent {
    /// The audio is decoded, but the model is not ready yet.
    Waiting(LoadProgress),
    /// The audio is decoded and the model ready.
    Started {
        /// Length of the audio, seconds.
        duration_s: f64,
    },
    /// Its first turn to compute has come.
    Turn {
        /// Time in the line, seconds.
        waited_s: f64,
    },
    /// The language is known: code and probability.
    Language(String, f32),
    /// A segment is final.
    Segment(Arc<Segment>),
    /// Seconds of audio done so far.
    Progress(f64),
    /// All is done.
    Done(Arc<Transcript>),
    /// It ended early.
    Failed(Error),
}

/// A running job. Dropping it stops the work within one decoder step.
#[derive(Debug)]
pub struct Job {
    pub(crate) events: UnboundedReceiver<JobEvent>,
    pub(crate) cancel: CancelFlag,
}

impl Job {
    /// The next event; `None` after the last.
    pub async fn next(&mut self) -> Option<JobEvent> {
        self.events.recv().await
    }

    /// The next event; `None` after the last. Blocks, so it must not be called from async code.
    pub fn next_blocking(&mut self) -> Option<JobEvent> {
        self.events.blocking_recv()
    }

    /// Asks the job to stop; its last event is then [`JobEvent::Failed`] with [`Error::Cancelled`].
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// A flag that stops the job when raised, e.g. from a signal handler.
    pub fn cancel_flag(&self) -> CancelFlag {
        self.cancel.clone()
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// Passes a model's events on to the job's owner and makes it wait for its turn.
pub(crate) struct Paced<'a> {
    pub(crate) turnstile: &'a Arc<Turnstile>,
    pub(crate) cancel: &'a CancelFlag,
    pub(crate) events: &'a UnboundedSender<JobEvent>,
    pub(crate) turn: Option<Turn>,
    /// Whether it had a turn before.
    pub(crate) begun: bool,
}

impl Observer for Paced<'_> {
    fn event(&mut self, event: TranscriptEvent) {
        let event = match event {
            TranscriptEvent::Language(code, probability) => JobEvent::Language(code, probability),
            TranscriptEvent::Segment(segment) => JobEvent::Segment(segment),
            TranscriptEvent::Progress(seconds) => JobEvent::Progress(seconds),
        };
        // Fails once nobody listens; then the job is cancelled already.
        let _ = self.events.send(event);
    }

    fn window_begins(&mut self) {
        self.turn = None;
        let since = Instant::now();
        self.turn = self.turnstile.enter(self.cancel);
        if !std::mem::replace(&mut self.begun, true) {
            let _ = self.events.send(JobEvent::Turn { waited_s: since.elapsed().as_secs_f64() });
        }
    }

    fn window_ends(&mut self) {
        self.turn = None;
    }
}
