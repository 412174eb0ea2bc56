//! Bytes to samples and back, and what models see of samples.

pub mod mel;

/// Samples a second of everything that models listen to.
pub const SAMPLE_RATE: u32 = 16_000;
