//! A semaphore whose limit can change at any time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Counts the permits that are taken. Clones share one count.
#[derive(Clone, Default)]
pub(crate) struct Permits(Arc<Inner>);

#[derive(Default)]
struct Inner {
    taken: AtomicUsize,
    freed: Notify,
}

/// One permit, released when dropped.
pub(crate) struct Permit(Arc<Inner>);

impl Permits {
    /// A permit, if fewer than `limit` are taken.
    pub(crate) fn take(&self, limit: usize) -> Option<Permit> {
        let one_more = |taken| (taken < limit).then_some(taken + 1);
        let taken = self.0.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more);
        taken.ok().map(|_| Permit(Arc::clone(&self.0)))
    }

    /// Waits for a permit; `limit` is called again whenever one is released.
    pub(crate) async fn wait(&self, limit: impl Fn() -> usize) -> Permit {
        loop {
            // Before `take`, so that a permit released in between is noticed.
            let freed = self.0.freed.notified();
            if let Some(permit) = self.take(limit()) {
                return permit;
            }
            freed.await;
        }
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> usize {
        self.0.taken.load(Ordering::Acquire)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::AcqRel);
        self.0.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn permits_are_released() {
        let permits = Permits::default();
        let one = permits.take(1).unwrap();
        assert!(permits.take(1).is_none());
        let two = permits.take(2).unwrap();
        assert_eq!(permits.taken(), 2);
        let waiting = tokio::spawn({
            let permits = permits.clone();
            async move { permits.wait(|| 1).await }
        });
        drop(one);
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(!waiting.is_finished(), "the limit is still exceeded by one");
        drop(two);
        drop(waiting.await.unwrap());
        assert_eq!(permits.taken(), 0);
    }
}
