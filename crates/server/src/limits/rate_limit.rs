//! Limits of requests per minute, by the generic cell rate algorithm (ITU-T I.371): a whole minute's requests may come at
//! once, and further ones as time goes by.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);

/// Names that are remembered, at most, before those with nothing to remember are forgotten.
const MAX_NAMES: usize = 10_000;

/// Counts requests by name.
pub(crate) struct RateLimiter<K> {
    /// When all requests of a name would have come, had they kept to the rate.
    due: Mutex<HashMap<K, Instant>>,
}

impl<K> Default for RateLimiter<K> {
    fn default() -> Self {
        Self { due: Mutex::default() }
    }
}

impl<K: Eq + Hash> RateLimiter<K> {
    /// Counts a request of this name.
    ///
    /// # Errors
    /// It is one too many; how long to wait before the next.
    pub(crate) fn count(&self, name: K, per_minute: u32) -> Result<(), Duration> {
        self.count_at(name, per_minute, Instant::now())
    }

    fn count_at(&self, name: K, per_minute: u32, now: Instant) -> Result<(), Duration> {
        let step = MINUTE / per_minute.max(1);
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        if due.len() >= MAX_NAMES {
            due.retain(|_, due| *due > now);
        }
        let next = due.get(&name).copied().unwrap_or(now).max(now) + step;
        // Steps are rounded down, so that a whole minute of them fits.
        match next.duration_since(now).checked_sub(MINUTE) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                due.insert(name, next);
                Ok(())
            }
        }
    }

    /// Whether another request of this name would be one too many; how long to wait.
    pub(crate) fn wait(&self, name: &K, per_minute: u32) -> Option<Duration> {
        let step = MINUTE / per_minute.max(1);
        let due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let next = due.get(name)?.checked_duration_since(Instant::now())? + step;
        next.checked_sub(MINUTE).filter(|wait| !wait.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minutes_requests_may_come_at_once() {
        let limiter = RateLimiter::default();
        let begin = Instant::now();
        for _ in 0..7 {
            assert_eq!(limiter.count_at("a", 7, begin), Ok(()));
        }
        let wait = limiter.count_at("a", 7, begin).unwrap_err();
        assert!(wait <= MINUTE / 7 && wait > MINUTE / 8, "{wait:?}");
        assert_eq!(limiter.count_at("b", 7, begin), Ok(()), "names do not share");
        assert_eq!(limiter.count_at("a", 7, begin + wait), Ok(()));
        assert!(limiter.count_at("a", 7, begin + wait).is_err());
        let later = begin + 3 * MINUTE;
        assert!((0..7).all(|_| limiter.count_at("a", 7, later).is_ok()));
        assert!(limiter.count_at("a", 7, later).is_err(), "what is not used is not saved");
    }

    #[test]
    fn what_is_refused_is_known_before() {
        let limiter = RateLimiter::default();
        assert_eq!(limiter.wait(&"a", 1), None);
        assert_eq!(limiter.count("a", 1), Ok(()));
        assert!(limiter.wait(&"a", 1).is_some());
    }

    #[test]
    fn names_are_forgotten_in_the_end() {
        let limiter = RateLimiter::default();
        let begin = Instant::now();
        for name in 0..MAX_NAMES {
            limiter.count_at(name, 60, begin).unwrap();
        }
        limiter.count_at(MAX_NAMES, 60, begin + MINUTE).unwrap();
        assert_eq!(limiter.due.lock().unwrap().len(), 1);
    }
}
