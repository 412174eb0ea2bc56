//! Which windows are under way: as many as are better computed together than one after the other. More would keep all of
//! them waiting for each other, and take memory. The others wait, fairly between clients: a client that asks for much waits
//! for its own.
//!
//! Each client's windows are stamped as in start-time fair queueing (Goyal, Vin and Cheng, 1996): a window starts, on a
//! clock of windows, when the client's last one ends, and no earlier than now; the earliest start goes first.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex};

use mynah_models::{CancelFlag, Claim, Share};

use crate::sync::{lock, wait};

/// Windows under way at once with equal claims, however small their shares: each keeps some megabytes.
const MOST_WINDOWS: usize = 4;

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
    /// Shares of the windows under way.
    under_way: Vec<Share>,
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

    fn may_begin(&self, ticket: Ticket, share: Share) -> bool {
        let taken: usize = self.under_way.iter().map(|share| share.0).sum();
        let is_room = taken == 0 || taken + share.0 <= Share::WHOLE.0 && self.under_way.len() < MOST_WINDOWS;
        is_room && self.waiting.iter().min() == Some(&ticket)
    }

    fn leave(&mut self, ticket: Ticket) {
        self.waiting.retain(|waiting| *waiting != ticket);
    }

    fn begin(&mut self, ticket: Ticket, share: Share) {
        self.leave(ticket);
        self.under_way.push(share);
        self.now = self.now.max(ticket.start);
        let now = self.now;
        self.ends.retain(|_, end| *end > now);
    }
}

/// A place, until dropped.
pub(crate) struct Window {
    windows: Arc<Windows>,
    claim: Claim,
    share: Share,
    /// Windows that had places with equal claims when this one got its own, itself among them.
    pub(crate) under_way: usize,
}

impl Windows {
    /// Waits for a place; `None` once cancelled.
    pub(crate) fn enter(
        self: &Arc<Self>,
        client: ClientId,
        claim: Claim,
        share: Share,
        cancel: &CancelFlag,
    ) -> Option<Window> {
        let mut lines = lock(&self.lines);
        let ticket = lines[claim as usize].join(client);
        while !lines[claim as usize].may_begin(ticket, share) {
            if cancel.is_cancelled() {
                lines[claim as usize].leave(ticket);
                drop(lines);
                self.moved.notify_all();
                return None;
            }
            lines = wait(&self.moved, lines);
        }
        lines[claim as usize].begin(ticket, share);
        let under_way = lines[claim as usize].under_way.len();
        drop(lines);
        // There may be a place for the next as well.
        self.moved.notify_all();
        Some(Window { windows: Arc::clone(self), claim, share, under_way })
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        let under_way = &mut lock(&self.windows.lines)[self.claim as usize].under_way;
        if let Some(place) = under_way.iter().position(|share| *share == self.share) {
            under_way.swap_remove(place);
        }
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
            assert!(line.may_begin(next, Share::WHOLE));
            line.begin(next, Share::WHOLE);
            line.under_way.clear();
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
    fn as_many_are_under_way_as_fill_a_share() {
        let windows = Arc::new(Windows::default());
        let never = CancelFlag::new();
        let enter = |claim, share| windows.enter(ClientId(1), claim, share, &never).unwrap();
        let cancelled = CancelFlag::new();
        cancelled.cancel();
        let is_room = |share| windows.enter(ClientId(9), Claim::First, share, &cancelled).is_some();

        let whole = enter(Claim::First, Share::WHOLE);
        assert!(!is_room(Share(1)));
        // The rest of recordings has room of its own.
        drop(enter(Claim::Rest, Share::WHOLE));
        drop(whole);
        let (third, half) = (Share::of(1, 3), Share::of(1, 2));
        let inside = [enter(Claim::First, third), enter(Claim::First, half)];
        assert!(!is_room(half));
        drop(inside);
        let inside: Vec<_> = (0..MOST_WINDOWS).map(|_| enter(Claim::First, Share(1))).collect();
        assert!(!is_room(Share(1)));
        assert!(lock(&windows.lines)[0].waiting.is_empty());
        drop(inside);
        assert!(is_room(Share::WHOLE));
    }
}
