//! Steps of different requests, computed together.
//!
//! A step reads all weights once, whether for one text or for several, so requests that are under way at the same time
//! share their steps. Whoever arrives waits a moment for the others; then one of the waiting threads computes the step of
//! all of them.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::gpt::{Gpt, Sequence};
use crate::{CancelFlag, Error};

/// How long a request waits for the others: some times what choosing tokens takes them, a fraction of a step.
const PATIENCE: Duration = Duration::from_millis(2);

/// Where requests meet.
#[derive(Default)]
pub(super) struct Steps {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    /// Requests that are generating.
    members: usize,
    next_ticket: u64,
    waiting: Vec<(u64, Step)>,
    computing: bool,
    /// Steps that were computed, or `None` where that failed.
    done: HashMap<u64, Option<Step>>,
}

/// What a request hands in, and gets back with states for embeddings.
pub(super) struct Step {
    /// `[sequences, width]`: embeddings, then normalised states.
    pub(super) rows: Vec<f32>,
    pub(super) sequences: Vec<Sequence>,
}

/// A request that generates; others wait for its steps until this is dropped.
pub(super) struct Member<'a> {
    steps: &'a Steps,
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        self.steps.lock().members -= 1;
        self.steps.changed.notify_all();
    }
}

impl Steps {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes part from now on.
    pub(super) fn join(&self) -> Member<'_> {
        self.lock().members += 1;
        Member { steps: self }
    }
}

impl Member<'_> {
    /// Computes a step, together with those of other members.
    pub(super) fn run(&self, gpt: &Gpt, step: Step) -> Result<Step, Error> {
        let steps = self.steps;
        let mut queue = steps.lock();
        let ticket = queue.next_ticket;
        queue.next_ticket += 1;
        queue.waiting.push((ticket, step));
        steps.changed.notify_all();
        let start = Instant::now();
        loop {
            if let Some(done) = queue.done.remove(&ticket) {
                return done.ok_or_else(|| Error::Unsupported("a step of speech failed".into()));
            }
            let patience = PATIENCE.saturating_sub(start.elapsed());
            if !queue.computing && (queue.waiting.len() >= queue.members || patience.is_zero()) {
                queue.computing = true;
                let batch = std::mem::take(&mut queue.waiting);
                drop(queue);
                // Computed while nobody holds the lock; `Hand` tells the others even if this thread panics.
                let mut hand = Hand { steps, tickets: batch.iter().map(|(ticket, _)| *ticket).collect(), done: vec![] };
                hand.done = compute(gpt, batch)?;
                drop(hand);
                queue = steps.lock();
                continue;
            }
            let wait = if queue.computing { Duration::from_secs(1) } else { patience };
            let waited = steps.changed.wait_timeout(queue, wait.max(Duration::from_micros(50)));
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Hands out what was computed.
struct Hand<'a> {
    steps: &'a Steps,
    tickets: Vec<u64>,
    done: Vec<Step>,
}

impl Drop for Hand<'_> {
    fn drop(&mut self) {
        let mut queue = self.steps.lock();
        let mut done = std::mem::take(&mut self.done).into_iter();
        for &ticket in &self.tickets {
            queue.done.insert(ticket, done.next());
        }
        queue.computing = false;
        self.steps.changed.notify_all();
    }
}

fn compute(gpt: &Gpt, batch: Vec<(u64, Step)>) -> Result<Vec<Step>, Error> {
    let (mut x, mut sequences, mut counts) = (Vec::new(), Vec::new(), Vec::new());
    for (_, step) in batch {
        x.extend(step.rows);
        counts.push(step.sequences.len());
        sequences.extend(step.sequences);
    }
    let ones = vec![1; sequences.len()];
    let mut borrowed: Vec<&mut Sequence> = sequences.iter_mut().collect();
    // One member's wish to stop must not end the others' step; each looks at its own flag between steps.
    let states = gpt.forward(&mut x, &mut borrowed, &ones, &CancelFlag::new(), &mut |_, _| {})?;
    let (mut sequences, mut states) = (sequences.into_iter(), states.as_slice());
    let steps = counts.into_iter().map(|count| {
        let (rows, rest) = states.split_at(count * gpt.config.width);
        states = rest;
        Step { rows: rows.to_vec(), sequences: sequences.by_ref().take(count).collect() }
    });
    Ok(steps.collect())
}
