//! All variants of wav: RIFF, big-endian RIFX, RF64 and BW64 (ITU-R BS.2088), Sony's Wave64.

use super::DecodeError;
use super::adpcm::MICROSOFT_COEFFICIENTS;
use super::chunks::{Chunk, Content, Fields, MAX_CHUNKS, Style};
use super::pcm::{Encoding, Layout};
use super::source::Section;

struct Format {
    tag: u16,
    channels: usize,
    rate: u32,
    block: usize,
    bits: u16,
    mask: Option<u32>,
    samples_per_block: u64,
    coefficients: Vec<[i32; 2]>,
}

/// Reads a wav file of any variant, which the first bytes identify.
pub(super) fn read(source: &Section) -> Result<Content, DecodeError> {
    let head = source.peek(0, 16)?;
    let (name, style, mut at) = match head.first_chunk() {
        Some(b"RIFX") => ("wav", Style::Big, 12),
        Some(b"RF64" | b"BW64") => ("rf64", Style::Little, 12),
        Some(b"riff") => ("wave64", Style::Wave64, 40),
        _ => ("wav", Style::Little, 12),
    };
    let big = style == Style::Big;
    let (mut format, mut frames, mut long_data) = (None, None, None);
    for _ in 0..MAX_CHUNKS {
        let Some(chunk) = style.chunk(source, at)? else { break };
        match &chunk.id {
            b"fmt " => format = Some(parse_format(&Fields::read(source, &chunk, big)?)),
            b"ds64" => {
                let fields = Fields::read(source, &chunk, big)?;
                long_data = Some(fields.number(8, 8));
            }
            b"fact" => {
                frames = Some(
                    Fields::read(source, &chunk, big)?.number(0, if style == Style::Wave64 { 8 } else { 4 }),
                );
            }
            b"data" => {
                let Some(format) = format else {
                    return Err(DecodeError::malformed(name, "the samples come before the format chunk"));
                };
                let len = data_len(source, &chunk, style, long_data)?;
                return content(source, name, format, big, chunk.start, len, frames);
            }
            _ => {}
        }
        at = style.after(&chunk);
    }
    Err(DecodeError::malformed(
        name,
        if format.is_some() { "it has no samples chunk" } else { "it has no format chunk" },
    ))
}

/// Bytes of samples. A recorder that could not seek back to write the size leaves 0 or all ones; both mean "to the
/// end of the file", unless another chunk directly follows an empty one.
fn data_len(
    source: &Section,
    chunk: &Chunk,
    style: Style,
    long: Option<u64>,
) -> Result<Option<u64>, DecodeError> {
    let unknown = u64::from(u32::MAX);
    let size = match long {
        Some(long) if chunk.size >= unknown => long,
        _ => chunk.size,
    };
    if style != Style::Wave64 && chunk.size >= unknown && long.is_none_or(|long| long == 0) {
        return Ok(None);
    }
    if size == 0 {
        let known: [&[u8; 4]; 8] = [b"LIST", b"INFO", b"id3 ", b"ID3 ", b"fact", b"bext", b"cue ", b"JUNK"];
        let next = source.peek(chunk.start, 4)?;
        return Ok(known.iter().any(|id| next == id.as_slice()).then_some(0));
    }
    Ok(Some(size))
}

fn parse_format(fields: &Fields) -> Format {
    let mut format = Format {
        tag: fields.u16(0),
        channels: usize::from(fields.u16(2)),
        rate: fields.u32(4),
        block: usize::from(fields.u16(12)),
        bits: fields.u16(14),
        mask: None,
        samples_per_block: 0,
        coefficients: Vec::new(),
    };
    match format.tag {
        EXTENSIBLE if fields.bytes.len() >= 26 => {
            format.mask = Some(fields.u32(20)).filter(|&mask| mask != 0);
            // The first two bytes of the sub-format's id are the format tag.
            format.tag = fields.u16(24);
        }
        IMA => format.samples_per_block = u64::from(fields.u16(18)),
        MICROSOFT => {
            format.samples_per_block = u64::from(fields.u16(18));
            let count = usize::from(fields.u16(20)).min(256);
            format.coefficients =
                (0..count).map(|k| [fields.i16(22 + 4 * k), fields.i16(24 + 4 * k)]).collect();
            if count < MICROSOFT_COEFFICIENTS.len() {
                format.coefficients = MICROSOFT_COEFFICIENTS.to_vec();
            }
        }
        _ => {}
    }
    format
}

const PCM: u16 = 0x0001;
const MICROSOFT: u16 = 0x0002;
const FLOAT: u16 = 0x0003;
const A_LAW: u16 = 0x0006;
const MU_LAW: u16 = 0x0007;
const IMA: u16 = 0x0011;
const MPEG: u16 = 0x0050;
const MP3: u16 = 0x0055;
const EXTENSIBLE: u16 = 0xfffe;

fn content(
    source: &Section,
    container: &'static str,
    format: Format,
    big_endian: bool,
    start: u64,
    len: Option<u64>,
    frames: Option<u64>,
) -> Result<Content, DecodeError> {
    let Format { tag, channels, rate, block, bits, mask, samples_per_block, coefficients } = format;
    if channels == 0 {
        return Err(DecodeError::malformed(container, "it claims to have no channels"));
    }
    // Samples may be stored in more bytes than their bits need.
    let needed = usize::from(bits).div_ceil(8);
    let stored = if block % channels == 0 && (needed..=8).contains(&(block / channels)) {
        block / channels
    } else {
        needed
    };
    let encoding = match tag {
        PCM if stored == 0 => return Err(DecodeError::malformed(container, "its samples have no bits")),
        PCM | FLOAT if stored > 8 => {
            return Err(DecodeError::malformed(container, format!("{bits} bits per sample")));
        }
        PCM if stored == 1 => Encoding::Unsigned { bytes: 1, big_endian },
        PCM if needed < stored && right_justified(source, start, stored, needed, big_endian)? => {
            Encoding::Padded { bytes: stored, used: needed, big_endian }
        }
        PCM => Encoding::Int { bytes: stored, big_endian },
        FLOAT if stored == 4 => Encoding::Float32 { big_endian },
        FLOAT if stored == 8 => Encoding::Float64 { big_endian },
        A_LAW => Encoding::ALaw,
        MU_LAW => Encoding::MuLaw,
        IMA if bits == 4 => Encoding::ImaWav { block },
        MICROSOFT if bits == 4 => Encoding::Microsoft { block, coefficients },
        MPEG | MP3 => return Ok(Content::Mpeg { start, len: len.unwrap_or(u64::MAX) }),
        _ => return Ok(Content::Unsupported(format!("wav with codec 0x{tag:04x} of {bits} bits"))),
    };
    // A fact chunk with a count below that of all blocks but the last is invalid.
    let bytes = len.unwrap_or(u64::MAX).min(source.len().saturating_sub(start));
    let whole_blocks = bytes / (block.max(1) as u64) * samples_per_block;
    let frames = frames.filter(|&frames| frames > 0 && frames + samples_per_block >= whole_blocks);
    Ok(Content::Samples(Layout {
        container,
        encoding,
        rate,
        channels,
        mask,
        data_start: start,
        data_len: len,
        frames,
    }))
}

/// Whether samples are stored in the low bytes of their wider slots, instead of the high ones as in the standard. Then the top
/// bytes only repeat the sign and the low byte is used.
fn right_justified(
    source: &Section,
    start: u64,
    stored: usize,
    needed: usize,
    big: bool,
) -> Result<bool, DecodeError> {
    let bytes = source.peek(start, 4096 * stored)?;
    let at = |slot: &[u8], from_low: usize| slot[if big { stored - 1 - from_low } else { from_low }];
    let mut low_used = false;
    for slot in bytes.chunks_exact(stored) {
        let sign = if at(slot, needed - 1) & 0x80 != 0 { 0xff } else { 0 };
        if (needed..stored).any(|k| at(slot, k) != sign) {
            return Ok(false);
        }
        low_used |= at(slot, 0) != 0;
    }
    Ok(low_used)
}
