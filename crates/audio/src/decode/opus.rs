//! Opus packets (RFC 6716) and the header that all containers share (RFC 7845, section 5.1).

use opus_pure::{MAX_PACKET_SAMPLES, OpusDecoder, OpusMSDecoder};
use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::AudioCodecParameters;

use super::DecodeError;
use super::packet::Undecodable;
use super::sink::Shape;

/// Output rate of the decoder. Opus can decode to 16 kHz directly, but without an anti-aliasing filter: transform bins above 8 kHz
/// are dropped, and the rest aliases at up to -13 dB.
const RATE: u32 = 48_000;

enum Streams {
    One(Box<OpusDecoder>),
    Many(Box<OpusMSDecoder>),
}

pub(super) struct Opus {
    streams: Streams,
    shape: Shape,
}

impl Opus {
    pub(super) fn new(params: &AudioCodecParameters) -> Result<Self, DecodeError> {
        let header = params.extra_data.as_deref().and_then(OpusHeader::read);
        let channels = header
            .as_ref()
            .map_or_else(|| params.channels.as_ref().map_or(1, Channels::count), |header| header.channels);
        let gain = header.as_ref().map_or(0, |header| header.gain_q8);
        let broken = |error: opus_pure::Error| DecodeError::malformed("opus", error.to_string());
        let streams = match header.map_or(0, |header| header.family) {
            0 => {
                let mut decoder = OpusDecoder::new(RATE as i32, channels).map_err(broken)?;
                decoder.gain_q8 = gain;
                Streams::One(Box::new(decoder))
            }
            family => {
                let mut decoder = OpusMSDecoder::new(RATE as i32, channels, family).map_err(|_| {
                    DecodeError::unsupported(format!(
                        "opus of {channels} channels in mapping family {family}"
                    ))
                })?;
                decoder.streams_mut().iter_mut().for_each(|stream| stream.gain_q8 = gain);
                Streams::Many(Box::new(decoder))
            }
        };
        Ok(Self { streams, shape: Shape::plain(RATE, channels) })
    }

    /// Frames at `rate` to drop at the start, from the codec's header.
    pub(super) fn pre_skip(header: &[u8], rate: u32) -> u64 {
        OpusHeader::read(header).map_or(0, |header| u64::from(header.pre_skip) * u64::from(rate) / 48_000)
    }

    pub(super) fn shape(&self) -> Shape {
        self.shape.clone()
    }

    pub(super) fn decode(&mut self, packet: &[u8], out: &mut Vec<f32>) -> Result<(), Undecodable> {
        if packet.is_empty() {
            return Err(Undecodable);
        }
        let from = out.len();
        let width = self.shape.channels.count();
        out.resize(from + MAX_PACKET_SAMPLES * width, 0.0);
        let frames = match &mut self.streams {
            Streams::One(decoder) => decoder.decode(packet, MAX_PACKET_SAMPLES, &mut out[from..]),
            Streams::Many(decoder) => decoder.decode(packet, MAX_PACKET_SAMPLES, &mut out[from..]),
        };
        out.truncate(from + frames.as_ref().map_or(0, |frames| frames * width));
        frames.map(|_| ()).map_err(|_| Undecodable)
    }
}

struct OpusHeader {
    channels: usize,
    pre_skip: u16,
    gain_q8: i32,
    family: u8,
}

impl OpusHeader {
    fn read(bytes: &[u8]) -> Option<Self> {
        let body = bytes.strip_prefix(b"OpusHead")?;
        let &[version, channels, s0, s1, _, _, _, _, g0, g1, family] = body.first_chunk()?;
        // The header in MP4 is the same except for its version, 0, and its byte order.
        let word = if version == 0 { u16::from_be_bytes } else { u16::from_le_bytes };
        Some(Self {
            channels: usize::from(channels),
            pre_skip: word([s0, s1]),
            gain_q8: i32::from(word([g0, g1]) as i16),
            family,
        })
    }
}
