//! Who computes next. Jobs compute piece by piece: a product of the encoder, a step of the decoder, a sentence of speech;
//! one at a time, as each spreads over all threads. First come first served, but the rest of a long recording gives way to
//! whoever waits for a first answer: it has a ninth of the time while there is such a window, and all of it otherwise. It
//! must not slip in between two pieces of that window: its own pieces are often longer than what it would fill.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use mynah_models::Claim;

use crate::sync::{lock, wait};

/// Time that the rest of long recordings gets for a second of first answers, while both wait.
const SHARE_OF_REST: f64 = 0.125;
/// Seconds that it can have coming to it, at most.
const MOST_CREDIT_S: f64 = 0.1;

/// The line in front of the processor.
#[derive(Default)]
pub(crate) struct Turnstile {
    line: Mutex<Line>,
    moved: Condvar,
}

#[derive(Default)]
struct Line {
    first: VecDeque<u64>,
    rest: VecDeque<u64>,
    next_ticket: u64,
    /// Windows with the first claim that are under way or wait for room, whether they want a turn now or not.
    first_windows: usize,
    /// Whether somebody computes.
    taken: bool,
    /// Seconds that the rest has coming to it; less than none where a piece of it took more.
    credit_s: f64,
    /// What its last piece took.
    piece_of_rest_s: f64,
}

impl Line {
    fn waiting(&mut self, claim: Claim) -> &mut VecDeque<u64> {
        match claim {
            Claim::First => &mut self.first,
            Claim::Rest => &mut self.rest,
        }
    }

    /// The ticket whose turn it is.
    fn next(&self) -> Option<u64> {
        let is_due = self.credit_s > 0.0 && self.credit_s >= self.piece_of_rest_s.min(MOST_CREDIT_S);
        let rest = self.rest.front();
        let next = match self.first.front() {
            first if is_due => rest.or(first),
            None if self.first_windows == 0 => rest,
            first => first,
        };
        next.copied()
    }

    /// Puts down what a piece took.
    fn account(&mut self, claim: Claim, seconds: f64) {
        match claim {
            Claim::First if !self.rest.is_empty() => {
                self.credit_s = (self.credit_s + SHARE_OF_REST * seconds).min(MOST_CREDIT_S);
            }
            Claim::First => {}
            Claim::Rest => {
                self.piece_of_rest_s = seconds;
                if self.first_windows > 0 || !self.first.is_empty() {
                    self.credit_s -= seconds;
                }
            }
        }
    }
}

/// The right to compute, until dropped.
pub(crate) struct Turn {
    turnstile: Arc<Turnstile>,
    claim: Claim,
    since: Instant,
}

/// Says that a window with a claim is wanted, until dropped.
pub(crate) struct Presence {
    turnstile: Arc<Turnstile>,
    claim: Claim,
}

impl Drop for Presence {
    fn drop(&mut self) {
        if self.claim == Claim::First {
            lock(&self.turnstile.line).first_windows -= 1;
            self.turnstile.moved.notify_all();
        }
    }
}

impl Turnstile {
    /// A window is wanted, of which pieces will come.
    pub(crate) fn begin(self: &Arc<Self>, claim: Claim) -> Presence {
        if claim == Claim::First {
            lock(&self.line).first_windows += 1;
        }
        Presence { turnstile: Arc::clone(self), claim }
    }

    /// Waits for its turn; `None` if it is not wanted any more.
    pub(crate) fn enter(self: &Arc<Self>, claim: Claim, is_needless: &dyn Fn() -> bool) -> Option<Turn> {
        let mut line = lock(&self.line);
        let ticket = line.next_ticket;
        line.next_ticket += 1;
        line.waiting(claim).push_back(ticket);
        while line.taken || line.next() != Some(ticket) {
            if is_needless() {
                line.waiting(claim).retain(|waiting| *waiting != ticket);
                drop(line);
                self.moved.notify_all();
                return None;
            }
            line = wait(&self.moved, line);
        }
        line.waiting(claim).pop_front();
        line.taken = true;
        Some(Turn { turnstile: Arc::clone(self), claim, since: Instant::now() })
    }
}

impl Turn {
    /// How long it has been computing.
    pub(crate) fn elapsed_s(&self) -> f64 {
        self.since.elapsed().as_secs_f64()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut line = lock(&self.turnstile.line);
        line.taken = false;
        line.account(self.claim, self.elapsed_s());
        drop(line);
        self.turnstile.moved.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn waiting(turnstile: &Turnstile) -> usize {
        let line = lock(&turnstile.line);
        line.first.len() + line.rest.len()
    }

    fn until(condition: impl Fn() -> bool) {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < Duration::from_secs(10), "nothing happened");
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn first_answers_go_before_the_rest_of_recordings_and_each_among_themselves_by_the_time_they_came() {
        let turnstile = Arc::new(Turnstile::default());
        let order = Mutex::new(Vec::new());
        // The rest has had its share by then.
        let first = turnstile.enter(Claim::Rest, &|| false).unwrap();
        thread::scope(|scope| {
            let (turnstile, order) = (&turnstile, &order);
            for (number, claim) in
                [Claim::Rest, Claim::First, Claim::Rest, Claim::First].into_iter().enumerate()
            {
                scope.spawn(move || {
                    let _turn = turnstile.enter(claim, &|| false).unwrap();
                    lock(order).push(number);
                });
                until(|| waiting(turnstile) == number + 1);
            }
            drop(first);
        });
        assert_eq!(*lock(&order), [1, 3, 0, 2]);
    }

    #[test]
    fn the_rest_has_its_share_while_first_answers_wait() {
        // Pieces of 10 ms of first answers and of 60 ms of the rest, both always waiting.
        let mut line = Line { first: [0].into(), rest: [1].into(), ..Line::default() };
        let (mut of_first_s, mut of_rest_s) = (0.0, 0.0);
        while of_first_s + of_rest_s < 100.0 {
            if line.next() == Some(0) {
                line.account(Claim::First, 0.01);
                of_first_s += 0.01;
            } else {
                line.account(Claim::Rest, 0.06);
                of_rest_s += 0.06;
            }
        }
        assert!((of_rest_s / of_first_s - SHARE_OF_REST).abs() < 0.01, "{of_rest_s} {of_first_s}");
        // A piece longer than the credit that can be saved up comes to its turn as well.
        line.account(Claim::Rest, 3.0);
        for _ in 0..(2.0 * 3.0 / SHARE_OF_REST / 0.01) as usize {
            line.account(Claim::First, 0.01);
        }
        assert_eq!(line.next(), Some(1));
        // What was computed while nobody waited is not put down.
        line.first.clear();
        let credit_s = line.credit_s;
        line.account(Claim::Rest, 5.0);
        assert_eq!(line.credit_s, credit_s);
    }

    #[test]
    fn the_rest_does_not_slip_in_between_pieces_of_a_first_window() {
        let mut line = Line { rest: [1].into(), first_windows: 1, ..Line::default() };
        assert_eq!(line.next(), None);
        line.account(Claim::First, 0.01);
        assert_eq!(line.next(), Some(1), "its share has come");
        line.account(Claim::Rest, 0.01);
        assert_eq!(line.next(), None);
        line.first_windows = 0;
        assert_eq!(line.next(), Some(1));
    }

    #[test]
    fn who_does_not_want_it_any_more_leaves_the_line() {
        let turnstile = Arc::new(Turnstile::default());
        let cancel = mynah_models::CancelFlag::new();
        let first = turnstile.enter(Claim::First, &|| false).unwrap();
        thread::scope(|scope| {
            let second = scope.spawn(|| turnstile.enter(Claim::First, &|| cancel.is_cancelled()).is_none());
            until(|| waiting(&turnstile) == 1);
            cancel.cancel();
            assert!(second.join().unwrap());
        });
        assert_eq!(waiting(&turnstile), 0);
        drop(first);
        assert!(turnstile.enter(Claim::First, &|| false).is_some());
    }
}
