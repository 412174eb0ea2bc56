//! Features that the demuxer for MP4 and QuickTime lacks: edit lists (ISO/IEC 14496-12, section 8.6.6), which select
//! the part of a track to play, and old files without a file type box.
//!
//! AAC encoders add 1024 to 2112 samples of delay. The edit list or Apple's older iTunSMPB tag gives their number.

use super::DecodeError;
use super::packet::Trim;
use super::source::Section;

/// The part of a track that is played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Edit {
    start: u64,
    media_scale: u32,
    /// Zero if unknown.
    duration: u64,
    movie_scale: u32,
}

impl Edit {
    /// Converts the edit to frames at `rate`.
    pub(super) fn trim(self, rate: u32) -> Trim {
        let frames = |ticks: u64, scale: u32| {
            (u128::from(ticks) * u128::from(rate))
                .div_ceil(u128::from(scale.max(1)))
                .min(u128::from(u64::MAX)) as u64
        };
        let keep = (self.duration > 0).then(|| frames(self.duration, self.movie_scale));
        Trim { skip: frames(self.start, self.media_scale), keep }
    }
}

struct Atom {
    kind: [u8; 4],
    body: Section,
    /// Whether it ends within its parent.
    whole: bool,
}

/// Maximum number of boxes per parent.
const MAX_BOXES: usize = 1_000;

fn boxes(parent: &Section) -> Result<Vec<Atom>, DecodeError> {
    let (mut found, mut at) = (Vec::new(), 0);
    while found.len() < MAX_BOXES {
        let head = parent.peek(at, 16)?;
        let Some(&[a, b, c, d, kind @ ..]) = head.first_chunk::<8>() else { break };
        let (header, size) = match (u32::from_be_bytes([a, b, c, d]), head.last_chunk::<8>()) {
            (0, _) => (8, parent.len() - at),
            (1, Some(&long)) if head.len() == 16 => (16, u64::from_be_bytes(long)),
            (size, _) => (8, u64::from(size)),
        };
        if size < header {
            break;
        }
        let whole = at.saturating_add(size) <= parent.len();
        found.push(Atom { kind, body: parent.section(at + header, size - header), whole });
        at = at.saturating_add(size);
        if at >= parent.len() {
            break;
        }
    }
    Ok(found)
}

fn child(parent: &Section, kind: &[u8; 4]) -> Result<Option<Section>, DecodeError> {
    Ok(boxes(parent)?.into_iter().find(|atom| atom.kind == *kind).map(|atom| atom.body))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|&raw| u32::from_be_bytes(raw))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|&raw| u64::from_be_bytes(raw))
}

/// Ticks per second of a movie or media header.
fn timescale(header: &Section) -> Result<Option<u32>, DecodeError> {
    let bytes = header.peek(0, 32)?;
    let at = if bytes.first() == Some(&1) { 20 } else { 12 };
    Ok(u32_at(&bytes, at).filter(|&scale| scale > 0))
}

/// Repairs the file for the demuxer: a missing file type box of old QuickTime files is appended, and
/// truncated files are read only up to where they end.
pub(super) fn repaired(file: Section) -> Result<Section, DecodeError> {
    let atoms = boxes(&file)?;
    let has = |kind: &[u8; 4]| atoms.iter().any(|atom| atom.kind == *kind && atom.whole);
    if atoms.last().is_some_and(|last| !last.whole) && has(b"moov") && has(b"ftyp") {
        return Ok(file.forward_only());
    }
    let tail = if has(b"ftyp") { Vec::new() } else { b"\0\0\0\x14ftypqt  \0\0\0\0qt  ".to_vec() };
    Ok(file.with_tail(tail))
}

/// Samples before the audio by the iTunSMPB tag: the second of its hexadecimal words.
pub(super) fn itunes_delay(file: &Section) -> Result<Option<u64>, DecodeError> {
    const TAG: &[u8] = b"iTunSMPB";
    let Some(movie) = child(file, b"moov")? else { return Ok(None) };
    let Some(user) = child(&movie, b"udta")? else { return Ok(None) };
    let bytes = user.peek(0, 1 << 20)?;
    let Some(at) = bytes.windows(TAG.len()).position(|window| window == TAG) else { return Ok(None) };
    let text = &bytes[at + TAG.len()..bytes.len().min(at + 128)];
    // A box header and two zero words come before the text, " 00000000 00000840 000001CA ...".
    let text = text.iter().position(|&byte| byte == b' ').map_or(&[][..], |begin| &text[begin..]);
    let mut words = text.split(|&byte| byte == b' ').filter(|word| !word.is_empty());
    let delay = words.nth(1).and_then(|word| u64::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok());
    Ok(delay.filter(|&delay| delay < 1 << 16))
}

/// The edits of all tracks that have one, by track id.
pub(super) fn edits(file: &Section) -> Result<Vec<(u32, Edit)>, DecodeError> {
    let Some(movie) = child(file, b"moov")? else { return Ok(Vec::new()) };
    let Some(header) = child(&movie, b"mvhd")? else { return Ok(Vec::new()) };
    let Some(movie_scale) = timescale(&header)? else { return Ok(Vec::new()) };
    let mut edits = Vec::new();
    for track in boxes(&movie)?.into_iter().filter(|atom| atom.kind == *b"trak") {
        if let Some(found) = edit(&track.body, movie_scale)? {
            edits.push(found);
        }
    }
    Ok(edits)
}

fn edit(track: &Section, movie_scale: u32) -> Result<Option<(u32, Edit)>, DecodeError> {
    let (Some(header), Some(media), Some(edits)) =
        (child(track, b"tkhd")?, child(track, b"mdia")?, child(track, b"edts")?)
    else {
        return Ok(None);
    };
    let (Some(media_header), Some(list)) = (child(&media, b"mdhd")?, child(&edits, b"elst")?) else {
        return Ok(None);
    };
    let Some(media_scale) = timescale(&media_header)? else { return Ok(None) };
    let bytes = header.peek(0, 32)?;
    let Some(id) = u32_at(&bytes, if bytes.first() == Some(&1) { 20 } else { 12 }) else { return Ok(None) };
    // Several real edits would be an edited film; then only the start of the first one is used.
    let bytes = list.peek(0, 8 + 20 * 16)?;
    let long = bytes.first() == Some(&1);
    let size = if long { 20 } else { 12 };
    let count = u32_at(&bytes, 4).unwrap_or(0).min(16) as usize;
    let mut real = (0..count).filter_map(|k| {
        let at = 8 + k * size;
        let (duration, start) = if long {
            (u64_at(&bytes, at)?, u64_at(&bytes, at + 8)? as i64)
        } else {
            (u64::from(u32_at(&bytes, at)?), i64::from(u32_at(&bytes, at + 4)? as i32))
        };
        // A negative start is a pause before the audio.
        Some((duration, u64::try_from(start).ok()?))
    });
    let Some((duration, start)) = real.next() else { return Ok(None) };
    let duration = if real.next().is_some() { 0 } else { duration };
    Ok(Some((id, Edit { start, media_scale, duration, movie_scale })))
}
