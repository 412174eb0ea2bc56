//! Bytes to samples and back, and what models see of samples.
//!
//! [`decode`] turns a recording in any common container and codec into 16 kHz mono `f32`, and [`vad`] finds where
//! somebody speaks in it. Input comes from strangers: every allocation is bounded by [`DecodeLimits`] or by the size
//! of the file, never by what a header claims, and a fault in a codec is an error, not a crash. [`Encoder`] goes the
//! other way: samples to the bytes of a file or stream, while the samples are still being made.

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

/// Samples a second of everything that models listen to.
pub const SAMPLE_RATE: u32 = 16_000;
