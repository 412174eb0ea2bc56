//! Who computes next. Jobs pass one window of at most 30 s at a time, first come first served; a job that has more
//! windows goes to the end of the line each time, so a short clip never waits behind the rest of a long recording.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};

use mynah_models::CancelFlag;

use crate::sync::{lock, wait};

/// The line in front of the processor. The ticket at its head computes.
#[derive(Default)]
pub(crate) struct Turnstile {
    line: Mutex<Line>,
    moved: Condvar,
}

#[derive(Default)]
struct Line {
    tickets: VecDeque<u64>,
    next_ticket: u64,
}

/// The right to compute, until dropped.
pub(crate) struct Turn {
    turnstile: Arc<Turnstile>,
    ticket: u64,
}

impl Turnstile {
    /// Waits for its turn; `None` once cancelled.
    pub(crate) fn enter(self: &Arc<Self>, cancel: &CancelFlag) -> Option<Turn> {
        let mut line = lock(&self.line);
        let turn = Turn { turnstile: Arc::clone(self), ticket: line.next_ticket };
        line.next_ticket += 1;
        line.tickets.push_back(turn.ticket);
        while line.tickets.front() != Some(&turn.ticket) {
            if cancel.is_cancelled() {
                drop(line);
                return None;
            }
            line = wait(&self.moved, line);
        }
        drop(line);
        Some(turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        lock(&self.turnstile.line).tickets.retain(|ticket| *ticket != self.ticket);
        self.turnstile.moved.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;

    fn waiting(turnstile: &Turnstile) -> usize {
        lock(&turnstile.line).tickets.len()
    }

    fn until(condition: impl Fn() -> bool) {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < Duration::from_secs(10), "nothing happened");
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_short_job_waits_for_one_window_of_a_long_one() {
        let turnstile = Arc::new(Turnstile::default());
        let never = CancelFlag::new();
        let order = Mutex::new(Vec::new());
        let window = |name: &'static str, others: usize| {
            let _turn = turnstile.enter(&never).unwrap();
            // Computes until the others stand in line.
            until(|| waiting(&turnstile) > others);
            lock(&order).push(name);
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                window("long", 1);
                window("long", 0);
                window("long", 0);
            });
            scope.spawn(|| {
                until(|| waiting(&turnstile) == 1);
                window("short", 0);
            });
        });
        assert_eq!(*lock(&order), ["long", "short", "long", "long"]);
    }

    #[test]
    fn who_is_cancelled_leaves_the_line() {
        let turnstile = Arc::new(Turnstile::default());
        let never = CancelFlag::new();
        let cancel = CancelFlag::new();
        let first = turnstile.enter(&never).unwrap();
        thread::scope(|scope| {
            let second = scope.spawn(|| turnstile.enter(&cancel).is_none());
            until(|| waiting(&turnstile) == 2);
            cancel.cancel();
            assert!(second.join().unwrap());
        });
        assert_eq!(waiting(&turnstile), 1);
        drop(first);
        assert!(turnstile.enter(&never).is_some());
    }
}
