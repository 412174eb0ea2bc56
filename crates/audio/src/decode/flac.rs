//! Native FLAC files (RFC 9639), split into frames.
//!
//! Frames contain their own rate, channels, number and checksums, so the stream header is needed only in rare files, for the
//! rate and bit depth. Finding frames by checksum skips pictures of any size, damaged headers and damaged frames
//! (replaced by silence), and handles changes of rate or channels; the usual demuxer fails on all of these.

use std::io::Read;

use symphonia::core::audio::{Channels, layouts};
use symphonia::core::codecs::audio::well_known::CODEC_ID_FLAC;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder};
use symphonia::core::packet::PacketRef;
use symphonia::core::units::{Duration, Timestamp};
use symphonia::default::get_codecs;

use super::sink::{Shape, Sink};
use super::source::Section;
use super::{DecodeError, DetectedFormat};

/// Properties that most frames of a file share.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Kind {
    rate: u32,
    channels: u8,
    bits: u8,
}

/// A frame's header.
#[derive(Clone, Copy, Debug)]
struct Header {
    kind: Kind,
    /// Number of samples per channel.
    block: u32,
    /// Number of its first sample, or of the frame if all blocks have the same size.
    number: u64,
    fixed: bool,
    len: usize,
}

/// Rate and bit depth of the stream, for frames that refer to it.
#[derive(Clone, Copy, Debug, Default)]
struct StreamInfo {
    rate: u32,
    bits: u8,
}

impl StreamInfo {
    fn read(file: &[u8]) -> Option<Self> {
        let body =
            file.strip_prefix(b"fLaC")?.strip_prefix(&[0][..]).or_else(|| file.strip_prefix(b"fLaC\x80"))?;
        let field = u64::from_be_bytes(*body.get(3 + 10..)?.first_chunk()?);
        Some(Self { rate: (field >> 44) as u32, bits: (field >> 36 & 31) as u8 + 1 })
    }
}

impl Header {
    /// Reads a header (section 9.1) and checks its checksum.
    fn read(bytes: &[u8], info: StreamInfo) -> Option<Self> {
        let &[0xff, second, sizes, layout] = bytes.first_chunk()? else { return None };
        if second & 0xfe != 0xf8 || layout & 1 != 0 {
            return None;
        }
        let (number, mut at) = coded_number(bytes.get(4..)?)?;
        at += 4;
        let mut word = |len: usize| -> Option<u32> {
            let raw = bytes.get(at..at + len)?;
            at += len;
            Some(raw.iter().fold(0, |word, &byte| (word << 8) | u32::from(byte)))
        };
        let block = match sizes >> 4 {
            0 => return None,
            1 => 192,
            code @ 2..=5 => 144 << code,
            6 => word(1)? + 1,
            7 => word(2)? + 1,
            code => 1 << code,
        };
        let rate = match sizes & 15 {
            0 => info.rate,
            code @ 1..=11 => {
                [88_200, 176_400, 192_000, 8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000]
                    [usize::from(code) - 1]
            }
            12 => word(1)? * 1000,
            13 => word(2)?,
            14 => word(2)? * 10,
            _ => return None,
        };
        let channels = match layout >> 4 {
            code @ 0..=7 => code + 1,
            8..=10 => 2,
            _ => return None,
        };
        let bits = match layout >> 1 & 7 {
            0 => info.bits,
            3 => return None,
            code => [8, 12, 0, 16, 20, 24, 32][usize::from(code) - 1],
        };
        let valid = bytes.get(at).is_some_and(|&sum| sum == crc8(&bytes[..at])) && rate > 0 && bits > 0;
        let fixed = second & 1 == 0;
        valid.then_some(Self { kind: Kind { rate, channels, bits }, block, number, fixed, len: at + 1 })
    }

    /// Maximum size of a frame with this header, bytes: uncompressed samples and some overhead.
    fn max_bytes(&self) -> usize {
        let samples = self.block as usize * usize::from(self.kind.channels);
        samples * (usize::from(self.kind.bits) + 8) / 8 + 1024
    }

    /// Number of the first sample.
    fn start(&self, block: u32) -> u64 {
        if self.fixed { self.number.saturating_mul(u64::from(block)) } else { self.number }
    }
}

/// A number of up to 36 bits in a UTF-8-like coding, and its length in bytes.
fn coded_number(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let len = match first.leading_ones() {
        0 => return Some((u64::from(first), 1)),
        ones @ 2..=7 => ones as usize,
        _ => return None,
    };
    let start = u64::from(first) & ((1 << (7 - len)) - 1);
    let number = bytes.get(1..len)?.iter().try_fold(start, |number, &byte| {
        (byte & 0xc0 == 0x80).then_some((number << 6) | u64::from(byte & 0x3f))
    })?;
    Some((number, len))
}

fn crc8(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |mut sum, &byte| {
        sum ^= byte;
        (0..8).for_each(|_| sum = (sum << 1) ^ if sum & 0x80 != 0 { 0x07 } else { 0 });
        sum
    })
}

const CRC16: [u16; 256] = {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let (mut sum, mut bit) = ((at as u16) << 8, 0);
        while bit < 8 {
            sum = (sum << 1) ^ if sum & 0x8000 != 0 { 0x8005 } else { 0 };
            bit += 1;
        }
        table[at] = sum;
        at += 1;
    }
    table
};

fn crc16(sum: u16, byte: u8) -> u16 {
    (sum << 8) ^ CRC16[usize::from((sum >> 8) as u8 ^ byte)]
}

/// Finds frames in a stream of bytes.
struct Frames {
    source: Section,
    info: StreamInfo,
    /// A window of the source, and the number of bytes before it.
    bytes: Vec<u8>,
    dropped: u64,
    at: usize,
    /// Bytes searched in vain for the ends of frames.
    wasted: u64,
    ended: bool,
}

/// Bytes per read.
const CHUNK: usize = 1 << 16;
/// Maximum size of a header, bytes.
const HEADER: usize = 16;

impl Frames {
    fn new(source: Section, info: StreamInfo) -> Self {
        Self { source, info, bytes: Vec::new(), dropped: 0, at: 0, wasted: 0, ended: false }
    }

    /// Ensures that `ahead` bytes after the position are in the window, or all that are left.
    fn fill(&mut self, ahead: usize) -> Result<(), DecodeError> {
        while !self.ended && self.bytes.len() - self.at < ahead {
            if self.at > CHUNK {
                self.bytes.drain(..self.at);
                self.dropped += self.at as u64;
                self.at = 0;
            }
            let read = self.source.by_ref().take(CHUNK as u64).read_to_end(&mut self.bytes)?;
            self.ended = read == 0;
        }
        Ok(())
    }

    /// Moves to the next header.
    fn seek(&mut self) -> Result<Option<Header>, DecodeError> {
        loop {
            self.fill(CHUNK)?;
            let rest = &self.bytes[self.at..];
            let certain = if self.ended { rest.len() } else { rest.len() - HEADER };
            let found = (0..certain)
                .filter(|&at| rest[at] == 0xff)
                .find_map(|at| Header::read(&rest[at..], self.info).map(|header| (at, header)));
            match found {
                Some((at, header)) => {
                    self.at += at;
                    return Ok(Some(header));
                }
                None if self.ended => return Ok(None),
                None => self.at += certain,
            }
        }
    }

    /// Reads the next header and, if a complete frame with a valid checksum follows, that frame.
    fn step(&mut self) -> Result<Step<'_>, DecodeError> {
        let Some(header) = self.seek()? else { return Ok(Step::End) };
        let most = header.max_bytes();
        self.fill(most + HEADER)?;
        let rest = &self.bytes[self.at..];
        // The checksum over a frame and its checksum is zero. The frame ends there if another one or the end of the file follows.
        let mut sum = rest[..header.len].iter().fold(0, |sum, &byte| crc16(sum, byte));
        let end = (header.len..rest.len().min(most)).find(|&at| {
            sum = crc16(sum, rest[at]);
            let next = at + 1;
            sum == 0 && (next == rest.len() || Header::read(&rest[next..], self.info).is_some())
        });
        if let Some(last) = end {
            let frame = self.at..self.at + last + 1;
            self.at = frame.end;
            return Ok(Step::Frame(header, &self.bytes[frame]));
        }
        self.wasted += rest.len().min(most) as u64;
        if self.wasted > self.source.len().saturating_mul(WASTE_PASSES).saturating_add(WASTE_EXTRA) {
            return Ok(Step::End);
        }
        self.at += 1;
        Ok(Step::Nothing)
    }
}

enum Step<'a> {
    Frame(Header, &'a [u8]),
    Nothing,
    End,
}

/// Limits of unsuccessful search: a file of only headers would take hours.
const WASTE_PASSES: u64 = 8;
const WASTE_EXTRA: u64 = 16 << 20;

/// Offset of the first of two consecutive frames, for streams without their beginning.
pub(super) fn find(source: &Section) -> Result<Option<u64>, DecodeError> {
    let mut frames = Frames::new(source.section(0, 1 << 20), StreamInfo::default());
    loop {
        match frames.step()? {
            Step::Frame(_, frame) => {
                let len = frame.len();
                if Header::read(&frames.bytes[frames.at..], frames.info).is_some() {
                    return Ok(Some(frames.dropped + (frames.at - len) as u64));
                }
            }
            Step::Nothing => {}
            Step::End => return Ok(None),
        }
    }
}

/// Maximum length of lost audio that is replaced by silence, in seconds.
const MAX_PATCH_S: u64 = 60;

/// Decodes a file from its first frame to its last.
pub(super) fn decode(source: Section, sink: &mut Sink<'_>) -> Result<DetectedFormat, DecodeError> {
    let info = StreamInfo::read(&source.peek(0, 64)?).unwrap_or_default();
    let mut frames = Frames::new(source, info);
    let mut decoder: Option<(Kind, Box<dyn AudioDecoder>)> = None;
    let (mut block, mut expected, mut samples) = (None, None, Vec::new());
    loop {
        sink.check_cancelled()?;
        let (header, frame) = match frames.step()? {
            Step::Frame(header, frame) => (header, frame),
            Step::Nothing => continue,
            Step::End => break,
        };
        let kind = header.kind;
        let shape = Shape { rate: kind.rate, channels: layout(kind.channels) };
        if decoder.as_ref().is_none_or(|(known, _)| *known != kind) {
            sink.check_shape(kind.rate, usize::from(kind.channels))?;
            decoder = Some((kind, open(kind)?));
        }
        let Some((_, decoder)) = &mut decoder else { break };
        let start = header.start(*block.get_or_insert(header.block));
        let lost = expected.map_or(0, |expected| start.saturating_sub(expected));
        if lost > 0 && lost <= MAX_PATCH_S * u64::from(kind.rate) {
            sink.push(&vec![0.0; lost as usize * usize::from(kind.channels)], &shape)?;
        }
        expected = Some(start + u64::from(header.block));
        let packet = PacketRef::new(0, Timestamp::ZERO, Duration::from(u64::from(header.block)), frame);
        match decoder.decode_ref(&packet) {
            Ok(decoded) => decoded.copy_to_vec_interleaved(&mut samples),
            Err(_) => {
                samples.clear();
                samples.resize(header.block as usize * usize::from(kind.channels), 0.0);
            }
        }
        sink.push(&samples, &shape)?;
    }
    if sink.is_empty() {
        return Err(DecodeError::malformed("flac", "it has no complete frame"));
    }
    Ok(DetectedFormat { container: "flac", codec: "flac" })
}

fn open(kind: Kind) -> Result<Box<dyn AudioDecoder>, DecodeError> {
    // A stream header that allows any block with these properties.
    let mut info = [0u8; 34];
    info[..4].copy_from_slice(&[0, 16, 0xff, 0xff]);
    let field =
        u64::from(kind.rate) << 44 | u64::from(kind.channels - 1) << 41 | u64::from(kind.bits - 1) << 36;
    info[10..18].copy_from_slice(&field.to_be_bytes());
    let mut params = AudioCodecParameters::new();
    params
        .for_codec(CODEC_ID_FLAC)
        .with_sample_rate(kind.rate)
        .with_bits_per_sample(u32::from(kind.bits))
        .with_channels(layout(kind.channels))
        .with_extra_data(Box::from(info));
    get_codecs()
        .make_audio_decoder(&params, &Default::default())
        .map_err(|error| DecodeError::malformed("flac", error.to_string()))
}

/// Channel positions by the number of channels (section 9.1.3).
fn layout(channels: u8) -> Channels {
    match channels {
        1 => layouts::CHANNEL_LAYOUT_MONO,
        2 => layouts::CHANNEL_LAYOUT_STEREO,
        3 => layouts::CHANNEL_LAYOUT_3P0,
        4 => layouts::CHANNEL_LAYOUT_4P0_QUAD,
        5 => layouts::CHANNEL_LAYOUT_5P0,
        6 => layouts::CHANNEL_LAYOUT_5P1,
        7 => layouts::CHANNEL_LAYOUT_6P1,
        _ => layouts::CHANNEL_LAYOUT_7P1,
    }
}
