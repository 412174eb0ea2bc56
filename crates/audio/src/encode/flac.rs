//! FLAC (RFC 9639), 16 bit, fixed block size.

use flacenc::bitsink::ByteSink;
use flacenc::component::{BitRepr, StreamInfo};
use flacenc::config;
use flacenc::error::{Verified, Verify};
use flacenc::source::{Context, Fill, FrameBuf};

use super::frames::Frames;
use super::pcm::quantize;
use super::{Codec, EncodeError, OutputFormat};

/// Samples per block: within the limit of the streamable subset, and 0.1 s at the rate of most voices.
const BLOCK: usize = 2304;
const BITS_PER_SAMPLE: usize = 16;

pub(super) struct Flac {
    rate_hz: u32,
    frames: Frames,
    blocks: Blocks,
}

/// The encoder of blocks, and the header's statistics of them.
struct Blocks {
    config: Verified<config::Encoder>,
    info: StreamInfo,
    buffer: FrameBuf,
    /// Counts blocks and computes the MD5 of the samples.
    context: Context,
    smallest: usize,
    largest: usize,
}

impl Flac {
    pub(super) fn new(rate_hz: u32) -> Result<Self, EncodeError> {
        let config = config::Encoder::default().into_verified().map_err(|(_, error)| failed(error))?;
        let blocks = Blocks {
            config,
            info: StreamInfo::new(rate_hz as usize, 1, BITS_PER_SAMPLE).map_err(failed)?,
            buffer: FrameBuf::with_size(1, BLOCK).map_err(failed)?,
            context: Context::new(BITS_PER_SAMPLE, 1),
            smallest: usize::MAX,
            largest: 0,
        };
        Ok(Self { rate_hz, frames: Frames::new(BLOCK), blocks })
    }

    /// The header of a stream of unknown length.
    pub(super) fn header(&self) -> Vec<u8> {
        header(self.rate_hz, 0, (0, 0), [0; 16])
    }
}

impl Codec for Flac {
    fn encode(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let Self { frames, blocks, .. } = self;
        frames.push(samples, |block| blocks.encode(block, out))
    }

    fn finish(mut self: Box<Self>, out: &mut Vec<u8>) -> Result<Vec<u8>, EncodeError> {
        let samples = self.frames.taken();
        let rest = self.frames.into_rest();
        if !rest.is_empty() {
            self.blocks.encode(&rest, out)?;
        }
        if samples == 0 {
            return Ok(header(self.rate_hz, 0, (0, 0), [0; 16]));
        }
        let sizes = (self.blocks.smallest, self.blocks.largest);
        Ok(header(self.rate_hz, samples, sizes, self.blocks.context.md5_digest()))
    }
}

impl Blocks {
    fn encode(&mut self, block: &[f32], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let samples: Vec<i32> = block.iter().map(|&sample| i32::from(quantize(sample))).collect();
        if samples.len() < self.buffer.size() {
            self.buffer.resize(samples.len());
        }
        self.buffer.fill_interleaved(&samples).map_err(failed)?;
        self.context.fill_interleaved(&samples).map_err(failed)?;
        let number = self.context.current_frame_number().unwrap_or(0);
        let frame = flacenc::encode_fixed_size_frame(&self.config, &self.buffer, number, &self.info)
            .map_err(failed)?;
        let mut sink = ByteSink::with_capacity(frame.count_bits());
        frame.write(&mut sink).map_err(failed)?;
        let bytes = sink.as_slice();
        self.smallest = self.smallest.min(bytes.len());
        self.largest = self.largest.max(bytes.len());
        out.extend_from_slice(bytes);
        Ok(())
    }
}

/// The stream marker and the STREAMINFO block (RFC 9639, section 8.2); zero means unknown. The minimum block size excludes the
/// last block, which may be shorter.
fn header(rate_hz: u32, samples: u64, (smallest, largest): (usize, usize), md5: [u8; 16]) -> Vec<u8> {
    const LAST_BLOCK: u8 = 0x80;
    const LENGTH: u32 = 34;
    let mut header = b"fLaC".to_vec();
    header.push(LAST_BLOCK);
    header.extend_from_slice(&LENGTH.to_be_bytes()[1..]);
    header.extend_from_slice(&(BLOCK as u16).to_be_bytes());
    header.extend_from_slice(&(BLOCK as u16).to_be_bytes());
    header.extend_from_slice(&(smallest as u32).to_be_bytes()[1..]);
    header.extend_from_slice(&(largest as u32).to_be_bytes()[1..]);
    // 20 bits of rate, 3 of channels less one, 5 of bits per sample less one, 36 of samples.
    let samples = if samples < 1 << 36 { samples } else { 0 };
    let packed = u64::from(rate_hz) << 44 | (BITS_PER_SAMPLE as u64 - 1) << 36 | samples;
    header.extend_from_slice(&packed.to_be_bytes());
    header.extend_from_slice(&md5);
    header
}

fn failed(detail: impl std::fmt::Display) -> EncodeError {
    EncodeError::codec(OutputFormat::Flac, detail)
}
