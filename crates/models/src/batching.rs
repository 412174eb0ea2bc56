//! Continuous batching: decoder steps of different jobs, computed together.
//!
//! A step reads all of a decoder's weights once, for one sequence or many, so sequences that are decoded at
//! the same time share their steps. Each participant queues its state; the first one to get the compute permit takes the
//! queued states, computes their step and returns them. A row's numbers do not depend on the other rows of the batch.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use mynah_core::{JobContext, ModelError};

/// Maximum number of rows of a shared step; a state with more is computed alone. With so few rows a matrix product sums each
/// number in the same order, whatever the number of rows (see the kernels' `FEW_ROWS`).
const MAX_ROWS: usize = 64;

/// How long to wait for the other participants: a few times the time of choosing tokens, a fraction of a step.
const MAX_WAIT: Duration = Duration::from_millis(2);

/// The state of one or several sequences between two steps.
pub(crate) trait BatchState {
    /// Rows that it adds to a step.
    fn rows(&self) -> usize;
}

/// Combines the steps of one decoder's sequences.
pub(crate) struct StepBatcher<S>(Mutex<Queue<S>>);

struct Queue<S> {
    next_number: u64,
    /// Participants that are decoding.
    active: usize,
    waiting: Vec<Waiting<S>>,
    /// Result of a step by participant: the new state or the error.
    done: HashMap<u64, Result<S, ModelError>>,
    /// The participant that has the permit and waits for the others' states.
    collecting: Option<Thread>,
}

struct Waiting<S> {
    number: u64,
    state: S,
    thread: Thread,
}

/// A job's membership in a batcher.
pub(crate) struct Participant<'a, S> {
    batcher: &'a StepBatcher<S>,
    number: u64,
    active: bool,
}

// A derived implementation would require `S: Default`.
impl<S> Default for StepBatcher<S> {
    fn default() -> Self {
        Self(Mutex::new(Queue {
            next_number: 0,
            active: 0,
            waiting: Vec::new(),
            done: HashMap::new(),
            collecting: None,
        }))
    }
}

impl<S: BatchState> StepBatcher<S> {
    fn lock(&self) -> MutexGuard<'_, Queue<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a participant; it counts as active from its first step on.
    pub(crate) fn join(&self) -> Participant<'_, S> {
        let mut queue = self.lock();
        queue.next_number += 1;
        Participant { batcher: self, number: queue.next_number, active: false }
    }
}

impl<S> Queue<S> {
    fn wake_collector(&self) {
        if let Some(thread) = &self.collecting {
            thread.unpark();
        }
    }
}

impl<S: BatchState> Queue<S> {
    /// Takes the state at `first` and, in order of arrival, as many others as fit.
    fn take(&mut self, first: usize) -> Vec<Waiting<S>> {
        let mut batch = vec![self.waiting.remove(first)];
        let mut rows = batch[0].state.rows();
        for waiting in std::mem::take(&mut self.waiting) {
            if rows + waiting.state.rows() <= MAX_ROWS {
                rows += waiting.state.rows();
                batch.push(waiting);
            } else {
                self.waiting.push(waiting);
            }
        }
        batch
    }
}

impl<S: BatchState> Participant<'_, S> {
    /// Advances `state` by a step, together with others. `compute` takes the states of a batch and returns them in the same
    /// order.
    ///
    /// # Errors
    /// [`ModelError::Cancelled`], [`ModelError::Internal`] if the thread that computed the step panicked, or the error of
    /// `compute`. The state is then lost.
    pub(crate) fn step(
        &mut self,
        state: S,
        context: JobContext<'_>,
        compute: impl FnOnce(Vec<S>) -> Result<Vec<S>, ModelError>,
    ) -> Result<S, ModelError> {
        let (batcher, number) = (self.batcher, self.number);
        {
            let mut queue = batcher.lock();
            if !self.active {
                self.active = true;
                queue.active += 1;
            }
            queue.waiting.push(Waiting { number, state, thread: thread::current() });
            queue.wake_collector();
        }
        let _permit = context.step_unless(&|| batcher.lock().done.contains_key(&number));
        let begun = Instant::now();
        let mut compute = Some(compute);
        loop {
            let mut queue = batcher.lock();
            if let Some(done) = queue.done.remove(&number) {
                return done;
            }
            let Some(mine) = queue.waiting.iter().position(|waiting| waiting.number == number) else {
                // Another participant is computing it, and unparks this thread when it is done.
                drop(queue);
                thread::park();
                continue;
            };
            if context.cancel.is_cancelled() {
                queue.waiting.swap_remove(mine);
                return Err(ModelError::Cancelled);
            }
            let left = MAX_WAIT.saturating_sub(begun.elapsed());
            if queue.waiting.len() < queue.active && !left.is_zero() {
                queue.collecting = Some(thread::current());
                drop(queue);
                thread::park_timeout(left);
                batcher.lock().collecting = None;
                continue;
            }
            let batch = queue.take(mine);
            drop(queue);
            context.scheduler.record_step(batch.iter().map(|waiting| waiting.state.rows()).sum());
            // Called once: afterwards this participant's state is no longer waiting.
            if let Some(compute) = compute.take() {
                batcher.compute(batch, compute);
            }
        }
    }

    /// Other participants need not wait for this one's next step.
    pub(crate) fn leave(&mut self) {
        if std::mem::take(&mut self.active) {
            let mut queue = self.batcher.lock();
            queue.active -= 1;
            queue.wake_collector();
        }
    }
}

impl<S> Drop for Participant<'_, S> {
    fn drop(&mut self) {
        let mut queue = self.batcher.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The result of a step that panicked on this thread.
        queue.done.remove(&self.number);
        if self.active {
            queue.active -= 1;
            queue.wake_collector();
        }
    }
}

impl<S: BatchState> StepBatcher<S> {
    /// Computes a step of a batch and returns its states to their participants.
    fn compute(&self, batch: Vec<Waiting<S>>, compute: impl FnOnce(Vec<S>) -> Result<Vec<S>, ModelError>) {
        let mut members = Vec::with_capacity(batch.len());
        let mut states = Vec::with_capacity(batch.len());
        for Waiting { number, state, thread } in batch {
            members.push((number, thread));
            states.push(state);
        }
        let failed = ModelError::Internal("the thread that computed a shared step panicked".to_owned());
        let mut results = ResultGuard { batcher: self, members, outcome: Err(failed) };
        results.outcome = compute(states);
    }
}

/// Returns results to the participants when it is dropped, so that they get an error if this thread panics.
struct ResultGuard<'a, S> {
    batcher: &'a StepBatcher<S>,
    members: Vec<(u64, Thread)>,
    outcome: Result<Vec<S>, ModelError>,
}

impl<S> Drop for ResultGuard<'_, S> {
    fn drop(&mut self) {
        let mut queue = self.batcher.0.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut self.outcome, Ok(Vec::new())) {
            Ok(states) => {
                queue
                    .done
                    .extend(self.members.iter().map(|(number, _)| *number).zip(states.into_iter().map(Ok)));
            }
            Err(error) => {
                queue.done.extend(self.members.iter().map(|(number, _)| (*number, Err(error.clone()))));
            }
        }
        drop(queue);
        for (_, thread) in &self.members {
            thread.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use mynah_core::CancelFlag;

    use super::*;

    struct Counter {
        rows: usize,
        steps: usize,
    }

    impl BatchState for Counter {
        fn rows(&self) -> usize {
            self.rows
        }
    }

    fn count(mut states: Vec<Counter>) -> Result<Vec<Counter>, ModelError> {
        states.iter_mut().for_each(|state| state.steps += 1);
        Ok(states)
    }

    #[test]
    fn participants_share_their_steps() {
        const STEPS: usize = 50;
        let batcher = StepBatcher::default();
        let (largest, start) = (AtomicUsize::new(0), Barrier::new(4));
        // Only one thread computes at a time, as under a scheduler.
        let permit = Mutex::new(());
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let cancel = CancelFlag::new();
                    let mut participant = batcher.join();
                    let mut state = Counter { rows: 5, steps: 0 };
                    start.wait();
                    for _ in 0..STEPS {
                        let compute = |states: Vec<Counter>| {
                            let _permit = permit.lock().unwrap();
                            largest.fetch_max(states.len(), Ordering::SeqCst);
                            thread::sleep(Duration::from_micros(200));
                            count(states)
                        };
                        state = participant.step(state, JobContext::unscheduled(&cancel), compute).unwrap();
                    }
                    assert_eq!(state.steps, STEPS);
                });
            }
        });
        assert!(largest.into_inner() > 1, "steps are shared");
        let queue = batcher.lock();
        assert!(queue.done.is_empty() && queue.waiting.is_empty() && queue.active == 0);
    }

    #[test]
    fn a_batch_has_a_bounded_number_of_rows() {
        let mut queue =
            Queue { next_number: 0, active: 0, waiting: Vec::new(), done: HashMap::new(), collecting: None };
        for (number, rows) in [(1, 30), (2, 40), (3, 20), (4, 14)] {
            let state = Counter { rows, steps: 0 };
            queue.waiting.push(Waiting { number, state, thread: thread::current() });
        }
        let numbers = |batch: &[Waiting<Counter>]| batch.iter().map(|w| w.number).collect::<Vec<_>>();
        assert_eq!(numbers(&queue.take(0)), [1, 3, 4]);
        assert_eq!(numbers(&queue.waiting), [2]);
    }

    #[test]
    fn a_failed_step_fails_for_all_and_a_cancelled_participant_leaves() {
        let batcher = StepBatcher::default();
        let cancel = CancelFlag::new();
        let context = JobContext::unscheduled(&cancel);
        let state = || Counter { rows: 1, steps: 0 };
        let failed = batcher.join().step(state(), context, |_| Err(ModelError::InvalidInput("no".into())));
        assert!(matches!(failed, Err(ModelError::InvalidInput(_))));
        let panicked = thread::scope(|scope| {
            let panic = || {
                let context = JobContext::unscheduled(&cancel);
                batcher.join().step(state(), context, |_| panic!("intended by the test"))
            };
            scope.spawn(panic).join()
        });
        assert!(panicked.is_err());
        cancel.cancel();
        let cancelled = batcher.join().step(state(), context, count);
        assert!(matches!(cancelled, Err(ModelError::Cancelled)));
        let queue = batcher.lock();
        assert!(queue.waiting.is_empty() && queue.done.is_empty() && queue.active == 0);
    }
}
