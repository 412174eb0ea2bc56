//! Audio decoding and encoding, log-mel spectrograms and voice activity detection.
//!
//! [`decode()`] turns a recording in any common container and codec into 16 kHz mono `f32`, and [`vad`] detects speech in it.
//! Input is untrusted: every allocation is bounded by [`DecodeLimits`] or by the size
//! of the file, never by what a header claims, and a panic in a codec is an error, not a crash. [`Encoder`] turns samples into
//! the bytes of a file or stream while the samples are still being produced.

mod decode;
mod encode;
pub mod mel;
mod resample;
pub mod vad;

pub use decode::{
    AudioInfo, DecodeError, DecodeHooks, DecodeLimits, Decoded, Limit, SUPPORTED_FORMATS, decode, decode_at,
    decode_bytes, decode_file,
};
pub use encode::{EncodeError, EncodeOptions, Encoder, OutputFormat, encode};

/// Sample rate of speech-to-text input, Hz.
pub const SAMPLE_RATE: u32 = 16_000;
