//! Jobs: one request for a transcript each, on a thread of its own that mostly waits for its turn to compute.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use mynah_models::{
    CancelFlag, Claim, Observer, Pace, Segment, Share, TranscribeOptions, Transcript, TranscriptEvent,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use crate::scheduler::admission::Place;
use crate::scheduler::batching::{ClientId, Window, Windows};
use crate::scheduler::compute::{Presence, Turn, Turnstile};
use crate::scheduler::stats::Batches;
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
    /// Who asks; `None` is a client of its own.
    pub client: Option<ClientId>,
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

/// Passes a model's events on to the job's owner.
pub(crate) struct Told<'a>(pub(crate) &'a UnboundedSender<JobEvent>);

impl Observer for Told<'_> {
    fn event(&mut self, event: TranscriptEvent) {
        let event = match event {
            TranscriptEvent::Language(code, probability) => JobEvent::Language(code, probability),
            TranscriptEvent::Segment(segment) => JobEvent::Segment(segment),
            TranscriptEvent::Progress(seconds) => JobEvent::Progress(seconds),
        };
        // Fails once nobody listens; then the job is cancelled already.
        let _ = self.0.send(event);
    }
}

/// Windows that begin before this count as a recording's first one.
const FIRST_WINDOW_S: f64 = 30.0;

/// Makes a model wait for room and for its turns.
pub(crate) struct Paced<'a> {
    windows: &'a Arc<Windows>,
    turnstile: &'a Arc<Turnstile>,
    batches: &'a Batches,
    place: &'a Place,
    cancel: &'a CancelFlag,
    events: &'a UnboundedSender<JobEvent>,
    /// Since when it waits for its first turn, until it has had it.
    waits_since: Cell<Option<Instant>>,
    claim: Cell<Claim>,
    window: RefCell<Option<(Window, Presence)>>,
    turn: RefCell<Option<Turn>>,
}

impl<'a> Paced<'a> {
    pub(crate) fn new(
        windows: &'a Arc<Windows>,
        turnstile: &'a Arc<Turnstile>,
        batches: &'a Batches,
        place: &'a Place,
        cancel: &'a CancelFlag,
        events: &'a UnboundedSender<JobEvent>,
    ) -> Self {
        let claim = Cell::new(Claim::First);
        let waits_since = Cell::new(Some(Instant::now()));
        Self {
            windows,
            turnstile,
            batches,
            place,
            cancel,
            events,
            waits_since,
            claim,
            window: RefCell::default(),
            turn: RefCell::default(),
        }
    }
}

impl Pace for Paced<'_> {
    fn another(&self) -> Box<dyn Pace + Send + '_> {
        let Self { windows, turnstile, batches, place, cancel, events, .. } = *self;
        Box::new(Self {
            // The job's first turn is told once.
            waits_since: Cell::new(self.waits_since.take()),
            ..Self::new(windows, turnstile, batches, place, cancel, events)
        })
    }

    fn window_begins(&self, start_s: f64, share: Share) {
        self.window_ends();
        self.claim.set(if start_s < FIRST_WINDOW_S { Claim::First } else { Claim::Rest });
        if self.claim.get() == Claim::Rest {
            self.place.gives_way();
        }
        // Who waits for room counts already: the rest must not slip in between two windows either.
        let presence = self.turnstile.begin(self.claim.get());
        let place = self.windows.enter(self.place.client, self.claim.get(), share, self.cancel);
        if let Some(place) = &place {
            self.batches.windows.add(place.under_way);
        }
        self.window.replace(place.map(|place| (place, presence)));
    }

    fn claim(&self) -> Claim {
        self.claim.get()
    }

    fn window_ends(&self) {
        self.window.take();
    }

    fn piece_begins(&self, is_needless: &dyn Fn() -> bool) {
        self.piece_ends();
        let is_needless = || self.cancel.is_cancelled() || is_needless();
        self.turn.replace(self.turnstile.enter(self.claim.get(), &is_needless));
        if let Some(since) = self.waits_since.take() {
            let _ = self.events.send(JobEvent::Turn { waited_s: since.elapsed().as_secs_f64() });
        }
    }

    fn piece_ends(&self) {
        if let Some(turn) = self.turn.take() {
            self.place.works(turn.elapsed_s());
        }
    }

    fn step(&self, rows: usize) {
        self.batches.listening_rows.add(rows);
    }
}
