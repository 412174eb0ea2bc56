//! Decodes bytes as a recording, with small limits.

use mynah_audio::{DecodeLimits, decode_bytes};

/// Maximum length of a recording, seconds.
const MAX_SECONDS: f64 = 20.0;

/// Decodes `input`: audio within the limits, or an error.
pub fn run(input: &[u8]) {
    let limits = DecodeLimits { max_bytes: 1 << 20, max_duration_s: MAX_SECONDS, max_channels: 8 };
    match decode_bytes(input.to_vec(), &limits, &|| false) {
        Ok(decoded) => {
            assert!(!decoded.samples.is_empty(), "a recording without a sample");
            assert!(decoded.samples.iter().all(|sample| sample.is_finite()), "a sample that is not finite");
            assert!(decoded.info.duration_s <= MAX_SECONDS + 1.0, "{:?}", decoded.info);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
