//! Long recordings, for any speech-to-text model.
//!
//! [`chunks`] cuts a recording where nobody speaks, [`parallel`] transcribes its parts side by side and reports them in order,
//! [`timeline`] lays speech end to end and maps times back, [`stitch`] joins texts of parts that overlap. [`chunked`] is all of
//! it in one driver, for models that take a few seconds of audio at a time and give no times of their own. Whisper, which finds
//! its own way through a recording by its timestamps, uses the parts.

pub mod chunked;
pub(crate) mod chunks;
pub(crate) mod parallel;
pub(crate) mod stitch;
pub(crate) mod timeline;

/// Samples per second of what models are given.
pub(crate) const SAMPLE_RATE_HZ: f64 = mynah_audio::SAMPLE_RATE as f64;

/// Rounds a time to hundredths of a second.
pub(crate) fn hundredths(seconds: f64) -> f64 {
    (seconds * 100.0).round() / 100.0
}
