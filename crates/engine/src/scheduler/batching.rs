//! Batching: which sequences are computed together. As many as gain from sharing steps; more would delay each other and
//! need memory. The others wait, fairly between clients: a client with many sequences waits for its own.
//!
//! Each client's sequences are stamped as in start-time fair queueing (Goyal, Vin and Cheng, 1996): on a virtual
//! clock, a sequence starts when the client's previous one ends, and no earlier than now; the earliest start is admitted
//! first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::thread::{self, Thread};

use mynah_core::{BatchShare, CancelFlag, Priority};

use crate::scheduler::client_id::ClientId;
use crate::sync::lock;

/// Maximum sequences of equal priority in the batch, however small their shares: each needs some megabytes.
const MAX_SEQUENCES: usize = 4;

/// Admits sequences to the batch of their priority.
#[derive(Default)]
pub(crate) struct BatchAdmission {
    lines: Mutex<[FairQueue; 2]>,
}

/// The fair queue and the batch of one priority.
#[derive(Default)]
struct FairQueue {
    /// Shares of the sequences in the batch.
    admitted: Vec<BatchShare>,
    waiting: Vec<Waiter>,
    next_number: u64,
    /// Start of the last sequence that was admitted, on the virtual clock.
    now: u64,
    /// End of the last sequence of each client, if it is later than the clock.
    ends: HashMap<ClientId, u64>,
}

struct Waiter {
    stamp: Stamp,
    share: BatchShare,
    thread: Thread,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Stamp {
    start: u64,
    /// Orders equal starts: first come, first served.
    number: u64,
}

impl FairQueue {
    fn join(&mut self, client: ClientId, share: BatchShare) -> Stamp {
        let start = self.ends.get(&client).copied().unwrap_or(0).max(self.now);
        self.ends.insert(client, start + 1);
        let stamp = Stamp { start, number: self.next_number };
        self.next_number += 1;
        self.waiting.push(Waiter { stamp, share, thread: thread::current() });
        stamp
    }

    /// The next waiter, if there is room for it.
    fn next(&self) -> Option<&Waiter> {
        let next = self.waiting.iter().min_by_key(|waiter| waiter.stamp)?;
        let taken: usize = self.admitted.iter().map(|share| share.0).sum();
        let fits = taken + next.share.0 <= BatchShare::WHOLE.0 && self.admitted.len() < MAX_SEQUENCES;
        (taken == 0 || fits).then_some(next)
    }

    fn wake_next(&self) {
        if let Some(next) = self.next() {
            next.thread.unpark();
        }
    }

    fn leave(&mut self, stamp: Stamp) {
        self.waiting.retain(|waiter| waiter.stamp != stamp);
    }

    /// Admits the waiter with this stamp if it is next; returns the number of sequences in the batch.
    fn admit(&mut self, stamp: Stamp) -> Option<usize> {
        let share = self.next().filter(|next| next.stamp == stamp)?.share;
        self.leave(stamp);
        self.admitted.push(share);
        self.now = self.now.max(stamp.start);
        let now = self.now;
        self.ends.retain(|_, end| *end > now);
        // There may be room for another one.
        self.wake_next();
        Some(self.admitted.len())
    }
}

/// A place in the batch, until dropped.
pub(crate) struct BatchPermit {
    admission: Arc<BatchAdmission>,
    priority: Priority,
    share: BatchShare,
    /// Sequences in the batch when this one was admitted, including it.
    pub(crate) batch_size: usize,
}

impl BatchAdmission {
    /// Waits for room; `None` if cancelled.
    pub(crate) fn enter(
        self: &Arc<Self>,
        client: ClientId,
        priority: Priority,
        share: BatchShare,
        cancel: &CancelFlag,
    ) -> Option<BatchPermit> {
        let permit = |batch_size| BatchPermit { admission: Arc::clone(self), priority, share, batch_size };
        let mut lines = lock(&self.lines);
        let line = &mut lines[priority as usize];
        let stamp = line.join(client, share);
        if let Some(batch_size) = line.admit(stamp) {
            return Some(permit(batch_size));
        }
        drop(lines);
        let _wake = cancel.wake_on_cancel();
        loop {
            let mut lines = lock(&self.lines);
            let line = &mut lines[priority as usize];
            if cancel.is_cancelled() {
                line.leave(stamp);
                line.wake_next();
                return None;
            }
            if let Some(batch_size) = line.admit(stamp) {
                return Some(permit(batch_size));
            }
            drop(lines);
            thread::park();
        }
    }
}

impl Drop for BatchPermit {
    fn drop(&mut self) {
        let line = &mut lock(&self.admission.lines)[self.priority as usize];
        if let Some(index) = line.admitted.iter().position(|share| *share == self.share) {
            line.admitted.swap_remove(index);
        }
        line.wake_next();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clients in the order in which their sequences are admitted.
    fn order(line: &mut FairQueue, stamps: &[(char, Stamp)]) -> String {
        let mut order = String::new();
        while let Some(next) = line.next().map(|waiter| waiter.stamp) {
            line.admit(next).unwrap();
            line.admitted.clear();
            order.extend(stamps.iter().find(|(_, stamp)| *stamp == next).map(|(client, _)| client));
        }
        order
    }

    #[test]
    fn a_client_with_many_sequences_does_not_keep_others_waiting() {
        let mut line = FairQueue::default();
        let join = |line: &mut FairQueue, client: char| {
            (client, line.join(ClientId(client.into()), BatchShare::WHOLE))
        };
        let mut stamps: Vec<_> = "AAAAABCB".chars().map(|client| join(&mut line, client)).collect();
        assert_eq!(order(&mut line, &stamps), "ABCABAAA");
        // A client that was served much recently waits once; one that was idle has accumulated no credit.
        stamps.clear();
        stamps.extend("ADDBA".chars().map(|client| join(&mut line, client)));
        assert_eq!(order(&mut line, &stamps), "DBADA");
        assert_eq!(line.ends.len(), 1, "clients without sequences are removed");
    }

    #[test]
    fn sequences_are_admitted_until_the_batch_is_full() {
        use Priority::{Background, Interactive};

        let admission = Arc::new(BatchAdmission::default());
        let never = CancelFlag::new();
        let enter = |priority, share| admission.enter(ClientId(1), priority, share, &never).unwrap();
        let cancelled = CancelFlag::new();
        cancelled.cancel();
        let has_room = |share| admission.enter(ClientId(9), Interactive, share, &cancelled).is_some();

        let whole = enter(Interactive, BatchShare::WHOLE);
        assert!(!has_room(BatchShare(1)));
        // Background work has its own batch.
        drop(enter(Background, BatchShare::WHOLE));
        drop(whole);
        let (third, half) = (BatchShare::of(1, 3), BatchShare::of(1, 2));
        let inside = [enter(Interactive, third), enter(Interactive, half)];
        assert!(!has_room(half));
        drop(inside);
        let inside: Vec<_> = (0..MAX_SEQUENCES).map(|_| enter(Interactive, BatchShare(1))).collect();
        assert!(!has_room(BatchShare(1)));
        assert!(lock(&admission.lines)[0].waiting.is_empty());
        drop(inside);
        assert!(has_room(BatchShare::WHOLE));
    }

    #[test]
    fn waiters_are_woken_when_there_is_room_or_when_cancelled() {
        let admission = Arc::new(BatchAdmission::default());
        let never = CancelFlag::new();
        let waiting = || lock(&admission.lines)[0].waiting.len();
        let enter = |cancel: &CancelFlag| {
            admission.enter(ClientId(1), Priority::Interactive, BatchShare::WHOLE, cancel)
        };
        let first = enter(&never).unwrap();
        let cancel = CancelFlag::new();
        thread::scope(|scope| {
            let second = scope.spawn(|| enter(&cancel).is_none());
            let third = scope.spawn(|| enter(&never).is_some());
            while waiting() < 2 {
                thread::yield_now();
            }
            cancel.cancel();
            assert!(second.join().unwrap());
            drop(first);
            assert!(third.join().unwrap());
        });
    }
}
