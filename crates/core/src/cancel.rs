//! A cancellation flag, which computations check between steps and which wakes waiting threads.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::thread::{self, Thread};

use crate::ModelError;

/// A request to stop. Clones share the flag; once set it stays set.
#[derive(Clone, Debug, Default)]
pub struct CancelFlag(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    cancelled: AtomicBool,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    next_id: u64,
    list: Vec<(u64, Waiter)>,
}

#[derive(Debug)]
enum Waiter {
    Thread(Thread),
    Task(Waker),
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn register(&self, waiter: Waiter) -> WakeOnCancel<'_> {
        let mut waiting = self.waiting();
        let id = waiting.next_id;
        waiting.next_id += 1;
        waiting.list.push((id, waiter));
        WakeOnCancel { shared: self, id }
    }
}

impl CancelFlag {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the flag: every computation with a clone stops before its next step, and waiting threads and tasks are woken.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::SeqCst);
        for (_, waiter) in &self.0.waiting().list {
            match waiter {
                Waiter::Thread(thread) => thread.unpark(),
                Waiter::Task(waker) => waker.wake_by_ref(),
            }
        }
    }

    /// Whether the flag is set.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    /// `Err(ModelError::Cancelled)` once the flag is set; meant for `?` at the head of a loop.
    ///
    /// # Errors
    /// [`ModelError::Cancelled`].
    pub fn check(&self) -> Result<(), ModelError> {
        if self.is_cancelled() { Err(ModelError::Cancelled) } else { Ok(()) }
    }

    /// Until the guard is dropped, [`CancelFlag::cancel`] unparks the calling thread. The thread checks the flag after this
    /// call and before it parks, so that no wake-up is lost.
    #[must_use]
    pub fn wake_on_cancel(&self) -> WakeOnCancel<'_> {
        self.0.register(Waiter::Thread(thread::current()))
    }

    /// The same for an asynchronous task.
    #[must_use]
    pub fn wake_task_on_cancel(&self, waker: Waker) -> WakeOnCancel<'_> {
        self.0.register(Waiter::Task(waker))
    }
}

/// See [`CancelFlag::wake_on_cancel`].
#[derive(Debug)]
pub struct WakeOnCancel<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Drop for WakeOnCancel<'_> {
    fn drop(&mut self) {
        self.shared.waiting().list.retain(|(id, _)| *id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cancelling_wakes_a_parked_thread() {
        let cancel = CancelFlag::new();
        let waiter = thread::spawn({
            let cancel = cancel.clone();
            move || {
                let _wake = cancel.wake_on_cancel();
                while !cancel.is_cancelled() {
                    thread::park();
                }
            }
        });
        cancel.cancel();
        waiter.join().unwrap();
        assert!(cancel.0.waiting().list.is_empty(), "the guard takes its thread off the list");
        assert!(matches!(cancel.check(), Err(ModelError::Cancelled)));
    }
}
