//! Steps of different requests, computed together.
//!
//! A step reads all weights once, whether for one text or for several, so requests that are under way at the same time
//! share their steps. One of them leads: it has the turn to compute, waits a moment for the others, and computes the step
//! of all that are there, until its piece is done and another leads.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::gpt::{Gpt, Sequence};
use crate::{CancelFlag, Error, Listener};

/// How long the leader waits for the others: some times what choosing tokens takes them, a fraction of a step.
const PATIENCE: Duration = Duration::from_millis(2);

/// Where requests meet.
#[derive(Default)]
pub(super) struct Steps {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    next_number: u64,
    /// Requests in the midst of a piece.
    active: usize,
    /// Number of the member that computes.
    leader: Option<u64>,
    waiting: Vec<(u64, Step)>,
    /// Steps that were computed, by member; `None` where that failed.
    done: HashMap<u64, Option<Step>>,
}

/// What a request hands in, and gets back with states for embeddings.
pub(super) struct Step {
    /// `[sequences, width]`: embeddings, then normalised states.
    pub(super) rows: Vec<f32>,
    pub(super) sequences: Vec<Sequence>,
}

/// A request that generates.
pub(super) struct Member<'a> {
    steps: &'a Steps,
    number: u64,
    active: bool,
}

impl Steps {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes part from now on.
    pub(super) fn join(&self) -> Member<'_> {
        let mut queue = self.lock();
        queue.next_number += 1;
        Member { steps: self, number: queue.next_number, active: false }
    }
}

impl Member<'_> {
    /// Computes a step, together with those of other members. Whoever leads has its turn until [`Member::rest`].
    pub(super) fn run(&mut self, gpt: &Gpt, step: Step, listener: &mut dyn Listener) -> Result<Step, Error> {
        let steps = self.steps;
        let mut queue = steps.lock();
        if !self.active {
            self.active = true;
            queue.active += 1;
        }
        queue.waiting.push((self.number, step));
        steps.changed.notify_all();
        let start = Instant::now();
        loop {
            if let Some(done) = queue.done.remove(&self.number) {
                return done.ok_or_else(|| Error::Unsupported("a step of speech failed".into()));
            }
            let wait = match queue.leader {
                None => {
                    queue.leader = Some(self.number);
                    drop(queue);
                    listener.turn_begins();
                    queue = steps.lock();
                    continue;
                }
                Some(leader) if leader != self.number => Duration::from_secs(1),
                Some(_) => {
                    let patience = PATIENCE.saturating_sub(start.elapsed());
                    if queue.waiting.len() >= queue.active || patience.is_zero() {
                        let batch = std::mem::take(&mut queue.waiting);
                        drop(queue);
                        // Nobody holds the lock meanwhile; `Hand` tells the others even if this thread panics.
                        listener.step(batch.iter().map(|(_, step)| step.sequences.len()).sum());
                        let members = batch.iter().map(|(member, _)| *member).collect();
                        let mut hand = Hand { steps, members, done: vec![] };
                        hand.done = compute(gpt, batch)?;
                        drop(hand);
                        queue = steps.lock();
                        continue;
                    }
                    patience
                }
            };
            queue = steps.changed.wait_timeout(queue, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ends a piece: others lead, and nobody waits for this member's next step.
    pub(super) fn rest(&mut self, listener: &mut dyn Listener) {
        if self.leave() {
            listener.turn_ends();
        }
    }

    /// Returns whether this member led.
    fn leave(&mut self) -> bool {
        let mut queue = self.steps.lock();
        if std::mem::take(&mut self.active) {
            queue.active -= 1;
        }
        let led = queue.leader == Some(self.number);
        if led {
            queue.leader = None;
        }
        drop(queue);
        self.steps.changed.notify_all();
        led
    }
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Hands out what was computed.
struct Hand<'a> {
    steps: &'a Steps,
    members: Vec<u64>,
    done: Vec<Step>,
}

impl Drop for Hand<'_> {
    fn drop(&mut self) {
        let mut queue = self.steps.lock();
        let mut done = std::mem::take(&mut self.done).into_iter();
        for &member in &self.members {
            queue.done.insert(member, done.next());
        }
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
