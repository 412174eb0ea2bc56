//! A feature that the demuxer for Matroska and WebM lacks: truncated files.

use super::DecodeError;
use super::source::Section;

const EBML: &[u8] = b"\x1a\x45\xdf\xa3";
const SEGMENT: &[u8] = b"\x18\x53\x80\x67";

/// The file, without seeking if it is shorter than its header says, like an interrupted upload: its index
/// then points past its end.
pub(super) fn repaired(file: Section) -> Result<Section, DecodeError> {
    let bytes = file.peek(0, 4096)?;
    let header = element(&bytes, 0, EBML);
    let segment_at = header.and_then(|(body, size)| body.checked_add(usize::try_from(size).ok()?));
    let whole = segment_at
        .and_then(|at| element(&bytes, at, SEGMENT))
        .is_none_or(|(body, size)| (body as u64).saturating_add(size) <= file.len());
    Ok(if whole { file } else { file.forward_only() })
}

/// Offset of an element's body, and its size (RFC 8794, sections 4 and 5).
fn element(bytes: &[u8], at: usize, id: &[u8]) -> Option<(usize, u64)> {
    let rest = bytes.get(at..)?.strip_prefix(id)?;
    let width = rest.first()?.leading_zeros() as usize + 1;
    let raw = rest.get(..width).filter(|_| width <= 8)?;
    let size = raw.iter().fold(0, |size, &byte| (size << 8) | u64::from(byte));
    Some((at + id.len() + width, size & ((1 << (7 * width)) - 1)))
}
