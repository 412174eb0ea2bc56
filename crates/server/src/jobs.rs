//! An engine job together with the resources that its request holds until it is answered.

use std::sync::Arc;

use mynah_core::Transcript;
use mynah_engine::{Error, Lease, Reservation, SpeechEvent, SpeechJob, TranscriptionEvent, TranscriptionJob};

use crate::error::ApiError;
use crate::limits::{Deadline, Permit};
use crate::metrics::Stopwatch;

/// The meaning of an event for timeouts, metrics and errors, for any kind of job.
pub(crate) enum Milestone<'a> {
    /// The first step is about to be computed.
    FirstStep { waited_s: f64 },
    /// There is a first result: text or audio.
    Result,
    /// The last event of a job that succeeded.
    Done { audio_s: f64, tokens: u64 },
    /// The last event of a job that failed.
    Failed(&'a Error),
    /// Anything else.
    Other,
}

/// A kind of job.
pub(crate) trait EngineJob {
    type Event;

    /// Name of the job's product in messages.
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

/// A job with a deadline. Dropping it stops the job and releases what the request held.
pub(crate) struct TimedJob<J> {
    job: J,
    stopwatch: Stopwatch,
    deadline: Deadline,
    /// Lease of the running model; `None` if the request loads one.
    lease: Option<Lease>,
    /// Memory of the upload.
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
            Milestone::FirstStep { waited_s } => self.stopwatch.first_step(waited_s),
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
