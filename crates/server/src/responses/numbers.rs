//! Numbers as the API writes them.

/// Whole milliseconds.
pub(super) fn seconds(seconds: f64) -> f64 {
    finite((seconds * 1e3).round() / 1e3)
}

/// The few digits that a score has.
pub(super) fn score(score: f32) -> f64 {
    finite((f64::from(score) * 1e6).round() / 1e6)
}

/// Clients expect numbers, and JSON has no others.
fn finite(number: f64) -> f64 {
    if number.is_finite() { number } else { 0.0 }
}
