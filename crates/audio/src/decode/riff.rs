//! Containers made of tagged chunks: wav in all its sizes (RIFF, RIFX, RF64, BW64, Wave64) and aiff, aifc.

use super::DecodeError;
use super::adpcm::MICROSOFT_COEFFICIENTS;
use super::pcm::{Encoding, Layout};
use super::source::Section;

/// What a wav or aiff file holds.
pub(super) enum Content {
    /// Samples this crate reads by itself.
    Samples(Layout),
    /// An MPEG audio stream inside a wav file, at this offset.
    Mpeg { start: u64, len: u64 },
    /// Something else, named.
    Foreign(String),
}

/// Chunks looked at before a file counts as broken.
const MAX_CHUNKS: usize = 4096;
/// Bytes of a chunk read into memory; format chunks are far smaller.
const MAX_BODY: usize = 4096;

struct Chunk {
    id: [u8; 4],
    /// Offset of the body.
    start: u64,
    /// Size as claimed.
    size: u64,
}

/// How chunks follow one another.
#[derive(Clone, Copy, PartialEq)]
enum Style {
    Little,
    Big,
    /// 16-byte ids, 64-bit sizes that count the header, and alignment to 8.
    Wave64,
}

impl Style {
    fn chunk(self, source: &Section, at: u64) -> Result<Option<Chunk>, DecodeError> {
        let head = source.peek(at, 24)?;
        let chunk = match self {
            Self::Wave64 => head.first_chunk::<24>().map(|head| {
                let size = u64::from_le_bytes(head[16..].try_into().expect("eight bytes"));
                Chunk {
                    id: [head[0], head[1], head[2], head[3]],
                    start: at + 24,
                    size: size.saturating_sub(24),
                }
            }),
            _ => head.first_chunk::<8>().map(|&[a, b, c, d, size @ ..]| {
                let size =
                    if self == Self::Big { u32::from_be_bytes(size) } else { u32::from_le_bytes(size) };
                Chunk { id: [a, b, c, d], start: at + 8, size: u64::from(size) }
            }),
        };
        Ok(chunk)
    }

    fn after(self, chunk: &Chunk) -> u64 {
        let align = if self == Self::Wave64 { 8 } else { 2 };
        chunk.start.saturating_add(chunk.size).checked_next_multiple_of(align).unwrap_or(u64::MAX)
    }
}

/// Fields of a chunk's body, zero where it is too short.
struct Fields {
    bytes: Vec<u8>,
    big: bool,
}

impl Fields {
    fn read(source: &Section, chunk: &Chunk, big: bool) -> Result<Self, DecodeError> {
        Ok(Self { bytes: source.peek(chunk.start, chunk.size.min(MAX_BODY as u64) as usize)?, big })
    }

    fn number(&self, at: usize, len: usize) -> u64 {
        let byte = |at: usize| u64::from(self.bytes.get(at).copied().unwrap_or(0));
        (0..len).fold(0, |number, k| (number << 8) | byte(if self.big { at + k } else { at + len - 1 - k }))
    }

    fn u16(&self, at: usize) -> u16 {
        self.number(at, 2) as u16
    }

    fn u32(&self, at: usize) -> u32 {
        self.number(at, 4) as u32
    }

    fn i16(&self, at: usize) -> i32 {
        i32::from(self.u16(at) as i16)
    }

    fn id(&self, at: usize) -> [u8; 4] {
        self.bytes.get(at..at + 4).and_then(|id| id.try_into().ok()).unwrap_or_default()
    }
}

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

/// A wav file of any of its kinds, told apart by its first bytes.
pub(super) fn wav(source: &Section) -> Result<Content, DecodeError> {
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
                    return Err(DecodeError::malformed(
                        name,
                        "the samples come before the format that explains them",
                    ));
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

/// Bytes of samples: a recorder that could not go back to fill in the size leaves 0 or all ones; both mean "to the
/// end of the file", unless another chunk follows right behind an empty one.
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
            // The first two bytes of the sub-format's id are the plain tag.
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
    // Samples may lie in more bytes than their bits need.
    let needed = usize::from(bits).div_ceil(8);
    let stored = if block % channels == 0 && (needed..=8).contains(&(block / channels)) {
        block / channels
    } else {
        needed
    };
    let encoding = match tag {
        PCM if stored == 0 => return Err(DecodeError::malformed(container, "its samples have no bits")),
        PCM | FLOAT if stored > 8 => {
            return Err(DecodeError::malformed(container, format!("{bits} bits a sample")));
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
        _ => return Ok(Content::Foreign(format!("wav with codec 0x{tag:04x} of {bits} bits"))),
    };
    // A fact chunk that says less than all but the last block hold is not to be believed.
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

/// Whether narrow samples lie in the low bytes of their wide slots; the standard says the high ones. Then the top
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

/// An aiff or aifc file.
pub(super) fn aiff(source: &Section) -> Result<Content, DecodeError> {
    let name = "aiff";
    let compressed = source.peek(8, 4)? == b"AIFC";
    let (mut common, mut data, mut at) = (None, None, 12);
    for _ in 0..MAX_CHUNKS {
        let Some(chunk) = Style::Big.chunk(source, at)? else { break };
        match &chunk.id {
            b"COMM" => common = Some(Fields::read(source, &chunk, true)?),
            b"SSND" => {
                let offset = u64::from(Fields::read(source, &chunk, true)?.u32(0));
                let start = chunk.start.saturating_add(8).saturating_add(offset);
                let end = chunk.start.saturating_add(chunk.size);
                let claimed = end.saturating_sub(start);
                data = Some((start, (claimed > 0 && chunk.size != u64::from(u32::MAX)).then_some(claimed)));
            }
            _ => {}
        }
        if common.is_some() && data.is_some() {
            break;
        }
        at = Style::Big.after(&chunk);
    }
    let common = common.ok_or_else(|| DecodeError::malformed(name, "it has no format chunk"))?;
    let (data_start, data_len) =
        data.ok_or_else(|| DecodeError::malformed(name, "it has no samples chunk"))?;
    let bits = common.u16(6);
    let bytes = usize::from(bits).div_ceil(8);
    let codec = if compressed { common.id(18) } else { *b"NONE" };
    let encoding = match &codec {
        b"NONE" | b"twos" | b"in24" | b"in32" if (1..=8).contains(&bytes) => {
            Encoding::Int { bytes, big_endian: true }
        }
        b"sowt" if (1..=8).contains(&bytes) => Encoding::Int { bytes, big_endian: false },
        b"raw " if bytes == 1 => Encoding::Unsigned { bytes, big_endian: true },
        b"fl32" | b"FL32" => Encoding::Float32 { big_endian: true },
        b"fl64" | b"FL64" => Encoding::Float64 { big_endian: true },
        b"ulaw" | b"ULAW" => Encoding::MuLaw,
        b"alaw" | b"ALAW" => Encoding::ALaw,
        _ if bytes == 0 || bytes > 8 => {
            return Err(DecodeError::malformed(name, format!("{bits} bits a sample")));
        }
        _ => return Ok(Content::Foreign(format!("aifc with codec '{}'", codec.escape_ascii()))),
    };
    let rate = extended(&common.bytes, 8)
        .ok_or_else(|| DecodeError::malformed(name, "its sample rate is no number"))?;
    let channels = usize::from(common.u16(0));
    Ok(Content::Samples(Layout {
        container: name,
        encoding,
        rate,
        channels,
        mask: None,
        data_start,
        data_len,
        frames: None,
    }))
}

/// The 80-bit IEEE 754 extended float aiff keeps its rate in, rounded.
fn extended(bytes: &[u8], at: usize) -> Option<u32> {
    let raw: &[u8; 10] = bytes.get(at..)?.first_chunk()?;
    let exponent = i32::from(u16::from_be_bytes([raw[0], raw[1]])) - 16383;
    let mantissa = u64::from_be_bytes(raw[2..].try_into().expect("eight bytes"));
    if !(0..32).contains(&exponent) {
        return None;
    }
    Some((mantissa as f64 * f64::from(exponent - 63).exp2()).round() as u32)
}

/// A NeXT and Sun audio file (.au, .snd).
pub(super) fn au(source: &Section) -> Result<Content, DecodeError> {
    let fields = Fields { bytes: source.peek(0, 24)?, big: true };
    if fields.bytes.len() < 24 {
        return Err(DecodeError::malformed("au", "its header is cut off"));
    }
    let big_endian = true;
    let encoding = match fields.u32(12) {
        1 => Encoding::MuLaw,
        code @ 2..=5 => Encoding::Int { bytes: code as usize - 1, big_endian },
        6 => Encoding::Float32 { big_endian },
        7 => Encoding::Float64 { big_endian },
        27 => Encoding::ALaw,
        code => return Ok(Content::Foreign(format!("au with codec {code}"))),
    };
    let claimed = fields.u32(8);
    Ok(Content::Samples(Layout {
        container: "au",
        encoding,
        rate: fields.u32(16),
        channels: fields.u32(20).min(u32::from(u16::MAX)) as usize,
        mask: None,
        data_start: u64::from(fields.u32(4)).max(24),
        data_len: (claimed != u32::MAX && claimed != 0).then_some(u64::from(claimed)),
        frames: None,
    }))
}
