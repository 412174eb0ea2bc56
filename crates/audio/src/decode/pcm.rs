//! Uncompressed and simply compressed samples (linear, float, G.711, ADPCM) of wav, au, aiff and similar formats.

use std::io::Read;

use symphonia::core::audio::{Channels, Position};

use super::adpcm;
use super::sink::{Shape, Sink};
use super::source::Section;
use super::{DecodeError, DetectedFormat};

/// Encoding of one sample or block of samples.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Encoding {
    /// Signed integer of this many bytes (1 to 8).
    Int {
        bytes: usize,
        big_endian: bool,
    },
    /// Signed integer of `used` bytes in the low end of a slot of `bytes`.
    Padded {
        bytes: usize,
        used: usize,
        big_endian: bool,
    },
    /// Integer with an offset of half its range, of this many bytes.
    Unsigned {
        bytes: usize,
        big_endian: bool,
    },
    Float32 {
        big_endian: bool,
    },
    Float64 {
        big_endian: bool,
    },
    MuLaw,
    ALaw,
    /// IMA ADPCM in the blocks of wav.
    ImaWav {
        block: usize,
    },
    /// Microsoft ADPCM with its predictor coefficients.
    Microsoft {
        block: usize,
        coefficients: Vec<[i32; 2]>,
    },
}

impl Encoding {
    fn name(&self) -> &'static str {
        match self {
            Self::Int { .. } | Self::Padded { .. } | Self::Unsigned { .. } => "pcm",
            Self::Float32 { .. } | Self::Float64 { .. } => "pcm float",
            Self::MuLaw => "mu-law",
            Self::ALaw => "a-law",
            Self::ImaWav { .. } => "ima adpcm",
            Self::Microsoft { .. } => "ms adpcm",
        }
    }

    /// Bytes of the smallest decodable unit, for this many channels.
    fn unit(&self, channels: usize) -> usize {
        match self {
            Self::Int { bytes, .. } | Self::Padded { bytes, .. } | Self::Unsigned { bytes, .. } => {
                bytes * channels
            }
            Self::Float32 { .. } => 4 * channels,
            Self::Float64 { .. } => 8 * channels,
            Self::MuLaw | Self::ALaw => channels,
            Self::ImaWav { block } | Self::Microsoft { block, .. } => *block,
        }
    }

    fn is_adpcm(&self) -> bool {
        matches!(self, Self::ImaWav { .. } | Self::Microsoft { .. })
    }

    /// Decodes complete units (for ADPCM one, which may be truncated by the end of the file) to interleaved samples.
    fn decode(&self, bytes: &[u8], channels: usize, out: &mut Vec<f32>) {
        match self {
            Self::Int { bytes: size, big_endian } => {
                out.extend(bytes.chunks_exact(*size).map(|raw| integer(raw, *big_endian) as f32 * SCALE));
            }
            Self::Padded { bytes: size, used, big_endian } => {
                let from = if *big_endian { size - used } else { 0 };
                let slots = bytes.chunks_exact(*size).map(|slot| &slot[from..from + used]);
                out.extend(slots.map(|raw| integer(raw, *big_endian) as f32 * SCALE));
            }
            Self::Unsigned { bytes: size, big_endian } => out.extend(
                bytes.chunks_exact(*size).map(|raw| (integer(raw, *big_endian) ^ i64::MIN) as f32 * SCALE),
            ),
            Self::Float32 { big_endian } => {
                out.extend(
                    bytes.as_chunks().0.iter().map(|&raw| {
                        if *big_endian { f32::from_be_bytes(raw) } else { f32::from_le_bytes(raw) }
                    }),
                );
            }
            Self::Float64 { big_endian } => out.extend(bytes.as_chunks().0.iter().map(|&raw| {
                (if *big_endian { f64::from_be_bytes(raw) } else { f64::from_le_bytes(raw) }) as f32
            })),
            Self::MuLaw => out.extend(bytes.iter().map(|&code| mu_law(code))),
            Self::ALaw => out.extend(bytes.iter().map(|&code| a_law(code))),
            Self::ImaWav { .. } => adpcm::ima_wav(bytes, channels, out),
            Self::Microsoft { coefficients, .. } => adpcm::microsoft(bytes, channels, coefficients, out),
        }
    }
}

const SCALE: f32 = 1.0 / 9_223_372_036_854_775_808.0;

/// A sample of up to eight bytes, shifted to the top of 64 bits so that all widths have the same full scale.
fn integer(raw: &[u8], big_endian: bool) -> i64 {
    let mut wide = [0u8; 8];
    for (at, &byte) in raw.iter().enumerate().take(8) {
        let place = if big_endian { 7 - at } else { 8 - raw.len() + at };
        wide[place] = byte;
    }
    i64::from_le_bytes(wide)
}

/// ITU-T G.711 mu-law.
fn mu_law(code: u8) -> f32 {
    let code = !code;
    let magnitude = (((i32::from(code & 0x0f) << 3) + 0x84) << ((code >> 4) & 7)) - 0x84;
    (if code & 0x80 != 0 { -magnitude } else { magnitude }) as f32 / 32768.0
}

/// ITU-T G.711 A-law.
fn a_law(code: u8) -> f32 {
    let code = code ^ 0x55;
    let step = i32::from(code & 0x0f) << 4;
    let magnitude = match (code >> 4) & 7 {
        0 => step + 8,
        segment => (step + 0x108) << (segment - 1),
    };
    (if code & 0x80 != 0 { magnitude } else { -magnitude }) as f32 / 32768.0
}

/// Location and format of the samples, from a file's header.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) container: &'static str,
    pub(super) encoding: Encoding,
    pub(super) rate: u32,
    pub(super) channels: usize,
    /// Channel positions in the order of the standard wav mask, if the file gives them.
    pub(super) mask: Option<u32>,
    pub(super) data_start: u64,
    /// Number of bytes by the header; `None`: up to the end of the file.
    pub(super) data_len: Option<u64>,
    /// Number of frames by the header; ADPCM pads its last block, so this is the true length.
    pub(super) frames: Option<u64>,
}

/// Bytes per read.
const CHUNK: usize = 1 << 16;

/// Decodes the samples that `layout` describes.
pub(super) fn decode(
    source: &Section,
    layout: &Layout,
    sink: &mut Sink<'_>,
) -> Result<DetectedFormat, DecodeError> {
    sink.check_shape(layout.rate, layout.channels)?;
    let channels = layout.channels;
    let unit = layout.encoding.unit(channels);
    if unit == 0 {
        return Err(DecodeError::malformed(layout.container, "its blocks have no size"));
    }
    let places = layout.mask.and_then(Position::from_wave_channel_mask);
    let shape = match places.map(Channels::Positioned).filter(|places| places.count() == channels) {
        Some(channels) => Shape { rate: layout.rate, channels },
        None => Shape::plain(layout.rate, channels),
    };
    let mut data = source.section(layout.data_start, layout.data_len.unwrap_or(u64::MAX));
    let mut left =
        layout.frames.filter(|_| layout.encoding.is_adpcm()).map(|frames| frames * channels as u64);
    let batch = if layout.encoding.is_adpcm() { unit } else { (CHUNK / unit).max(1) * unit };
    let mut bytes = Vec::new();
    let mut samples = Vec::new();
    loop {
        bytes.clear();
        data.by_ref().take(batch as u64).read_to_end(&mut bytes)?;
        if bytes.is_empty() || left == Some(0) {
            break;
        }
        let whole = if layout.encoding.is_adpcm() { bytes.len() } else { bytes.len() / unit * unit };
        samples.clear();
        layout.encoding.decode(&bytes[..whole], channels, &mut samples);
        if let Some(left) = &mut left {
            samples.truncate((*left).min(samples.len() as u64) as usize);
            *left -= samples.len() as u64;
        }
        sink.push(&samples, &shape)?;
    }
    Ok(DetectedFormat { container: layout.container, codec: layout.encoding.name() })
}
