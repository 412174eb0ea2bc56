//! Long recordings, for any speech-to-text model.
//!
//! [`chunks`] cuts a recording at pauses, [`parallel`] transcribes its parts in parallel and reports them in order,
//! [`timeline`] concatenates speech segments and maps times back, [`stitch`] joins texts of overlapping parts. [`chunked`]
//! combines them in one driver, for models that take a few seconds of audio at a time and give no timestamps. Whisper, whose
//! windows follow its own timestamps, uses the modules separately.

pub mod chunked;
pub(crate) mod chunks;
pub(crate) mod parallel;
pub(crate) mod stitch;
pub(crate) mod timeline;

/// Sample rate of the models' input.
pub(crate) const SAMPLE_RATE_HZ: f64 = mynah_audio::SAMPLE_RATE as f64;

/// Rounds a time to hundredths of a second.
pub(crate) fn hundredths(seconds: f64) -> f64 {
    (seconds * 100.0).round() / 100.0
}
