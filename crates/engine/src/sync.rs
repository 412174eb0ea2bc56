//! Locks that outlive a panic elsewhere.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often a thread that waits looks whether it was cancelled.
pub(crate) const CANCEL_POLL: Duration = Duration::from_millis(50);

/// Locks, also after a thread panicked while it held the lock: what our locks guard is whole between statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for a notification, or until it is time to look at the cancel flag again.
pub(crate) fn wait<'a, T>(condition: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condition.wait_timeout(guard, CANCEL_POLL).unwrap_or_else(PoisonError::into_inner).0
}
