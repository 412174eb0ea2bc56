//! Batch sizes, counted with atomic additions.

use std::sync::atomic::{AtomicU64, Ordering};

/// A histogram of sizes.
#[derive(Debug, Default)]
pub struct SizeHistogram {
    counts: [AtomicU64; Self::ENDS.len() + 1],
    sum: AtomicU64,
}

impl SizeHistogram {
    /// Upper ends of the buckets; the last bucket has none. A search with five beams has five rows.
    pub const ENDS: [u64; 10] = [1, 2, 3, 4, 5, 10, 15, 20, 32, 64];

    pub(crate) fn add(&self, size: usize) {
        let size = size as u64;
        let range = Self::ENDS.partition_point(|end| *end < size);
        self.counts[range].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(size, Ordering::Relaxed);
    }

    /// The count of each bucket; the last is that above all ends.
    pub fn counts(&self) -> Vec<u64> {
        self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }

    /// Sum of all sizes.
    pub fn sum(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }
}

/// Batch sizes so far.
#[derive(Debug, Default)]
pub struct BatchStats {
    /// Rows of each step of speech-to-text models.
    pub transcription_rows: SizeHistogram,
    /// Rows of each step of text-to-speech models.
    pub speech_rows: SizeHistogram,
    /// Sequences of equal priority in the batch whenever one is admitted, including it.
    pub sequences: SizeHistogram,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_counted_in_buckets() {
        let sizes = SizeHistogram::default();
        for size in [1, 5, 6, 10, 1000] {
            sizes.add(size);
        }
        assert_eq!(sizes.counts(), [1, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1]);
        assert_eq!(sizes.sum(), 1022);
    }
}
