//! Rate limits, by the generic cell rate algorithm (ITU-T I.371): a burst of one minute's requests is accepted, then one at
//! a time at the configured rate.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);

/// Number of keys from which on those without recent requests are removed.
const MAX_KEYS: usize = 10_000;

/// Counts requests by key, such as an address.
pub(crate) struct RateLimiter<K> {
    /// When the requests of a key so far would have arrived at the exact rate.
    due: Mutex<HashMap<K, Instant>>,
}

impl<K> Default for RateLimiter<K> {
    fn default() -> Self {
        Self { due: Mutex::default() }
    }
}

impl<K: Eq + Hash> RateLimiter<K> {
    /// Counts a request of this key.
    ///
    /// # Errors
    /// The limit is exceeded; the time to wait before the next request.
    pub(crate) fn count(&self, name: K, per_minute: u32) -> Result<(), Duration> {
        self.count_at(name, per_minute, Instant::now())
    }

    fn count_at(&self, name: K, per_minute: u32, now: Instant) -> Result<(), Duration> {
        let step = MINUTE / per_minute.max(1);
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        if due.len() >= MAX_KEYS {
            due.retain(|_, due| *due > now);
        }
        let next = due.get(&name).copied().unwrap_or(now).max(now) + step;
        // Steps are rounded down, so that a whole minute's requests fit.
        match next.duration_since(now).checked_sub(MINUTE) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                due.insert(name, next);
                Ok(())
            }
        }
    }

    /// The time to wait, if another request of this key would exceed the limit.
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
    fn a_burst_of_one_minute_is_accepted() {
        let limiter = RateLimiter::default();
        let begin = Instant::now();
        for _ in 0..7 {
            assert_eq!(limiter.count_at("a", 7, begin), Ok(()));
        }
        let wait = limiter.count_at("a", 7, begin).unwrap_err();
        assert!(wait <= MINUTE / 7 && wait > MINUTE / 8, "{wait:?}");
        assert_eq!(limiter.count_at("b", 7, begin), Ok(()), "keys are counted separately");
        assert_eq!(limiter.count_at("a", 7, begin + wait), Ok(()));
        assert!(limiter.count_at("a", 7, begin + wait).is_err());
        let later = begin + 3 * MINUTE;
        assert!((0..7).all(|_| limiter.count_at("a", 7, later).is_ok()));
        assert!(limiter.count_at("a", 7, later).is_err(), "unused requests do not accumulate");
    }

    #[test]
    fn the_wait_is_known_in_advance() {
        let limiter = RateLimiter::default();
        assert_eq!(limiter.wait(&"a", 1), None);
        assert_eq!(limiter.count("a", 1), Ok(()));
        assert!(limiter.wait(&"a", 1).is_some());
    }

    #[test]
    fn old_keys_are_removed() {
        let limiter = RateLimiter::default();
        let begin = Instant::now();
        for name in 0..MAX_KEYS {
            limiter.count_at(name, 60, begin).unwrap();
        }
        limiter.count_at(MAX_KEYS, 60, begin + MINUTE).unwrap();
        assert_eq!(limiter.due.lock().unwrap().len(), 1);
    }
}
