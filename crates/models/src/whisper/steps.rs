//! Steps of different windows, computed together.
//!
//! A step reads all of the decoder's weights once, whether for one window's rows or for several windows', so windows that
//! are under way at the same time share their steps. Each hands its state in; one of them, the first whose turn to
//! compute comes, takes the states that wait, computes their step and hands them back. A row's numbers do not depend on
//! its company.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::session::{Model, State, step};
use crate::Error;
use crate::pace::Control;

/// Rows of a shared step, at most; a window with more has its steps alone. A product with so few rows sums each number in
/// one go, however many they are (see the kernels' `FEW_ROWS`).
const MOST_ROWS: usize = 64;

/// How long the others are waited for: some times what choosing tokens takes them, a fraction of a step.
const PATIENCE: Duration = Duration::from_millis(2);

/// How often somebody whose step is being computed looks whether it is there, should a notification be missed.
const POLL: Duration = Duration::from_millis(100);

/// Where windows meet.
#[derive(Default)]
pub(super) struct Steps {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    next_number: u64,
    /// Windows in the midst of a search.
    active: usize,
    waiting: Vec<(u64, State)>,
    /// States after their step, by member; `None` where it failed.
    done: HashMap<u64, Option<State>>,
}

/// A window that is searched through.
pub(super) struct Member<'a> {
    steps: &'a Steps,
    number: u64,
    active: bool,
}

impl Steps {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn join(&self) -> Member<'_> {
        let mut queue = self.lock();
        queue.next_number += 1;
        Member { steps: self, number: queue.next_number, active: false }
    }
}

impl Member<'_> {
    /// Computes the next step of `state`, together with others'.
    pub(super) fn run(&mut self, model: &Model, state: State, control: Control<'_>) -> Result<State, Error> {
        let (steps, number) = (self.steps, self.number);
        let mut queue = steps.lock();
        if !self.active {
            self.active = true;
            queue.active += 1;
        }
        queue.waiting.push((number, state));
        drop(queue);
        steps.changed.notify_all();

        let _turn = control.piece_unless(&|| steps.lock().done.contains_key(&number));
        let begun = Instant::now();
        let mut queue = steps.lock();
        loop {
            if let Some(done) = queue.done.remove(&number) {
                // Its thread has panicked, and this one's state is lost with it.
                return Ok(done.expect("a shared step of the decoder panicked"));
            }
            // Where it does not wait another has it, who had the turn before.
            let wait = match queue.waiting.iter().position(|(member, _)| *member == number) {
                None => POLL,
                Some(mine) => {
                    if control.cancel.is_cancelled() {
                        queue.waiting.swap_remove(mine);
                        return Err(Error::Cancelled);
                    }
                    let patience = PATIENCE.saturating_sub(begun.elapsed());
                    if queue.waiting.len() >= queue.active || patience.is_zero() {
                        let batch = queue.take(mine);
                        drop(queue);
                        control.pace.step(batch.iter().map(|(_, state)| state.rows()).sum());
                        compute(steps, model, batch);
                        queue = steps.lock();
                        continue;
                    }
                    patience
                }
            };
            queue = steps.changed.wait_timeout(queue, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Nobody waits for this window's next step any more.
    pub(super) fn rest(&mut self) {
        if std::mem::take(&mut self.active) {
            self.steps.lock().active -= 1;
            self.steps.changed.notify_all();
        }
    }
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        self.rest();
    }
}

impl Queue {
    /// The state at `first` and as many others, in the order in which they came, as fit beside it.
    fn take(&mut self, first: usize) -> Vec<(u64, State)> {
        let mut batch = vec![self.waiting.remove(first)];
        let mut rows = batch[0].1.rows();
        for (member, state) in std::mem::take(&mut self.waiting) {
            if rows + state.rows() <= MOST_ROWS {
                rows += state.rows();
                batch.push((member, state));
            } else {
                self.waiting.push((member, state));
            }
        }
        batch
    }
}

/// Computes a step of all states of `batch` and hands them back.
fn compute(steps: &Steps, model: &Model, batch: Vec<(u64, State)>) {
    let (members, mut states): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
    let mut hand = Hand { steps, members, done: Vec::new() };
    step(model, &mut states);
    hand.done = states;
}

/// Hands states back when it is dropped, so that the others learn of it if this thread panics.
struct Hand<'a> {
    steps: &'a Steps,
    members: Vec<u64>,
    done: Vec<State>,
}

impl Drop for Hand<'_> {
    fn drop(&mut self) {
        let mut queue = self.steps.lock();
        let mut done = std::mem::take(&mut self.done).into_iter();
        for &member in &self.members {
            queue.done.insert(member, done.next());
        }
        drop(queue);
        self.steps.changed.notify_all();
    }
}
