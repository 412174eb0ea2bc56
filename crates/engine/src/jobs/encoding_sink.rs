//! Between a model and who wants its audio: encodes samples as they come, hands them over, and gives the turn to others
//! while the reader is slow.

use std::sync::Arc;
use std::time::Instant;

use mynah_audio::Encoder;
use mynah_models::{CancelFlag, Claim, Error as ModelError, Listener, SpokenWord, TokenCounts};
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use crate::scheduler::admission::Place;
use crate::scheduler::compute::{Turn, Turnstile};
use crate::scheduler::stats::Batches;
use crate::{Error, SpeechEvent, Spoken};

/// The listener of a job.
pub(crate) struct Speaker<'a> {
    encoder: Encoder,
    sample_rate_hz: u32,
    turnstile: &'a Arc<Turnstile>,
    turn: Option<Turn>,
    /// Whether it had a turn before.
    begun: bool,
    batches: &'a Batches,
    place: &'a Place,
    cancel: &'a CancelFlag,
    events: &'a Sender<SpeechEvent>,
    samples: u64,
    words: Vec<SpokenWord>,
    /// A copy of the audio so far for the cache, until it is larger than `copy_limit` bytes.
    copy: Option<Vec<u8>>,
    copy_limit: usize,
    /// Why the encoder gave up, which the model's error cannot tell.
    failure: Option<Error>,
}

impl<'a> Speaker<'a> {
    pub(crate) fn new(
        encoder: Encoder,
        sample_rate_hz: u32,
        (turnstile, batches, place): (&'a Arc<Turnstile>, &'a Batches, &'a Place),
        cancel: &'a CancelFlag,
        events: &'a Sender<SpeechEvent>,
        copy_limit: usize,
    ) -> Self {
        Self {
            encoder,
            sample_rate_hz,
            turnstile,
            turn: None,
            begun: false,
            batches,
            place,
            cancel,
            events,
            samples: 0,
            words: Vec::new(),
            copy: (copy_limit > 0).then(Vec::new),
            copy_limit,
            failure: None,
        }
    }

    /// Ends the audio. `outcome` is the model's. Gives the end, and all of the audio where it is small.
    pub(crate) fn finish(
        mut self,
        outcome: Result<TokenCounts, ModelError>,
    ) -> Result<(Spoken, Option<Vec<u8>>), Error> {
        let tokens = outcome.map_err(|error| self.failure.take().unwrap_or_else(|| error.into()))?;
        self.turn_ends();
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
        Ok((Spoken { head, duration_s, words: self.words, tokens }, self.copy))
    }

    /// Hands an event over. While the reader is slow, others may compute.
    fn send(&mut self, event: SpeechEvent) -> Result<(), ModelError> {
        match self.events.try_send(event) {
            Ok(()) => Ok(()),
            Err(TrySendError::Closed(_)) => Err(ModelError::Cancelled),
            Err(TrySendError::Full(event)) => {
                let had_turn = self.turn.is_some();
                self.turn_ends();
                self.events.blocking_send(event).map_err(|_| ModelError::Cancelled)?;
                if had_turn {
                    self.turn_begins();
                }
                self.cancel.check()
            }
        }
    }
}

/// Adds to the copy, or drops it where it grows too large.
fn add(copy: &mut Option<Vec<u8>>, bytes: &[u8], limit: usize) {
    if let Some(so_far) = copy {
        if so_far.len() + bytes.len() > limit {
            *copy = None;
        } else {
            so_far.extend_from_slice(bytes);
        }
    }
}

impl Listener for Speaker<'_> {
    fn samples(&mut self, samples: &[f32]) -> Result<(), ModelError> {
        if self.samples == 0 {
            self.place.gives_way();
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
        // Whoever reads slowly can do without.
        let _ = self.events.try_send(SpeechEvent::Progress(bytes));
    }

    fn turn_begins(&mut self) {
        self.turn_ends();
        let since = Instant::now();
        // Who hears nothing yet waits most.
        let claim = if self.samples == 0 { Claim::First } else { Claim::Rest };
        self.turn = self.turnstile.enter(claim, &|| self.cancel.is_cancelled());
        if !std::mem::replace(&mut self.begun, true) {
            // Nothing was handed over yet but a notice, so there is room.
            let _ = self.events.try_send(SpeechEvent::Turn { waited_s: since.elapsed().as_secs_f64() });
        }
    }

    fn turn_ends(&mut self) {
        if let Some(turn) = self.turn.take() {
            self.place.works(turn.elapsed_s());
        }
    }

    fn step(&mut self, rows: usize) {
        self.batches.speaking_rows.add(rows);
    }
}
