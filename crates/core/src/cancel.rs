//! A flag that long computations check between steps, and that wakes threads which wait.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};

use crate::ModelError;

/// A request to stop. Clones share the flag; once set it stays set.
#[derive(Clone, Debug, Default)]
pub struct CancelFlag(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    cancelled: AtomicBool,
    /// Threads to unpark.
    waiting: Mutex<Vec<Thread>>,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Vec<Thread>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CancelFlag {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks every computation that holds a clone to stop before its next step, and wakes those that wait.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::SeqCst);
        for thread in self.0.waiting().iter() {
            thread.unpark();
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
        self.0.waiting().push(thread::current());
        WakeOnCancel(&self.0)
    }
}

/// See [`CancelFlag::wake_on_cancel`].
#[derive(Debug)]
pub struct WakeOnCancel<'a>(&'a Shared);

impl Drop for WakeOnCancel<'_> {
    fn drop(&mut self) {
        let me = thread::current().id();
        let mut waiting = self.0.waiting();
        if let Some(index) = waiting.iter().position(|thread| thread.id() == me) {
            waiting.swap_remove(index);
        }
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
        assert!(cancel.0.waiting().is_empty(), "the guard takes its thread off the list");
        assert!(matches!(cancel.check(), Err(ModelError::Cancelled)));
    }
}
