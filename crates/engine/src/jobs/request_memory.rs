//! Memory of all requests: uploads, decoded audio, texts. It is reserved before it is allocated, so that requests that do
//! not fit are refused and the process never runs out of memory. The limit of weights is separate:
//! [`Settings::memory_budget_bytes`](crate::Settings::memory_budget_bytes).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Error;

/// The limit of all requests together, and what they have reserved. Clones share one count.
#[derive(Clone, Debug)]
pub struct RequestMemory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    taken_bytes: AtomicU64,
    limit_bytes: AtomicU64,
}

impl Default for RequestMemory {
    /// No limit.
    fn default() -> Self {
        Self::new(u64::MAX)
    }
}

impl RequestMemory {
    /// Nothing is reserved of `limit_bytes`.
    pub fn new(limit_bytes: u64) -> Self {
        Self(Arc::new(Inner { taken_bytes: AtomicU64::new(0), limit_bytes: AtomicU64::new(limit_bytes) }))
    }

    /// Changes the limit; existing reservations stay.
    pub fn set_limit(&self, bytes: u64) {
        self.0.limit_bytes.store(bytes, Ordering::Release);
    }

    /// Bytes reserved.
    pub fn taken_bytes(&self) -> u64 {
        self.0.taken_bytes.load(Ordering::Acquire)
    }

    /// The limit.
    pub fn limit_bytes(&self) -> u64 {
        self.0.limit_bytes.load(Ordering::Acquire)
    }

    /// Reserves the first `bytes` of a request.
    ///
    /// # Errors
    /// [`Error::RequestMemoryLimit`].
    pub fn reserve(&self, bytes: u64) -> Result<Reservation, Error> {
        let mut reservation = Reservation { memory: self.clone(), bytes: 0 };
        reservation.grow(bytes)?;
        Ok(reservation)
    }
}

/// The memory of one request, released when dropped.
#[derive(Debug)]
pub struct Reservation {
    memory: RequestMemory,
    bytes: u64,
}

impl Reservation {
    /// Reserves more.
    ///
    /// # Errors
    /// [`Error::RequestMemoryLimit`]; the reservation then stays as it was.
    pub fn grow(&mut self, bytes: u64) -> Result<(), Error> {
        let limit_bytes = self.memory.limit_bytes();
        let more = |taken: u64| taken.checked_add(bytes).filter(|taken| *taken <= limit_bytes);
        let taken = &self.memory.0.taken_bytes;
        match taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, more) {
            Ok(_) => {
                self.bytes += bytes;
                Ok(())
            }
            Err(taken) => Err(Error::RequestMemoryLimit {
                needed_bytes: self.bytes.saturating_add(bytes),
                others_bytes: taken.saturating_sub(self.bytes),
                limit_bytes,
            }),
        }
    }

    /// Whether `bytes` more could be reserved now.
    ///
    /// # Errors
    /// As [`Reservation::grow`].
    pub fn check(&mut self, bytes: u64) -> Result<(), Error> {
        let before = self.bytes;
        self.grow(bytes)?;
        self.shrink_to(before);
        Ok(())
    }

    /// Releases all but `bytes`.
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
    fn dropped_reservations_are_released() {
        let memory = RequestMemory::new(100);
        let mut one = memory.reserve(40).unwrap();
        let two = memory.reserve(60).unwrap();
        let error = one.grow(1).unwrap_err();
        let Error::RequestMemoryLimit { needed_bytes, others_bytes, limit_bytes } = error else {
            panic!("{error}")
        };
        assert_eq!((needed_bytes, others_bytes, limit_bytes), (41, 60, 100));
        drop(two);
        one.grow(60).unwrap();
        one.shrink_to(10);
        assert_eq!(memory.taken_bytes(), 10);
        memory.set_limit(5);
        assert!(memory.reserve(0).is_err(), "a lower limit holds for new reservations");
        drop(one);
        assert_eq!(memory.taken_bytes(), 0);
        assert!(memory.reserve(u64::MAX).is_err());
    }
}
