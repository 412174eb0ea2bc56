//! What a job heeds while it computes: whether to stop, and when it may go on.
//!
//! Models ask a [`StepScheduler`] before each batch entry and before each step; the engine answers for all jobs of a device.
//! Models that listen and models that speak use the same interface.

use crate::{CancelFlag, ModelError};

/// How urgent a computation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// The first result of a job, which the client is waiting for.
    Interactive,
    /// The rest of a long recording or text.
    Background,
}

/// The part of a device's shared step that one sequence takes, in thousandths. As long as all sequences of a batch fill at
/// most [`BatchShare::WHOLE`], their steps are better computed together than one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchShare(pub usize);

impl BatchShare {
    /// All of it.
    pub const WHOLE: Self = Self(1000);

    /// `part` of `whole`, at most all of it.
    pub fn of(part: usize, whole: usize) -> Self {
        Self((1000 * part).div_ceil(whole.max(1)).min(Self::WHOLE.0))
    }
}

/// Schedules one thread of a job. Called on that thread.
pub trait StepScheduler {
    /// The scheduler of another thread of the same job, which computes a part of its own.
    fn fork(&self) -> Box<dyn StepScheduler + Send + '_> {
        Box::new(Unscheduled)
    }

    /// The part of the input that begins at `start_s` seconds is about to be computed, as one of several sequences that
    /// share steps. Blocks until the batch has room for `share`, or the job is cancelled.
    fn enter_batch(&self, start_s: f64, share: BatchShare) {
        let _ = (start_s, share);
    }

    /// The part that [`StepScheduler::enter_batch`] announced is done, also when it failed.
    fn leave_batch(&self) {}

    /// Priority of what is being computed. Only sequences of equal priority share their steps: a step is computed under one
    /// job's permit, and the others' part of it would be at that job's expense.
    fn priority(&self) -> Priority {
        Priority::Interactive
    }

    /// Waits for the permit to compute one step: a product of an encoder, a step of a decoder, an utterance; some
    /// milliseconds. Returns without it when the job is cancelled, or when `is_obsolete` because another job computed the
    /// step along with its own; whoever makes it obsolete unparks this thread.
    fn acquire_step(&self, is_obsolete: &dyn Fn() -> bool) {
        let _ = is_obsolete;
    }

    /// The step that [`StepScheduler::acquire_step`] announced is done, also when it failed.
    fn release_step(&self) {}

    /// A step of so many rows, other jobs' among them, is about to be computed under this job's permit.
    fn record_step(&self, rows: usize) {
        let _ = rows;
    }
}

/// The scheduler of a job that has the device for itself.
#[derive(Clone, Copy, Debug)]
pub struct Unscheduled;

impl StepScheduler for Unscheduled {}

/// What a job heeds while it computes.
#[derive(Clone, Copy)]
pub struct JobContext<'a> {
    /// Whether it should stop.
    pub cancel: &'a CancelFlag,
    /// When it may go on.
    pub scheduler: &'a dyn StepScheduler,
}

impl<'a> JobContext<'a> {
    /// Context of a job that has the device for itself.
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

    /// Waits for the permit to compute one step; returns without it once cancelled or `is_obsolete`.
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
