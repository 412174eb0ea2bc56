//! A job of the engine together with what its request holds until it is answered.

use std::sync::Arc;

use mynah_core::Transcript;
use mynah_engine::{Error, Lease, Reservation, SpeechEvent, SpeechJob, TranscriptionEvent, TranscriptionJob};

use crate::error::ApiError;
use crate::limits::{Deadline, Permit};
use crate::metrics::Stopwatch;

/// What an event means for times, figures and errors, whatever the job makes.
pub(crate) enum Milestone<'a> {
    /// The first turn to compute has come.
    FirstStep { waited_s: f64 },
    /// There are words or audio.
    Result,
    /// The last event of a job that succeeded.
    Done { audio_s: f64, tokens: u64 },
    /// The last event of a job that failed.
    Failed(&'a Error),
    /// None of these.
    Other,
}

/// A kind of job.
pub(crate) trait EngineJob {
    type Event;

    /// What the job makes, as messages call it.
    const PRODUCT: &'static str;

    /// The next event; `None` after the last.
    fn next_event(&mut self) -> impl Future<Output = Option<Self::Event>> + Send;

    fn milestone(event: &Self::Event) -> Milestone<'_>;
}

impl EngineJob for TranscriptionJob {
    type Event = TranscriptionEvent;

    const PRODUCT: &'static str = "transcription";

    fn next_event(&mut self) -> impl Future<Output = Option<TranscriptionEvent>> + Send {
        self.next()
    }

    fn milestone(event: &TranscriptionEvent) -> Milestone<'_> {
        match event {
            TranscriptionEvent::FirstStep { waited_s } => Milestone::FirstStep { waited_s: *waited_s },
            TranscriptionEvent::Segment(_) => Milestone::Result,
            TranscriptionEvent::Done(transcript) => {
                let tokens = transcript.segments.iter().map(|segment| segment.tokens.len() as u64).sum();
                Milestone::Done { audio_s: transcript.duration_s, tokens }
            }
            TranscriptionEvent::Failed(error) => Milestone::Failed(error),
            _ => Milestone::Other,
        }
    }
}

impl EngineJob for SpeechJob {
    type Event = SpeechEvent;

    const PRODUCT: &'static str = "speech";

    fn next_event(&mut self) -> impl Future<Output = Option<SpeechEvent>> + Send {
        self.next()
    }

    fn milestone(event: &SpeechEvent) -> Milestone<'_> {
        match event {
            SpeechEvent::FirstStep { waited_s } => Milestone::FirstStep { waited_s: *waited_s },
            SpeechEvent::Audio(_) => Milestone::Result,
            SpeechEvent::Done(spoken) => {
                Milestone::Done { audio_s: spoken.duration_s, tokens: spoken.tokens.output }
            }
            SpeechEvent::Failed(error) => Milestone::Failed(error),
            _ => Milestone::Other,
        }
    }
}

/// A job with a deadline. Dropping it stops the job and gives back what the request held.
pub(crate) struct TimedJob<J> {
    job: J,
    stopwatch: Stopwatch,
    deadline: Deadline,
    /// Of the running model; `None` if the request loads one.
    lease: Option<Lease>,
    /// Of the upload.
    _memory: Reservation,
    _permit: Permit,
}

impl<J: EngineJob> TimedJob<J> {
    pub(crate) fn new(
        job: J,
        stopwatch: Stopwatch,
        deadline: Deadline,
        lease: Option<Lease>,
        memory: Reservation,
        permit: Permit,
    ) -> Self {
        Self { job, stopwatch, deadline, lease, _memory: memory, _permit: permit }
    }

    /// The next event that is not a failure.
    pub(crate) async fn next(&mut self) -> Result<J::Event, ApiError> {
        let event = self.deadline.wait(J::PRODUCT, self.job.next_event()).await?;
        match J::milestone(&event) {
            Milestone::FirstStep { waited_s } => self.stopwatch.turn(waited_s),
            Milestone::Result => self.stopwatch.result(),
            Milestone::Done { audio_s, tokens } => self.stopwatch.done(audio_s, tokens),
            Milestone::Failed(error) => {
                if let Some(lease) = &self.lease {
                    lease.note_failure(&error.to_string());
                }
                return Err(error.clone().into());
            }
            Milestone::Other => {}
        }
        Ok(event)
    }
}

impl TimedJob<TranscriptionJob> {
    /// Waits for the whole transcript.
    pub(crate) async fn transcript(&mut self) -> Result<Arc<Transcript>, ApiError> {
        loop {
            if let TranscriptionEvent::Done(transcript) = self.next().await? {
                return Ok(transcript);
            }
        }
    }
}
