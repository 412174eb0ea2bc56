//! Which windows are under way. A few at a time, so that their decoder steps are shared and memory is bounded; the others
//! wait, fairly between clients: a client that asks for much waits for its own.
//!
//! Each client's windows are stamped as in start-time fair queueing (Goyal, Vin and Cheng, 1996): a window starts, on a
//! clock of windows, when the client's last one ends, and no earlier than now; the earliest start goes first.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex};

use mynah_models::CancelFlag;

use crate::sync::{lock, wait};
use crate::turnstile::Claim;

/// First windows of recordings under way at once.
const FIRST_PLACES: usize = 4;
/// Later windows under way at once.
const REST_PLACES: usize = 2;

/// Who asks: jobs with equal numbers share what one client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientId(pub u64);

/// The places for windows.
#[derive(Default)]
pub(crate) struct Windows {
    lines: Mutex<[Line; 2]>,
    moved: Condvar,
}

/// Those with equal claims.
#[derive(Default)]
struct Line {
    under_way: usize,
    waiting: Vec<Ticket>,
    next_number: u64,
    /// Start of the last window that was let in.
    now: u64,
    /// When the last window of each client that is ahead of the clock ends.
    ends: HashMap<ClientId, u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ticket {
    start: u64,
    /// By which equal starts are told apart: first come, first served.
    number: u64,
}

impl Line {
    fn join(&mut self, client: ClientId) -> Ticket {
        let start = self.ends.get(&client).copied().unwrap_or(0).max(self.now);
        self.ends.insert(client, start + 1);
        let ticket = Ticket { start, number: self.next_number };
        self.next_number += 1;
        self.waiting.push(ticket);
        ticket
    }

    fn may_begin(&self, ticket: Ticket, places: usize) -> bool {
        self.under_way < places && self.waiting.iter().min() == Some(&ticket)
    }

    fn leave(&mut self, ticket: Ticket) {
        self.waiting.retain(|waiting| *waiting != ticket);
    }

    fn begin(&mut self, ticket: Ticket) {
        self.leave(ticket);
        self.under_way += 1;
        self.now = self.now.max(ticket.start);
        let now = self.now;
        self.ends.retain(|_, end| *end > now);
    }
}

/// A place, until dropped.
pub(crate) struct Window {
    windows: Arc<Windows>,
    claim: Claim,
}

impl Windows {
    /// Waits for a place; `None` once cancelled.
    pub(crate) fn enter(
        self: &Arc<Self>,
        client: ClientId,
        claim: Claim,
        cancel: &CancelFlag,
    ) -> Option<Window> {
        let places = match claim {
            Claim::First => FIRST_PLACES,
            Claim::Rest => REST_PLACES,
        };
        let mut lines = lock(&self.lines);
        let ticket = lines[claim as usize].join(client);
        while !lines[claim as usize].may_begin(ticket, places) {
            if cancel.is_cancelled() {
                lines[claim as usize].leave(ticket);
                drop(lines);
                self.moved.notify_all();
                return None;
            }
            lines = wait(&self.moved, lines);
        }
        lines[claim as usize].begin(ticket);
        drop(lines);
        // There may be a place for the next as well.
        self.moved.notify_all();
        Some(Window { windows: Arc::clone(self), claim })
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        lock(&self.windows.lines)[self.claim as usize].under_way -= 1;
        self.windows.moved.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clients in the order in which their windows are let in.
    fn order(line: &mut Line, tickets: &[(char, Ticket)]) -> String {
        let mut order = String::new();
        while let Some(next) = line.waiting.iter().min().copied() {
            assert!(line.may_begin(next, usize::MAX));
            line.begin(next);
            order.extend(tickets.iter().find(|(_, ticket)| *ticket == next).map(|(client, _)| client));
        }
        order
    }

    #[test]
    fn a_client_with_many_windows_does_not_keep_others_waiting() {
        let mut line = Line::default();
        let join = |line: &mut Line, client: char| (client, line.join(ClientId(client.into())));
        let mut tickets: Vec<_> = "AAAAABCB".chars().map(|client| join(&mut line, client)).collect();
        assert_eq!(order(&mut line, &tickets), "ABCABAAA");
        // Who had much lately waits once; who was away has saved nothing up.
        tickets.clear();
        tickets.extend("ADDBA".chars().map(|client| join(&mut line, client)));
        assert_eq!(order(&mut line, &tickets), "DBADA");
        assert_eq!(line.ends.len(), 1, "clients are forgotten");
    }

    #[test]
    fn no_more_than_the_places_are_let_in() {
        let windows = Arc::new(Windows::default());
        let never = CancelFlag::new();
        let enter = |client, claim| windows.enter(ClientId(client), claim, &never).unwrap();
        let inside: Vec<_> = (0..FIRST_PLACES as u64).map(|client| enter(client, Claim::First)).collect();
        // The rest of recordings has places of its own.
        drop(enter(0, Claim::Rest));
        let cancelled = CancelFlag::new();
        cancelled.cancel();
        assert!(windows.enter(ClientId(9), Claim::First, &cancelled).is_none());
        assert!(lock(&windows.lines)[0].waiting.is_empty());
        drop(inside);
        drop(enter(9, Claim::First));
    }
}
