//! Shared reader of chunk-based files.

use super::DecodeError;
use super::pcm::Layout;
use super::source::Section;

/// Content of a chunk-based file.
pub(super) enum Content {
    /// Samples that this crate reads itself.
    Samples(Layout),
    /// An MPEG audio stream inside a wav file, at this offset.
    Mpeg { start: u64, len: u64 },
    /// Packets of a codec in a caf file.
    Packets,
    /// An unsupported format, described.
    Unsupported(String),
}

/// Maximum number of chunks; a file with more counts as damaged.
pub(super) const MAX_CHUNKS: usize = 4096;
/// Maximum bytes of a chunk read into memory; format chunks are far smaller.
const MAX_BODY: usize = 4096;

pub(super) struct Chunk {
    pub(super) id: [u8; 4],
    /// Offset of the body.
    pub(super) start: u64,
    /// Size as claimed.
    pub(super) size: u64,
}

/// Layout of chunk headers.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Style {
    Little,
    Big,
    /// 16-byte ids, 64-bit sizes that count the header, and alignment to 8.
    Wave64,
}

impl Style {
    pub(super) fn chunk(self, source: &Section, at: u64) -> Result<Option<Chunk>, DecodeError> {
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

    pub(super) fn after(self, chunk: &Chunk) -> u64 {
        let align = if self == Self::Wave64 { 8 } else { 2 };
        chunk.start.saturating_add(chunk.size).checked_next_multiple_of(align).unwrap_or(u64::MAX)
    }
}

/// Fields of a chunk's body; zero if it is too short.
pub(super) struct Fields {
    pub(super) bytes: Vec<u8>,
    pub(super) big: bool,
}

impl Fields {
    pub(super) fn read(source: &Section, chunk: &Chunk, big: bool) -> Result<Self, DecodeError> {
        Ok(Self { bytes: source.peek(chunk.start, chunk.size.min(MAX_BODY as u64) as usize)?, big })
    }

    pub(super) fn number(&self, at: usize, len: usize) -> u64 {
        let byte = |at: usize| u64::from(self.bytes.get(at).copied().unwrap_or(0));
        (0..len).fold(0, |number, k| (number << 8) | byte(if self.big { at + k } else { at + len - 1 - k }))
    }

    pub(super) fn u16(&self, at: usize) -> u16 {
        self.number(at, 2) as u16
    }

    pub(super) fn u32(&self, at: usize) -> u32 {
        self.number(at, 4) as u32
    }

    pub(super) fn i16(&self, at: usize) -> i32 {
        i32::from(self.u16(at) as i16)
    }

    pub(super) fn id(&self, at: usize) -> [u8; 4] {
        self.bytes.get(at..at + 4).and_then(|id| id.try_into().ok()).unwrap_or_default()
    }
}
