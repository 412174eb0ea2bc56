//! MPEG audio layer III (ISO/IEC 11172-3 and 13818-3), constant bitrate.
//!
//! The first frame is silent and has the `Info` tag: players read the encoder's delay from it and, in a
//! finished file, the length, so that the audio starts and ends at the exact sample.

use std::ops::RangeInclusive;

use rusty_mp3::encode::lametag::{self, TagInfo, TagStats};
use rusty_mp3::header::FrameHeader;
use rusty_mp3::{Mp3Encode, encoder_header};

use super::frames::Frames;
use super::{Codec, EncodeError, OutputFormat};

/// Bytes of the tag's optional fields, which come after its flags: frames, bytes, table of contents, quality.
const COUNTS_BYTES: usize = 4 + 4 + 100 + 4;
/// Bytes of the tag's part with the delay; the last two are a checksum of everything before.
const LAME_BYTES: usize = 36;

/// Allowed bits per second at this sample rate. A value between two of the standard's table is rounded to
/// the nearer one.
pub(super) fn bitrates_bps(rate_hz: u32) -> RangeInclusive<u32> {
    if rate_hz >= 32_000 { 32_000..=320_000 } else { 8_000..=160_000 }
}

/// Up to 24 kHz about five bits per sample: at these rates the encoder has neither a bit reservoir nor noise shaping, and
/// needs a higher bitrate instead.
pub(super) fn default_bps(rate_hz: u32) -> u32 {
    match rate_hz {
        22_050.. => 128_000,
        16_000.. => 80_000,
        _ => 48_000,
    }
}

pub(super) struct Mp3 {
    frames: Frames,
    stream: Stream,
}

struct Stream {
    header: FrameHeader,
    state: Mp3Encode,
    tag: TagStats,
    /// Thousandths of a byte by which the frames so far are too short, if a frame is not a whole number of bytes.
    owed: u32,
}

impl Mp3 {
    pub(super) fn new(rate_hz: u32, bitrate_bps: u32) -> Result<Self, EncodeError> {
        let header = encoder_header(rate_hz, 1, bitrate_bps / 1000).map_err(failed)?;
        let tag = TagStats::new(lametag::tag_header(&header).frame_size());
        let frames = Frames::new(header.version.samples_per_frame());
        Ok(Self { frames, stream: Stream { header, state: Mp3Encode::new(), tag, owed: 0 } })
    }

    /// The tag of a stream of unknown length: the encoder's delay, and a very large number of bytes. Some players take zero
    /// frames and bytes for an empty file, and others ignore a tag without these fields.
    pub(super) fn header(&self) -> Vec<u8> {
        const BYTES_ALONE: u32 = 2;
        let mut tag = self.stream.tag(lametag::ENCODER_DELAY, 0);
        let size = tag.len();
        let fields = 4 + self.stream.header.side_info_len() + b"Info".len();
        let lame = tag.split_off(fields + 4 + COUNTS_BYTES);
        tag.truncate(fields);
        tag.extend_from_slice(&BYTES_ALONE.to_be_bytes());
        tag.extend_from_slice(&u32::MAX.to_be_bytes());
        tag.extend_from_slice(&lame[..LAME_BYTES - 2]);
        let sum = lametag::crc16(0, &tag);
        tag.extend_from_slice(&sum.to_be_bytes());
        tag.resize(size, 0);
        tag
    }
}

impl Codec for Mp3 {
    fn encode(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let Self { frames, stream } = self;
        frames.push(samples, |frame| stream.encode(frame, out))
    }

    fn finish(self: Box<Self>, out: &mut Vec<u8>) -> Result<Vec<u8>, EncodeError> {
        let Self { frames, mut stream } = *self;
        let length = stream.header.version.samples_per_frame();
        let samples = frames.taken();
        let mut rest = frames.into_rest();
        // Audio shorter than a frame starts later because of FFmpeg's trimming; see the function.
        let extra = if samples < length as u64 { lametag::extra_priming(samples, length) } else { 0 };
        rest.splice(0..0, std::iter::repeat_n(0.0, extra));
        let delay = lametag::ENCODER_DELAY + extra;
        let total = lametag::frames_for(samples, delay, length);
        let left = (total - u64::from(stream.tag.frames())) as usize;
        rest.resize(left * length, 0.0);
        rest.chunks_exact(length).try_for_each(|frame| stream.encode(frame, out))?;
        Ok(stream.tag(delay, lametag::padding_for(samples, delay, length) as usize))
    }
}

impl Stream {
    fn encode(&mut self, frame: &[f32], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let mut header = self.header.clone();
        let bits = header.version.samples_per_frame() as u32 * header.bitrate_kbps * 1000;
        self.owed += bits / 8 % header.sample_rate;
        header.padding = self.owed >= header.sample_rate;
        if header.padding {
            self.owed -= header.sample_rate;
        }
        let bytes = self.state.encode_frame(&header, &[frame], None).map_err(failed)?;
        self.tag.add_frame(&bytes);
        out.extend_from_slice(&bytes);
        Ok(())
    }

    fn tag(&self, delay: usize, padding: usize) -> Vec<u8> {
        let info = TagInfo { vbr: false, delay, padding };
        lametag::tag_frame(&lametag::tag_header(&self.header), &self.tag, &info)
    }
}

fn failed(detail: impl std::fmt::Display) -> EncodeError {
    EncodeError::codec(OutputFormat::Mp3, detail)
}
