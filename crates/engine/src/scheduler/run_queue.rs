//! Which job computes next on a device.
//!
//! Jobs compute step by step: a part of an encoder, a decoder step, an utterance. One step runs at a time, as each
//! spreads over all threads of the device. Steps run first come, first served, but background work (the rest of a long
//! recording or text) yields to interactive work (a first result that a client waits for): it gets a ninth of the time while
//! interactive work is pending, and all of it otherwise. It does not run between two steps of an interactive window, as its
//! steps are often longer than the gap.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::thread::{self, Thread};
use std::time::Instant;

use mynah_core::{CancelFlag, Priority};

use crate::sync::lock;

/// Time of background work per time of interactive work, while both wait.
const BACKGROUND_SHARE: f64 = 0.125;
/// Maximum time credit of background work, seconds.
const MAX_CREDIT_S: f64 = 0.1;

/// Grants compute permits, one at a time.
#[derive(Default)]
pub(crate) struct ComputeScheduler {
    queue: Mutex<RunQueue>,
}

/// A thread that waits for a permit.
struct Waiter {
    ticket: u64,
    thread: Thread,
}

#[derive(Default)]
struct RunQueue {
    interactive: VecDeque<Waiter>,
    background: VecDeque<Waiter>,
    next_ticket: u64,
    /// Interactive windows in the batch or waiting for room, whether or not they wait for a permit now.
    pending_interactive: usize,
    /// Whether a permit is held.
    running: bool,
    /// Time credit of background work, seconds; negative after a longer step.
    credit_s: f64,
    /// Duration of the last background step.
    background_step_s: f64,
}

impl RunQueue {
    fn waiters(&mut self, priority: Priority) -> &mut VecDeque<Waiter> {
        match priority {
            Priority::Interactive => &mut self.interactive,
            Priority::Background => &mut self.background,
        }
    }

    /// The waiter that gets the next permit.
    fn next(&self) -> Option<&Waiter> {
        let is_due = self.credit_s > 0.0 && self.credit_s >= self.background_step_s.min(MAX_CREDIT_S);
        let background = self.background.front();
        match self.interactive.front() {
            interactive if is_due => background.or(interactive),
            None if self.pending_interactive == 0 => background,
            interactive => interactive,
        }
    }

    /// Wakes the thread that gets the next permit, if any.
    fn wake_next(&self) {
        if !self.running
            && let Some(next) = self.next()
        {
            next.thread.unpark();
        }
    }

    /// Takes the permit for the waiter with this ticket, if it is next.
    fn take(&mut self, ticket: u64, priority: Priority) -> bool {
        let is_next = !self.running && self.next().is_some_and(|next| next.ticket == ticket);
        if is_next {
            self.waiters(priority).pop_front();
            self.running = true;
        }
        is_next
    }

    /// Accounts for a step.
    fn account(&mut self, priority: Priority, seconds: f64) {
        match priority {
            Priority::Interactive if !self.background.is_empty() => {
                self.credit_s = (self.credit_s + BACKGROUND_SHARE * seconds).min(MAX_CREDIT_S);
            }
            Priority::Interactive => {}
            Priority::Background => {
                self.background_step_s = seconds;
                if self.pending_interactive > 0 || !self.interactive.is_empty() {
                    self.credit_s -= seconds;
                }
            }
        }
    }
}

/// The permit to compute, until dropped.
pub(crate) struct ComputePermit {
    scheduler: Arc<ComputeScheduler>,
    priority: Priority,
    since: Instant,
}

/// Marks a window as pending, until dropped.
pub(crate) struct PendingGuard {
    scheduler: Arc<ComputeScheduler>,
    priority: Priority,
}

impl Drop for PendingGuard {
    fn drop(&mut self) {
        if self.priority == Priority::Interactive {
            let mut queue = lock(&self.scheduler.queue);
            queue.pending_interactive -= 1;
            queue.wake_next();
        }
    }
}

impl ComputeScheduler {
    /// Marks a window as pending before its steps.
    pub(crate) fn announce(self: &Arc<Self>, priority: Priority) -> PendingGuard {
        if priority == Priority::Interactive {
            lock(&self.queue).pending_interactive += 1;
        }
        PendingGuard { scheduler: Arc::clone(self), priority }
    }

    /// Waits for the permit to compute a step; `None` once cancelled or `is_obsolete`. The thread sleeps until it is
    /// next, `cancel` is set, or it is unparked.
    pub(crate) fn acquire(
        self: &Arc<Self>,
        priority: Priority,
        cancel: &CancelFlag,
        is_obsolete: &dyn Fn() -> bool,
    ) -> Option<ComputePermit> {
        let permit = || ComputePermit { scheduler: Arc::clone(self), priority, since: Instant::now() };
        let mut queue = lock(&self.queue);
        let ticket = queue.next_ticket;
        queue.next_ticket += 1;
        queue.waiters(priority).push_back(Waiter { ticket, thread: thread::current() });
        if queue.take(ticket, priority) {
            return Some(permit());
        }
        drop(queue);
        let _wake = cancel.wake_on_cancel();
        loop {
            if cancel.is_cancelled() || is_obsolete() {
                let mut queue = lock(&self.queue);
                queue.waiters(priority).retain(|waiter| waiter.ticket != ticket);
                queue.wake_next();
                return None;
            }
            if lock(&self.queue).take(ticket, priority) {
                return Some(permit());
            }
            thread::park();
        }
    }
}

impl ComputePermit {
    /// Time since it was granted, seconds.
    pub(crate) fn elapsed_s(&self) -> f64 {
        self.since.elapsed().as_secs_f64()
    }
}

impl Drop for ComputePermit {
    fn drop(&mut self) {
        let mut queue = lock(&self.scheduler.queue);
        queue.running = false;
        queue.account(self.priority, self.elapsed_s());
        queue.wake_next();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn waiting(scheduler: &ComputeScheduler) -> usize {
        let queue = lock(&scheduler.queue);
        queue.interactive.len() + queue.background.len()
    }

    fn until(condition: impl Fn() -> bool) {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < Duration::from_secs(120), "nothing happened");
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn waiter(ticket: u64) -> Waiter {
        Waiter { ticket, thread: thread::current() }
    }

    fn next(queue: &RunQueue) -> Option<u64> {
        queue.next().map(|waiter| waiter.ticket)
    }

    #[test]
    fn interactive_steps_go_first_and_equal_priorities_in_order_of_arrival() {
        use Priority::{Background, Interactive};

        let scheduler = Arc::new(ComputeScheduler::default());
        let never = CancelFlag::new();
        let order = Mutex::new(Vec::new());
        // Background work has used its share by then.
        let first = scheduler.acquire(Background, &never, &|| false).unwrap();
        thread::scope(|scope| {
            let (scheduler, order, never) = (&scheduler, &order, &never);
            for (number, priority) in
                [Background, Interactive, Background, Interactive].into_iter().enumerate()
            {
                scope.spawn(move || {
                    let _permit = scheduler.acquire(priority, never, &|| false).unwrap();
                    lock(order).push(number);
                });
                until(|| waiting(scheduler) == number + 1);
            }
            drop(first);
        });
        assert_eq!(*lock(&order), [1, 3, 0, 2]);
    }

    #[test]
    fn background_work_has_its_share_while_interactive_work_waits() {
        // Interactive steps of 10 ms and background steps of 60 ms, both always waiting.
        let mut queue = RunQueue {
            interactive: [waiter(0)].into(),
            background: [waiter(1)].into(),
            ..RunQueue::default()
        };
        let (mut interactive_s, mut background_s) = (0.0, 0.0);
        while interactive_s + background_s < 100.0 {
            if next(&queue) == Some(0) {
                queue.account(Priority::Interactive, 0.01);
                interactive_s += 0.01;
            } else {
                queue.account(Priority::Background, 0.06);
                background_s += 0.06;
            }
        }
        let share = background_s / interactive_s;
        assert!((share - BACKGROUND_SHARE).abs() < 0.01, "{background_s} {interactive_s}");
        // A step longer than the maximum credit is also granted eventually.
        queue.account(Priority::Background, 3.0);
        for _ in 0..(2.0 * 3.0 / BACKGROUND_SHARE / 0.01) as usize {
            queue.account(Priority::Interactive, 0.01);
        }
        assert_eq!(next(&queue), Some(1));
        // Time computed while nothing else waited is not accounted for.
        queue.interactive.clear();
        let credit_s = queue.credit_s;
        queue.account(Priority::Background, 5.0);
        assert_eq!(queue.credit_s, credit_s);
    }

    #[test]
    fn background_steps_do_not_run_between_steps_of_an_interactive_window() {
        let mut queue =
            RunQueue { background: [waiter(1)].into(), pending_interactive: 1, ..RunQueue::default() };
        assert_eq!(next(&queue), None);
        queue.account(Priority::Interactive, 0.01);
        assert_eq!(next(&queue), Some(1), "it has credit now");
        queue.account(Priority::Background, 0.01);
        assert_eq!(next(&queue), None);
        queue.pending_interactive = 0;
        assert_eq!(next(&queue), Some(1));
    }

    #[test]
    fn cancelled_and_obsolete_steps_leave_the_queue() {
        use std::sync::atomic::{AtomicBool, Ordering};

        let scheduler = Arc::new(ComputeScheduler::default());
        let (never, cancel, obsolete) = (CancelFlag::new(), CancelFlag::new(), AtomicBool::new(false));
        let first = scheduler.acquire(Priority::Interactive, &never, &|| false).unwrap();
        let acquire = |cancel: &CancelFlag, is_obsolete: &dyn Fn() -> bool| {
            scheduler.acquire(Priority::Interactive, cancel, is_obsolete).is_none()
        };
        thread::scope(|scope| {
            let second = scope.spawn(|| acquire(&cancel, &|| false));
            let third = scope.spawn(|| acquire(&never, &|| obsolete.load(Ordering::SeqCst)));
            until(|| waiting(&scheduler) == 2);
            cancel.cancel();
            assert!(second.join().unwrap());
            obsolete.store(true, Ordering::SeqCst);
            third.thread().unpark();
            assert!(third.join().unwrap());
        });
        assert_eq!(waiting(&scheduler), 0);
        drop(first);
        assert!(scheduler.acquire(Priority::Interactive, &never, &|| false).is_some());
    }

    #[test]
    fn permits_are_granted_to_many_threads() {
        let scheduler = Arc::new(ComputeScheduler::default());
        let (inside, count) = (Mutex::new(()), Mutex::new(0));
        thread::scope(|scope| {
            for thread_number in 0..8 {
                let (scheduler, inside, count) = (&scheduler, &inside, &count);
                scope.spawn(move || {
                    let never = CancelFlag::new();
                    let priority =
                        if thread_number % 2 == 0 { Priority::Interactive } else { Priority::Background };
                    for _ in 0..500 {
                        let _pending = scheduler.announce(priority);
                        let _permit = scheduler.acquire(priority, &never, &|| false).unwrap();
                        let _alone = inside.try_lock().expect("one permit at a time");
                        *lock(count) += 1;
                    }
                });
            }
        });
        assert_eq!(*lock(&count), 8 * 500);
    }
}
