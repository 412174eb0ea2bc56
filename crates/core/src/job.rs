//! The context of a running job: cancellation and scheduling.
//!
//! Models call a [`StepScheduler`] before each batch entry and before each step; the engine implements it for all jobs of a
//! device. Speech-to-text and text-to-speech models use the same interface.

use crate::{CancelFlag, ModelError};

/// How urgent a computation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// The first result of a job, which the client is waiting for.
    Interactive,
    /// The rest of a long recording or text.
    Background,
}

/// The share of a device's batch step that one sequence takes, in thousandths. As long as all sequences of a batch take at
/// most [`BatchShare::WHOLE`], computing their steps together is faster than one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchShare(pub usize);

impl BatchShare {
    /// The whole step.
    pub const WHOLE: Self = Self(1000);

    /// The share `part / whole`, at most 1.
    pub fn of(part: usize, whole: usize) -> Self {
        Self((1000 * part).div_ceil(whole.max(1)).min(Self::WHOLE.0))
    }
}

/// Schedules one thread of a job. Called on that thread.
pub trait StepScheduler {
    /// The scheduler for another thread of the same job, which computes another part of the input.
    fn fork(&self) -> Box<dyn StepScheduler + Send + '_> {
        Box::new(Unscheduled)
    }

    /// Called before computing the part of the input that begins at `start_s` seconds, as one of several sequences that
    /// share steps. Blocks until the batch has room for `share` or the job is cancelled.
    fn enter_batch(&self, start_s: f64, share: BatchShare) {
        let _ = (start_s, share);
    }

    /// Called when the part of [`StepScheduler::enter_batch`] is finished or has failed.
    fn leave_batch(&self) {}

    /// Priority of the current computation. Only sequences of equal priority share their steps: a step is computed under one
    /// job's permit, and the other sequences would use that job's time.
    fn priority(&self) -> Priority {
        Priority::Interactive
    }

    /// Waits for the permit to compute one step: a product of an encoder, a step of a decoder, an utterance; some
    /// milliseconds. Returns without it when the job is cancelled, or when `is_obsolete` returns true because another job
    /// computed the step along with its own; that job then unparks this thread.
    fn acquire_step(&self, is_obsolete: &dyn Fn() -> bool) {
        let _ = is_obsolete;
    }

    /// Called when the step of [`StepScheduler::acquire_step`] is finished or has failed.
    fn release_step(&self) {}

    /// Called before computing a step with this number of rows, including other jobs' rows, under this job's permit.
    fn record_step(&self, rows: usize) {
        let _ = rows;
    }
}

/// The scheduler of a job that has the device to itself.
#[derive(Clone, Copy, Debug)]
pub struct Unscheduled;

impl StepScheduler for Unscheduled {}

/// The context of a running job.
#[derive(Clone, Copy)]
pub struct JobContext<'a> {
    /// Set when the job should stop.
    pub cancel: &'a CancelFlag,
    /// Grants batch entries and steps.
    pub scheduler: &'a dyn StepScheduler,
}

impl<'a> JobContext<'a> {
    /// The context of a job that has the device to itself.
    pub fn unscheduled(cancel: &'a CancelFlag) -> Self {
        Self { cancel, scheduler: &Unscheduled }
    }

    /// Waits until the batch has room; see [`StepScheduler::enter_batch`].
    ///
    /// # Errors
    /// [`ModelError::Cancelled`].
    pub fn enter_batch(self, start_s: f64, share: BatchShare) -> Result<BatchPermit<'a>, ModelError> {
        self.scheduler.enter_batch(start_s, share);
        let permit = BatchPermit(self.scheduler);
        self.cancel.check()?;
        Ok(permit)
    }

    /// Waits for the permit to compute one step.
    ///
    /// # Errors
    /// [`ModelError::Cancelled`].
    pub fn step(self) -> Result<StepPermit<'a>, ModelError> {
        let permit = self.step_unless(&|| false);
        self.cancel.check()?;
        Ok(permit)
    }

    /// Waits for the permit to compute one step; returns without it when cancelled or `is_obsolete`.
    pub fn step_unless(self, is_obsolete: &dyn Fn() -> bool) -> StepPermit<'a> {
        self.scheduler.acquire_step(is_obsolete);
        StepPermit(self.scheduler)
    }
}

/// Room in the batch, until dropped.
pub struct BatchPermit<'a>(&'a dyn StepScheduler);

impl Drop for BatchPermit<'_> {
    fn drop(&mut self) {
        self.0.leave_batch();
    }
}

/// The permit to compute one step, until dropped.
pub struct StepPermit<'a>(&'a dyn StepScheduler);

impl Drop for StepPermit<'_> {
    fn drop(&mut self) {
        self.0.release_step();
    }
}
