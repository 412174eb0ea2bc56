//! Opus (RFC 6716) in Ogg (RFC 7845), frames of 20 ms.

use std::ops::RangeInclusive;

use opus_pure::{Application, MAX_PACKET_BYTES, OpusEncoder, Signal};

use super::frames::Frames;
use super::ogg::Pages;
use super::{Codec, EncodeError, OutputFormat};

/// Bits per second that the codec accepts for one channel (RFC 6716, section 2.1.1).
pub(super) const BITRATES_BPS: RangeInclusive<u32> = 6_000..=256_000;

/// At or above the upper end of the sweet spots for one channel in RFC 6716, section 2.1.1.
pub(super) fn default_bps(rate_hz: u32) -> u32 {
    match rate_hz {
        24_000.. => 64_000,
        16_000.. => 32_000,
        _ => 24_000,
    }
}

/// Positions in an Ogg Opus stream count samples of this rate, whatever the rate of the input.
const GRANULE_RATE_HZ: u32 = 48_000;
const FRAMES_PER_S: u32 = 50;
const FRAME_GRANULES: u64 = (GRANULE_RATE_HZ / FRAMES_PER_S) as u64;
/// Packets per page: 0.2 s. A page has 27 bytes of overhead, and a client waits for it to be complete.
const PAGE_PACKETS: u32 = 10;
/// The largest packet of one frame: one byte of table of contents and 1275 bytes of the frame.
const MAX_FRAME_PACKET: usize = 1276;
/// Serial number of the stream. It is the only one in the file; a constant gives equal bytes for equal input.
const SERIAL: u32 = 0x6d79_6e61;

pub(super) struct Opus {
    rate_hz: u32,
    frames: Frames,
    stream: Stream,
    header: Vec<u8>,
}

struct Stream {
    encoder: OpusEncoder,
    pre_skip: u16,
    packet: Vec<u8>,
    pages: Pages,
    packets_in_page: u32,
    granule: u64,
}

impl Opus {
    /// `rate_hz` is one of the codec's five rates.
    pub(super) fn new(rate_hz: u32, bitrate_bps: u32) -> Result<Self, EncodeError> {
        let mut encoder = OpusEncoder::new(rate_hz as i32, 1, Application::Audio).map_err(failed)?;
        encoder.bitrate_bps = bitrate_bps as i32;
        encoder.complexity = 10;
        encoder.signal_type = Some(Signal::Voice);
        let pre_skip = opus_pure::OpusHead::for_encoder(&encoder, rate_hz).pre_skip;
        let mut pages = Pages::new(SERIAL);
        let mut header = Vec::new();
        pages.add(&id_header(rate_hz, pre_skip));
        pages.write(0, false, &mut header);
        pages.add(&comment_header());
        pages.write(0, false, &mut header);
        let stream = Stream {
            encoder,
            pre_skip,
            packet: vec![0; MAX_PACKET_BYTES],
            pages,
            packets_in_page: 0,
            granule: 0,
        };
        Ok(Self { rate_hz, frames: Frames::new((rate_hz / FRAMES_PER_S) as usize), stream, header })
    }

    pub(super) fn header(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.header)
    }
}

impl Codec for Opus {
    fn encode(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let Self { frames, stream, .. } = self;
        frames.push(samples, |frame| {
            stream.encode(frame)?;
            stream.flush_full(out);
            Ok(())
        })
    }

    fn finish(self: Box<Self>, out: &mut Vec<u8>) -> Result<Vec<u8>, EncodeError> {
        let Self { rate_hz, frames, mut stream, .. } = *self;
        // The end of the audio; a player drops the rest of the last packet (RFC 7845, section 4.4). It is
        // at least the delay after the packets so far, so that a packet is left for the last page.
        let end = u64::from(stream.pre_skip) + frames.taken() * u64::from(GRANULE_RATE_HZ / rate_hz);
        let length = (rate_hz / FRAMES_PER_S) as usize;
        let mut rest = frames.into_rest();
        let left = (end - stream.granule).div_ceil(FRAME_GRANULES) as usize;
        rest.resize(left * length, 0.0);
        for frame in rest.chunks_exact(length) {
            stream.flush_full(out);
            stream.encode(frame)?;
        }
        stream.pages.write(end, true, out);
        Ok(Vec::new())
    }
}

impl Stream {
    fn encode(&mut self, frame: &[f32]) -> Result<(), EncodeError> {
        let bytes = self.encoder.encode(frame, frame.len(), &mut self.packet).map_err(failed)?;
        self.pages.add(&self.packet[..bytes]);
        self.granule += FRAME_GRANULES;
        self.packets_in_page += 1;
        Ok(())
    }

    fn flush_full(&mut self, out: &mut Vec<u8>) {
        if self.packets_in_page == PAGE_PACKETS || !self.pages.has_room(MAX_FRAME_PACKET) {
            self.pages.write(self.granule, false, out);
            self.packets_in_page = 0;
        }
    }
}

/// RFC 7845, section 5.1.
fn id_header(rate_hz: u32, pre_skip: u16) -> Vec<u8> {
    const VERSION: u8 = 1;
    const CHANNELS: u8 = 1;
    const GAIN: [u8; 2] = [0; 2];
    const MAPPING_FAMILY: u8 = 0;
    let mut packet = b"OpusHead".to_vec();
    packet.extend_from_slice(&[VERSION, CHANNELS]);
    packet.extend_from_slice(&pre_skip.to_le_bytes());
    packet.extend_from_slice(&rate_hz.to_le_bytes());
    packet.extend_from_slice(&GAIN);
    packet.push(MAPPING_FAMILY);
    packet
}

/// RFC 7845, section 5.2, without comments.
fn comment_header() -> Vec<u8> {
    const VENDOR: &[u8] = b"mynah";
    let mut packet = b"OpusTags".to_vec();
    packet.extend_from_slice(&(VENDOR.len() as u32).to_le_bytes());
    packet.extend_from_slice(VENDOR);
    packet.extend_from_slice(&0_u32.to_le_bytes());
    packet
}

fn failed(detail: impl std::fmt::Display) -> EncodeError {
    EncodeError::codec(OutputFormat::Opus, detail)
}
