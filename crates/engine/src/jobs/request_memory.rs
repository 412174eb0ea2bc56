//! Memory that requests take together: uploads, decoded audio, texts. It is asked for before it is taken, so that many
//! large requests are refused one by one and the process never runs out. Weights are bounded by
//! [`Settings::memory_budget_bytes`](crate::Settings::memory_budget_bytes).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Error;

/// What all requests may take, and what they have. Copies count together.
#[derive(Clone, Debug)]
pub struct RequestMemory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    taken_bytes: AtomicU64,
    bound_bytes: AtomicU64,
}

impl Default for RequestMemory {
    /// Without a bound.
    fn default() -> Self {
        Self::new(u64::MAX)
    }
}

impl RequestMemory {
    /// Nothing taken of `bound_bytes`.
    pub fn new(bound_bytes: u64) -> Self {
        Self(Arc::new(Inner { taken_bytes: AtomicU64::new(0), bound_bytes: AtomicU64::new(bound_bytes) }))
    }

    /// Changes the bound; what is taken stays so.
    pub fn set_bound(&self, bytes: u64) {
        self.0.bound_bytes.store(bytes, Ordering::Release);
    }

    /// What is taken.
    pub fn taken_bytes(&self) -> u64 {
        self.0.taken_bytes.load(Ordering::Acquire)
    }

    /// What may be taken.
    pub fn bound_bytes(&self) -> u64 {
        self.0.bound_bytes.load(Ordering::Acquire)
    }

    /// Takes the first `bytes` for a request.
    ///
    /// # Errors
    /// [`Error::RequestMemoryLimit`].
    pub fn reserve(&self, bytes: u64) -> Result<Reservation, Error> {
        let mut reservation = Reservation { memory: self.clone(), bytes: 0 };
        reservation.grow(bytes)?;
        Ok(reservation)
    }
}

/// What one request has taken, until it is dropped.
#[derive(Debug)]
pub struct Reservation {
    memory: RequestMemory,
    bytes: u64,
}

impl Reservation {
    /// Takes more.
    ///
    /// # Errors
    /// [`Error::RequestMemoryLimit`]; then what was taken before stays.
    pub fn grow(&mut self, bytes: u64) -> Result<(), Error> {
        let bound_bytes = self.memory.bound_bytes();
        let more = |taken: u64| taken.checked_add(bytes).filter(|taken| *taken <= bound_bytes);
        let taken = &self.memory.0.taken_bytes;
        match taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, more) {
            Ok(_) => {
                self.bytes += bytes;
                Ok(())
            }
            Err(taken) => Err(Error::RequestMemoryLimit {
                needed_bytes: self.bytes.saturating_add(bytes),
                others_bytes: taken.saturating_sub(self.bytes),
                bound_bytes,
            }),
        }
    }

    /// Whether it could take more now.
    ///
    /// # Errors
    /// As [`Reservation::grow`].
    pub fn check(&mut self, bytes: u64) -> Result<(), Error> {
        let before = self.bytes;
        self.grow(bytes)?;
        self.shrink_to(before);
        Ok(())
    }

    /// Gives back all but `bytes`.
    pub fn shrink_to(&mut self, bytes: u64) {
        let back = self.bytes.saturating_sub(bytes);
        self.memory.0.taken_bytes.fetch_sub(back, Ordering::AcqRel);
        self.bytes -= back;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_given_back() {
        let memory = RequestMemory::new(100);
        let mut one = memory.reserve(40).unwrap();
        let two = memory.reserve(60).unwrap();
        let error = one.grow(1).unwrap_err();
        let Error::RequestMemoryLimit { needed_bytes, others_bytes, bound_bytes } = error else {
            panic!("{error}")
        };
        assert_eq!((needed_bytes, others_bytes, bound_bytes), (41, 60, 100));
        drop(two);
        one.grow(60).unwrap();
        one.shrink_to(10);
        assert_eq!(memory.taken_bytes(), 10);
        memory.set_bound(5);
        assert!(memory.reserve(0).is_err(), "a lower bound holds for what comes");
        drop(one);
        assert_eq!(memory.taken_bytes(), 0);
        assert!(memory.reserve(u64::MAX).is_err());
    }
}
