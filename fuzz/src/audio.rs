//! Bytes as a recording, under small limits.

use mynah_audio::{DecodeLimits, decode_bytes};

/// Seconds of sound that a recording may hold.
const MOST_SECONDS: f64 = 20.0;

/// Decodes `input`: a sound within the limits, or an error.
pub fn run(input: &[u8]) {
    let limits = DecodeLimits { max_bytes: 1 << 20, max_duration_s: MOST_SECONDS, max_channels: 8 };
    match decode_bytes(input.to_vec(), &limits, &|| false) {
        Ok(decoded) => {
            assert!(!decoded.samples.is_empty(), "a recording without a sample");
            assert!(decoded.samples.iter().all(|sample| sample.is_finite()), "a sample that is no number");
            assert!(decoded.info.duration_s <= MOST_SECONDS + 1.0, "{:?}", decoded.info);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
