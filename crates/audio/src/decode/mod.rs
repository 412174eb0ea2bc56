//! Decodes recordings in any common container and codec to 16 kHz mono samples.
//!
//! The container is detected by the first bytes ([`sniff`]), never by the file name. Uncompressed samples
//! ([`wav`], [`apple`]) are read by [`pcm`], and FLAC is split into frames by [`flac`]; everything else goes through
//! Symphonia's demuxers with Symphonia's, opus-pure's or syom's decoders ([`demux`]). Blocks go to a [`sink`]
//! that mixes the channels down, resamples and enforces the limits, so only the result and a few
//! blocks are in memory. Formats that none of these support are decoded by the `ffmpeg` program if it is installed ([`ffmpeg`]).

mod aac;
mod adpcm;
mod apple;
mod chunks;
mod demux;
mod downmix;
mod error;
mod ffmpeg;
mod flac;
mod format;
mod hooks;
mod matroska;
mod mp4;
mod opus;
mod packet;
mod pcm;
mod sink;
mod sniff;
mod source;
mod wav;

use std::fs::File;
use std::io::{Cursor, Read, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

pub use error::{DecodeError, Limit, SUPPORTED_FORMATS};
pub use hooks::DecodeHooks;

use crate::SAMPLE_RATE;
use chunks::Content;
use sink::Sink;
use sniff::Container;
use source::Section;

/// Limits of a recording.
///
/// Checked while decoding: a small file with days of audio fails when it reaches the limit. One second of
/// audio is 64 kB of samples in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct DecodeLimits {
    /// Size of the file in bytes. Default: 2 GiB.
    pub max_bytes: u64,
    /// Length of the audio in seconds. Default: 4 hours, 0.9 GB of samples.
    pub max_duration_s: f64,
    /// Channels of the decoded track. Default: 32.
    pub max_channels: u16,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self { max_bytes: 2 << 30, max_duration_s: 4.0 * 3600.0, max_channels: 32 }
    }
}

/// A decoded recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// Mono samples at [`SAMPLE_RATE`] or the requested rate, finite, full scale at ±1 (lossy codecs overshoot it slightly). Never
    /// empty.
    pub samples: Vec<f32>,
    /// Format of the file.
    pub info: AudioInfo,
}

/// Format of an audio file.
#[derive(Clone, Debug, PartialEq)]
pub struct AudioInfo {
    /// Short lower-case name of the container, `wav` or `matroska` for example.
    pub container: String,
    /// Short lower-case name of the codec.
    pub codec: String,
    /// Sample rate before conversion, in Hz; of the first part if it changes.
    pub sample_rate: u32,
    /// Channels before the downmix; of the first part if they change.
    pub channels: usize,
    /// Length of the decoded audio in seconds.
    pub duration_s: f64,
}

/// Names of the container and codec.
struct DetectedFormat {
    container: &'static str,
    codec: &'static str,
}

/// Decodes a recording to samples at [`SAMPLE_RATE`].
///
/// `hooks` can cancel decoding and refuse memory for the samples.
///
/// # Errors
///
/// See [`DecodeError`]. Of a truncated or damaged file the intact audio is returned.
pub fn decode(
    source: impl Read + Seek + Send + 'static,
    limits: &DecodeLimits,
    hooks: &dyn DecodeHooks,
) -> Result<Decoded, DecodeError> {
    decode_at(SAMPLE_RATE, source, limits, hooks)
}

/// [`decode`] to samples at another rate, for example for reference audio.
///
/// # Errors
///
/// As [`decode`].
pub fn decode_at(
    rate_hz: u32,
    source: impl Read + Seek + Send + 'static,
    limits: &DecodeLimits,
    hooks: &dyn DecodeHooks,
) -> Result<Decoded, DecodeError> {
    let source = Section::whole(Box::new(source))?;
    if source.len() > limits.max_bytes {
        return Err(DecodeError::TooLarge { limit: Limit::Bytes(limits.max_bytes) });
    }
    let mut sink = Sink::new(rate_hz, limits, hooks);
    // Codec crates get untrusted bytes; a panic in one must not end the caller.
    let outcome = catch_unwind(AssertUnwindSafe(|| run(&source, &mut sink)))
        .unwrap_or_else(|_| Err(DecodeError::malformed("audio", "its decoder failed on it")));
    let detected = match outcome {
        Err(DecodeError::Unsupported { what }) if sink.is_empty() => {
            ffmpeg::decode(&source, &what, limits, hooks, &mut sink)?
        }
        outcome => outcome?,
    };
    let Some((samples, shape)) = sink.finish() else {
        return Err(DecodeError::no_audio(format!("the {} file holds no samples", detected.container)));
    };
    let info = AudioInfo {
        container: detected.container.to_owned(),
        codec: detected.codec.to_owned(),
        sample_rate: shape.rate,
        channels: shape.channels.count(),
        duration_s: samples.len() as f64 / f64::from(rate_hz),
    };
    Ok(Decoded { samples, info })
}

/// Decodes a file on disk; its name is ignored.
///
/// # Errors
///
/// As [`decode`].
pub fn decode_file(
    path: impl AsRef<Path>,
    limits: &DecodeLimits,
    hooks: &dyn DecodeHooks,
) -> Result<Decoded, DecodeError> {
    decode(File::open(path)?, limits, hooks)
}

/// Decodes a file in memory.
///
/// # Errors
///
/// As [`decode`].
pub fn decode_bytes(
    bytes: impl AsRef<[u8]> + Send + 'static,
    limits: &DecodeLimits,
    hooks: &dyn DecodeHooks,
) -> Result<Decoded, DecodeError> {
    decode(Cursor::new(bytes), limits, hooks)
}

fn run(source: &Section, sink: &mut Sink<'_>) -> Result<DetectedFormat, DecodeError> {
    sink.check_cancelled()?;
    if source.len() == 0 {
        return Err(DecodeError::no_audio("the file is empty"));
    }
    let (container, start) = sniff::sniff(source)?;
    let body = source.section(start, u64::MAX);
    let content = match container {
        Container::Wav => wav::read(&body)?,
        Container::Aiff => apple::aiff(&body)?,
        Container::Au => apple::au(&body)?,
        Container::Caf => apple::caf(&body)?,
        Container::Flac => return flac::decode(body, sink),
        Container::Stream(format) => return demux::decode(body, format, sink),
        Container::FfmpegOnly(ffmpeg_format) => return Err(DecodeError::unsupported(ffmpeg_format.name)),
        Container::Unknown(what) => return Err(DecodeError::unsupported(what)),
    };
    match content {
        Content::Samples(layout) => pcm::decode(&body, &layout, sink),
        Content::Mpeg { start, len } => demux::decode(body.section(start, len), format::Format::Mpeg, sink),
        Content::Packets => demux::decode(body, format::Format::Caf, sink),
        Content::Unsupported(what) => Err(DecodeError::unsupported(what)),
    }
}
