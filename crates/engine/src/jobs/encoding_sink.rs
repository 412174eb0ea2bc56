//! Encodes a model's samples as they arrive and sends the bytes to the job's reader. While the reader is slow, the job
//! releases its compute permit.

use mynah_audio::Encoder;
use mynah_core::{AudioSink, CancelFlag, ModelError, SpokenWord, TokenCounts};
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use crate::Error;
use crate::jobs::speech::{SpeechEvent, SpeechResult};
use crate::scheduler::job::JobScheduler;

/// Encodes and sends the samples of a job.
pub(crate) struct EncodingSink<'a> {
    encoder: Encoder,
    sample_rate_hz: u32,
    scheduler: &'a JobScheduler<'a>,
    cancel: &'a CancelFlag,
    events: &'a Sender<SpeechEvent>,
    samples: u64,
    words: Vec<SpokenWord>,
    /// A copy of the audio so far for the cache, until it is larger than `copy_limit` bytes.
    copy: Option<Vec<u8>>,
    copy_limit: usize,
    /// The encoder's error, which the model's error does not include.
    failure: Option<Error>,
}

impl<'a> EncodingSink<'a> {
    pub(crate) fn new(
        encoder: Encoder,
        sample_rate_hz: u32,
        scheduler: &'a JobScheduler<'a>,
        cancel: &'a CancelFlag,
        events: &'a Sender<SpeechEvent>,
        copy_limit: usize,
    ) -> Self {
        Self {
            encoder,
            sample_rate_hz,
            scheduler,
            cancel,
            events,
            samples: 0,
            words: Vec::new(),
            copy: (copy_limit > 0).then(Vec::new),
            copy_limit,
            failure: None,
        }
    }

    /// Ends the audio. `outcome` is the model's. Returns the result, and a copy of the whole audio if it is small enough.
    pub(crate) fn finish(
        mut self,
        outcome: Result<TokenCounts, ModelError>,
    ) -> Result<(SpeechResult, Option<Vec<u8>>), Error> {
        let tokens = outcome.map_err(|error| self.failure.take().unwrap_or_else(|| error.into()))?;
        let mut rest = Vec::new();
        let (encoder, events, cancel) = (self.encoder, self.events, self.cancel);
        let head = encoder.finish(&mut rest).map_err(Error::Encode)?;
        add(&mut self.copy, &rest, self.copy_limit);
        if !rest.is_empty() {
            events.blocking_send(SpeechEvent::Audio(rest.into())).map_err(|_| Error::Cancelled)?;
        }
        if cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let duration_s = self.samples as f64 / f64::from(self.sample_rate_hz);
        Ok((SpeechResult { head, duration_s, words: self.words, tokens }, self.copy))
    }

    /// Sends an event. While the reader is slow, other jobs can compute.
    fn send(&mut self, event: SpeechEvent) -> Result<(), ModelError> {
        match self.events.try_send(event) {
            Ok(()) => Ok(()),
            Err(TrySendError::Closed(_)) => Err(ModelError::Cancelled),
            Err(TrySendError::Full(event)) => {
                let sent = self.scheduler.without_permit(|| self.events.blocking_send(event));
                sent.map_err(|_| ModelError::Cancelled)?;
                self.cancel.check()
            }
        }
    }
}

/// Appends to the copy, or drops it if it grows too large.
fn add(copy: &mut Option<Vec<u8>>, bytes: &[u8], limit: usize) {
    if let Some(so_far) = copy {
        if so_far.len() + bytes.len() > limit {
            *copy = None;
        } else {
            so_far.extend_from_slice(bytes);
        }
    }
}

impl AudioSink for EncodingSink<'_> {
    fn samples(&mut self, samples: &[f32]) -> Result<(), ModelError> {
        if self.samples == 0 {
            self.scheduler.yield_priority();
        }
        self.samples += samples.len() as u64;
        let mut bytes = Vec::new();
        if let Err(error) = self.encoder.push(samples, &mut bytes) {
            self.failure = Some(Error::Encode(error));
            return Err(ModelError::Cancelled);
        }
        add(&mut self.copy, &bytes, self.copy_limit);
        if bytes.is_empty() { Ok(()) } else { self.send(SpeechEvent::Audio(bytes.into())) }
    }

    fn word(&mut self, word: SpokenWord) {
        self.words.push(word);
    }

    fn progress(&mut self, bytes: usize) {
        // A slow reader does not need it.
        let _ = self.events.try_send(SpeechEvent::Progress(bytes));
    }
}
