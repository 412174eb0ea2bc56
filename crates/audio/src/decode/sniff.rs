//! Detects the format of a file by its content.

use super::DecodeError;
use super::flac;
use super::format::Format;
use super::source::Section;

/// File formats, by the module that reads them.
#[derive(Debug, PartialEq)]
pub(super) enum Container {
    Wav,
    Aiff,
    Au,
    Caf,
    Flac,
    Stream(Format),
    /// Known, but only supported by the `ffmpeg` program.
    FfmpegOnly(FfmpegFormat),
    /// Apparently not audio; the text says what it looks like.
    Unknown(&'static str),
}

/// A format that only `ffmpeg` supports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct FfmpegFormat {
    pub(super) name: &'static str,
    /// Name of ffmpeg's demuxer.
    pub(super) demuxer: &'static str,
}

/// Number of bytes searched for the first frame of MPEG audio or ADTS.
const SCAN: usize = 1 << 20;
/// Maximum number of tags skipped before the content.
const MAX_TAGS: usize = 8;

/// The container, and the offset at which it starts, after tags and junk.
pub(super) fn sniff(source: &Section) -> Result<(Container, u64), DecodeError> {
    let mut start = 0;
    for _ in 0..MAX_TAGS {
        match id3_len(&source.peek(start, 10)?) {
            // A tag longer than the file is invalid; the bytes after its header are searched instead.
            Some(len) if start + len >= source.len() => {
                start += 10;
                break;
            }
            Some(len) => start += len,
            None => break,
        }
    }
    if let Some(container) = by_magic(&source.peek(start, 4096)?) {
        return Ok((container, start));
    }
    // The checksums of FLAC are more reliable than the headers of MPEG.
    if let Some(at) = flac::find(&source.section(start, u64::MAX))? {
        return Ok((Container::Flac, start + at));
    }
    let bytes = source.peek(start, SCAN)?;
    let whole = start + bytes.len() as u64 == source.len();
    if let Some((format, offset)) = find_frames(&bytes, whole) {
        return Ok((Container::Stream(format), start + offset as u64));
    }
    if let Some(at) = bytes.windows(4).position(|four| four == b"fLaC") {
        return Ok((Container::Flac, start + at as u64));
    }
    if is_gsm(&bytes) {
        return Ok((Container::FfmpegOnly(FfmpegFormat { name: "GSM 06.10", demuxer: "gsm" }), start));
    }
    Ok((Container::Unknown(guess(&bytes)), start))
}

/// Total length of the ID3v2 tag that starts here.
fn id3_len(head: &[u8]) -> Option<u64> {
    let &[b'I', b'D', b'3', major, minor, flags, a, b, c, d] = head.first_chunk()? else { return None };
    if major == 0xff || minor == 0xff || [a, b, c, d].iter().any(|byte| byte & 0x80 != 0) {
        return None;
    }
    let body = [a, b, c, d].iter().fold(0, |len, &byte| (len << 7) | u64::from(byte));
    let footer = if flags & 0x10 != 0 { 10 } else { 0 };
    Some(10 + body + footer)
}

const WAVE64: [u8; 16] = *b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0";
const ASF: [u8; 16] = *b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c";

fn by_magic(head: &[u8]) -> Option<Container> {
    let ffmpeg_format = |name, demuxer| Some(Container::FfmpegOnly(FfmpegFormat { name, demuxer }));
    let tag = |at: usize| head.get(at..at + 4).unwrap_or_default();
    match (tag(0), tag(8)) {
        (b"RIFF" | b"RIFX" | b"RF64" | b"BW64", b"WAVE") => return Some(Container::Wav),
        (b"RIFF", b"AVI ") => return ffmpeg_format("AVI", "avi"),
        (b"FORM", b"AIFF" | b"AIFC") => return Some(Container::Aiff),
        _ => {}
    }
    match tag(0) {
        b"fLaC" => return Some(Container::Flac),
        b"caff" => return Some(Container::Caf),
        b".snd" => return Some(Container::Au),
        b"\x1a\x45\xdf\xa3" => return Some(Container::Stream(Format::Matroska)),
        b"\x1f\x43\xb6\x75" => {
            return Some(Container::Unknown("a later piece of a webm recording; send it with its beginning"));
        }
        b"OggS" => return Some(ogg(head)),
        b"wvpk" => return ffmpeg_format("WavPack", "wv"),
        b"MAC " => return ffmpeg_format("Monkey's Audio", "ape"),
        b"TTA1" => return ffmpeg_format("True Audio", "tta"),
        b"DSD " => return ffmpeg_format("DSF", "dsf"),
        b".RMF" => return ffmpeg_format("RealMedia", "rm"),
        b"MPCK" => return ffmpeg_format("Musepack", "mpc8"),
        b"\x00\x00\x01\xba" => return ffmpeg_format("MPEG program stream", "mpeg"),
        _ => {}
    }
    if head.starts_with(&WAVE64) {
        return Some(Container::Wav);
    }
    if head.starts_with(&ASF) {
        return ffmpeg_format("WMA (ASF)", "asf");
    }
    if head.starts_with(b"#!AMR") {
        return ffmpeg_format("AMR", "amr");
    }
    if head.starts_with(b"FLV\x01") {
        return ffmpeg_format("FLV", "flv");
    }
    if head.starts_with(b"Creative Voice File") {
        return ffmpeg_format("VOC", "voc");
    }
    if head.starts_with(b"\x0b\x77") && head.len() > 5 {
        // The stream id distinguishes AC-3 (up to 10) from E-AC-3 (above).
        let (name, demuxer) = if head[5] >> 3 > 10 { ("E-AC-3", "eac3") } else { ("AC-3", "ac3") };
        return ffmpeg_format(name, demuxer);
    }
    if head.len() > 376 && [0, 188, 376].iter().all(|&at| head[at] == 0x47) {
        return ffmpeg_format("MPEG transport stream", "mpegts");
    }
    if matches!(
        tag(4),
        b"ftyp" | b"moov" | b"mdat" | b"free" | b"skip" | b"wide" | b"pnot" | b"styp" | b"moof" | b"sidx"
    ) && head[..4] != [0, 0, 0, 0]
    {
        return Some(Container::Stream(Format::Mp4));
    }
    None
}

/// Speex is the only codec in Ogg that is left to ffmpeg.
fn ogg(head: &[u8]) -> Container {
    let body = head.get(26).map_or(28, |&segments| 27 + usize::from(segments));
    if head.get(body..body + 8) == Some(b"Speex   ") {
        Container::FfmpegOnly(FfmpegFormat { name: "Speex", demuxer: "ogg" })
    } else {
        Container::Stream(Format::Ogg)
    }
}

/// Fields that must be equal in all frames, and the length of this one.
#[derive(Clone, Copy, PartialEq)]
struct Frame {
    format: Format,
    kind: u32,
    len: usize,
}

/// Length of a frame of MPEG audio (ISO/IEC 11172-3 and 13818-3, section 2.4) or ADTS (14496-3, 1.A.2.2).
fn frame(bytes: &[u8]) -> Option<Frame> {
    const KBPS: [[u32; 14]; 5] = [
        [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
        [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
        [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
        [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
        [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
    ];
    let header = u32::from_be_bytes(*bytes.first_chunk()?);
    if header >> 21 != 0x7ff {
        return None;
    }
    let (version, layer) = ((header >> 19) & 3, (header >> 17) & 3);
    if layer == 0 {
        let rate = (header >> 10) & 15;
        let len = (usize::from(*bytes.get(3)? & 3) << 11)
            | (usize::from(*bytes.get(4)?) << 3)
            | (usize::from(*bytes.get(5)?) >> 5);
        let valid = header >> 20 == 0xfff && rate < 13 && len > 7;
        return valid.then_some(Frame { format: Format::Adts, kind: header & 0xffff_fc00, len });
    }
    let (bitrate, rate) = ((header >> 12) & 15, (header >> 10) & 3);
    if version == 1 || rate == 3 || bitrate == 0 || bitrate == 15 {
        return None;
    }
    let hertz = [44_100, 48_000, 32_000][rate as usize]
        >> match version {
            3 => 0,
            2 => 1,
            _ => 2,
        };
    let first = version == 3;
    let row = match (first, layer) {
        (true, 3) => 0,
        (true, 2) => 1,
        (true, _) => 2,
        (false, 3) => 3,
        (false, _) => 4,
    };
    let bits = KBPS[row][bitrate as usize - 1] * 1000;
    let padding = (header >> 9) & 1;
    let len = match layer {
        3 => (12 * bits / hertz + padding) * 4,
        1 if !first => 72 * bits / hertz + padding,
        _ => 144 * bits / hertz + padding,
    };
    Some(Frame { format: Format::Mpeg, kind: header & 0xfffe_0c00, len: len as usize })
}

/// Version, layer, rate and whether it is mono, of a frame of MPEG audio, which a decoder cannot change during a stream.
pub(super) fn mpeg_kind(bytes: &[u8]) -> Option<(u32, bool)> {
    let frame = frame(bytes).filter(|frame| frame.format == Format::Mpeg)?;
    Some((frame.kind, bytes[3] >> 6 == 3))
}

/// Number of consecutive frames required for detection: fewer at the start of the file than after junk.
const CONFIRM_AT_START: usize = 2;
const CONFIRM: usize = 4;

fn find_frames(bytes: &[u8], whole: bool) -> Option<(Format, usize)> {
    (0..bytes.len().saturating_sub(6)).filter(|&at| bytes[at] == 0xff).find_map(|at| {
        let first = frame(&bytes[at..])?;
        let wanted = if at == 0 { CONFIRM_AT_START } else { CONFIRM };
        let (mut next, mut seen) = (at + first.len, 1);
        while seen < wanted {
            match bytes.get(next..).and_then(frame) {
                Some(frame) if (frame.format, frame.kind) == (first.format, first.kind) => next += frame.len,
                // A very short recording has too few frames to confirm.
                _ if whole && at == 0 && next >= bytes.len() => break,
                _ => return None,
            }
            seen += 1;
        }
        Some((first.format, at))
    })
}

/// GSM 06.10 has no header; each of its 33-byte frames begins with the bits 1101.
fn is_gsm(bytes: &[u8]) -> bool {
    bytes.len() >= 33 * 10 && bytes.chunks_exact(33).take(1000).all(|frame| frame[0] >> 4 == 0xd)
}

/// A description of content that is not audio, for the error message.
fn guess(bytes: &[u8]) -> &'static str {
    const PICTURES: [&[u8]; 4] = [b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM"];
    let text = &bytes[..bytes.len().min(512)];
    let start = text.trim_ascii_start();
    if bytes.iter().all(|&byte| byte == 0) {
        "the file holds nothing but zeros"
    } else if PICTURES.iter().any(|magic| bytes.starts_with(magic)) {
        "the file is a picture"
    } else if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"\x1f\x8b") {
        "the file is an archive; unpack it first"
    } else if bytes.starts_with(b"%PDF") {
        "the file is a PDF document"
    } else if start.starts_with(b"<") {
        "the file is a web page or XML, perhaps an error page saved in place of the audio"
    } else if start.starts_with(b"{") || start.starts_with(b"[") {
        "the file is JSON"
    } else if text.iter().all(|&byte| byte >= 0x20 || byte.is_ascii_whitespace()) {
        "the file is text"
    } else {
        "the content is in no audio format known here"
    }
}
