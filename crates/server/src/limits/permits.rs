//! Counted places, of which there may be fewer or more from one moment to the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// How many are taken. Copies count together.
#[derive(Clone, Default)]
pub(crate) struct Places(Arc<Inner>);

#[derive(Default)]
struct Inner {
    taken: AtomicUsize,
    freed: Notify,
}

/// One of them, until it is dropped.
pub(crate) struct Place(Arc<Inner>);

impl Places {
    /// A place, if fewer than `bound` are taken.
    pub(crate) fn take(&self, bound: usize) -> Option<Place> {
        let one_more = |taken| (taken < bound).then_some(taken + 1);
        let taken = self.0.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more);
        taken.ok().map(|_| Place(Arc::clone(&self.0)))
    }

    /// Waits for a place; the bound is asked for whenever one is given back.
    pub(crate) async fn wait(&self, bound: impl Fn() -> usize) -> Place {
        loop {
            // Before looking, so that a place that is given back meanwhile is noticed.
            let freed = self.0.freed.notified();
            if let Some(place) = self.take(bound()) {
                return place;
            }
            freed.await;
        }
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> usize {
        self.0.taken.load(Ordering::Acquire)
    }
}

impl Drop for Place {
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
    async fn places_are_given_back() {
        let places = Places::default();
        let one = places.take(1).unwrap();
        assert!(places.take(1).is_none());
        let two = places.take(2).unwrap();
        assert_eq!(places.taken(), 2);
        let waiting = tokio::spawn({
            let places = places.clone();
            async move { places.wait(|| 1).await }
        });
        drop(one);
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(!waiting.is_finished(), "one is still one too many");
        drop(two);
        drop(waiting.await.unwrap());
        assert_eq!(places.taken(), 0);
    }
}
