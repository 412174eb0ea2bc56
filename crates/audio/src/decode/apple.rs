//! Containers of uncompressed samples from Apple, NeXT and Sun: aiff, aifc, caf and au.

use super::DecodeError;
use super::chunks::{Content, Fields, MAX_CHUNKS, Style};
use super::pcm::{Encoding, Layout};
use super::source::Section;

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
            return Err(DecodeError::malformed(name, format!("{bits} bits per sample")));
        }
        _ => return Ok(Content::Unsupported(format!("aifc with codec '{}'", codec.escape_ascii()))),
    };
    let rate = extended(&common.bytes, 8)
        .ok_or_else(|| DecodeError::malformed(name, "its sample rate is not a number"))?;
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

/// Reads the 80-bit IEEE 754 extended float of aiff's sample rate, rounded.
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
        code => return Ok(Content::Unsupported(format!("au with codec {code}"))),
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

/// A Core Audio file. Only linear and G.711 samples are read here, which also works for truncated files.
pub(super) fn caf(source: &Section) -> Result<Content, DecodeError> {
    let (mut description, mut at) = (None, 8);
    for _ in 0..MAX_CHUNKS {
        let Some(&head) = source.peek(at, 12)?.first_chunk::<12>() else { break };
        let size = i64::from_be_bytes(head[4..].try_into().expect("eight bytes"));
        let start = at + 12;
        match &head[..4] {
            b"desc" => description = Some(Fields { bytes: source.peek(start, 32)?, big: true }),
            b"data" => {
                let Some(fields) = description else { break };
                let Some(encoding) = caf_encoding(&fields) else { return Ok(Content::Packets) };
                return Ok(Content::Samples(Layout {
                    container: "caf",
                    encoding,
                    // NaN becomes zero, which is refused later.
                    rate: f64::from_bits(fields.number(0, 8)).round() as u32,
                    channels: fields.u32(24).min(u32::from(u16::MAX)) as usize,
                    mask: None,
                    // An edit count comes before the samples.
                    data_start: start + 4,
                    data_len: u64::try_from(size).ok().map(|size| size.saturating_sub(4)),
                    frames: None,
                }));
            }
            _ => {}
        }
        let Ok(size) = u64::try_from(size) else { break };
        at = start.saturating_add(size);
    }
    Err(DecodeError::malformed("caf", "it has no samples or no description of them"))
}

fn caf_encoding(fields: &Fields) -> Option<Encoding> {
    let (float, big_endian) = (fields.u32(12) & 1 != 0, fields.u32(12) & 2 == 0);
    let bytes = fields.u32(28).div_ceil(8) as usize;
    // Samples that do not fill their bytes are left to the demuxer.
    let packed = fields.u32(16) as usize == bytes.saturating_mul(fields.u32(24) as usize);
    match (&fields.id(8), bytes) {
        (b"lpcm", 4) if float => Some(Encoding::Float32 { big_endian }),
        (b"lpcm", 8) if float => Some(Encoding::Float64 { big_endian }),
        (b"lpcm", 1..=4) if packed => Some(Encoding::Int { bytes, big_endian }),
        (b"ulaw", _) => Some(Encoding::MuLaw),
        (b"alaw", _) => Some(Encoding::ALaw),
        _ => None,
    }
}
