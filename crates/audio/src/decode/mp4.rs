//! Edit lists of MP4 and QuickTime files (ISO/IEC 14496-12, section 8.6.6): which part of a track is to be heard.
//!
//! AAC encoders put 1024 to 2112 samples before the signal; only the edit list tells.

use super::DecodeError;
use super::demux::Trim;
use super::source::Section;

/// The one stretch of a track that is played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Edit {
    start: u64,
    media_scale: u32,
    /// Zero if not told.
    duration: u64,
    movie_scale: u32,
}

impl Edit {
    /// The same in frames at `rate`.
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
}

/// Boxes looked at in one place.
const MAX_BOXES: usize = 10_000;

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
        found.push(Atom { kind, body: parent.section(at + header, size - header) });
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

/// Ticks a second in a movie or media header.
fn timescale(header: &Section) -> Result<Option<u32>, DecodeError> {
    let bytes = header.peek(0, 32)?;
    let at = if bytes.first() == Some(&1) { 20 } else { 12 };
    Ok(u32_at(&bytes, at).filter(|&scale| scale > 0))
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
    // Several real edits would be a cut film; then only the first one's begin is taken.
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
        // A negative begin is a pause before the sound.
        Some((duration, u64::try_from(start).ok()?))
    });
    let Some((duration, start)) = real.next() else { return Ok(None) };
    let duration = if real.next().is_some() { 0 } else { duration };
    Ok(Some((id, Edit { start, media_scale, duration, movie_scale })))
}
