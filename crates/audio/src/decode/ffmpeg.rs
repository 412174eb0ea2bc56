//! Fallback for rare formats: the `ffmpeg` program, if it is installed.
//!
//! It gets a copy of the bytes in a temporary file, the demuxer chosen by [`super::sniff`] (so that
//! no playlist or script format is accepted), no network protocols, and limits on memory, time and length; it writes
//! samples to a pipe. It is killed when the caller cancels or when it stops producing output.

use std::io::{self, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use super::format::Format;
use super::sink::{Shape, Sink};
use super::sniff::{self, Container};
use super::source::Section;
use super::{DecodeError, DecodeHooks, DecodeLimits, DetectedFormat};

/// Without new samples for this long it is considered hung.
const OUTPUT_TIMEOUT: Duration = Duration::from_secs(30);
/// Interval of checks for cancellation.
const TICK: Duration = Duration::from_millis(50);
const BLOCK: usize = 1 << 16;

/// Decodes a format that this crate does not support; `what` describes it.
pub(super) fn decode(
    source: &Section,
    what: &str,
    limits: &DecodeLimits,
    hooks: &dyn DecodeHooks,
    sink: &mut Sink<'_>,
) -> Result<DetectedFormat, DecodeError> {
    let (container, start) = sniff::sniff(source)?;
    let Some((name, demuxer)) = known(&container) else { return Err(DecodeError::unsupported(what)) };
    if !installed() {
        return Err(DecodeError::unsupported(format!(
            "{what} is only supported if the ffmpeg program is installed"
        )));
    }
    let mut copy = tempfile::NamedTempFile::new()?;
    io::copy(&mut source.section(start, u64::MAX), &mut copy)?;
    copy.flush()?;
    let mut input = std::ffi::OsString::from("file:");
    input.push(copy.path());
    let child = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-loglevel", "quiet", "-max_alloc", "268435456", "-threads", "1"])
        .args(["-protocol_whitelist", "file,pipe", "-f", demuxer, "-i"])
        .arg(input)
        .args(["-map", "0:a:0", "-vn", "-sn", "-dn", "-map_metadata", "-1"])
        .args(["-t", &format!("{:.3}", limits.max_duration_s + 1.0)])
        .args(["-c:a", "pcm_f32be", "-f", "au", "pipe:1"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    receive(Killed(child), hooks, sink)
        .map(|()| DetectedFormat { container: name, codec: "decoded by ffmpeg" })
        .map_err(|error| match error {
            DecodeError::Malformed { .. } if sink.is_empty() => {
                DecodeError::unsupported(format!("{what} (the ffmpeg program found no audio in it either)"))
            }
            error => error,
        })
}

fn known(container: &Container) -> Option<(&'static str, &'static str)> {
    match container {
        Container::Wav => Some(("wav", "wav")),
        Container::Aiff => Some(("aiff", "aiff")),
        Container::Au => Some(("au", "au")),
        Container::FfmpegOnly(ffmpeg_format) => Some((ffmpeg_format.name, ffmpeg_format.demuxer)),
        Container::Caf => Some(("caf", "caf")),
        Container::Flac => Some(("flac", "flac")),
        Container::Stream(format) => {
            let demuxer = match format {
                Format::Adts => "aac",
                Format::Caf => "caf",
                Format::Matroska => "matroska",
                Format::Mp4 => "mov",
                Format::Mpeg => "mp3",
                Format::Ogg => "ogg",
            };
            Some((format.name(), demuxer))
        }
        Container::Unknown(_) => None,
    }
}

fn installed() -> bool {
    let version = Command::new("ffmpeg")
        .arg("-version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    version.is_ok_and(|status| status.success())
}

/// A child process that is killed when dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // An error means that it has already ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn receive(mut child: Killed, hooks: &dyn DecodeHooks, sink: &mut Sink<'_>) -> Result<(), DecodeError> {
    let broken = |detail: &str| DecodeError::malformed("ffmpeg", detail);
    let mut pipe = child.0.stdout.take().ok_or_else(|| broken("it has no output"))?;
    let (sender, blocks) = sync_channel::<io::Result<Vec<u8>>>(4);
    // A blocking read from the pipe cannot be interrupted, a receive can. The thread ends with the child or the receiver.
    let reader = std::thread::spawn(move || {
        loop {
            let mut block = Vec::with_capacity(BLOCK);
            let outcome = pipe.by_ref().take(BLOCK as u64).read_to_end(&mut block);
            let last = block.is_empty() || outcome.is_err();
            if sender.send(outcome.map(|_| block)).is_err() || last {
                break;
            }
        }
    });
    let outcome = (|| {
        let (mut bytes, mut shape, mut samples) = (Vec::new(), None, Vec::new());
        let mut detected = Instant::now();
        loop {
            let block = match blocks.recv_timeout(TICK) {
                Ok(block) => block?,
                Err(RecvTimeoutError::Timeout) if hooks.is_cancelled() => return Err(DecodeError::Cancelled),
                Err(RecvTimeoutError::Timeout) if detected.elapsed() > OUTPUT_TIMEOUT => {
                    return Err(broken("it stopped producing output"));
                }
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if block.is_empty() {
                break;
            }
            detected = Instant::now();
            bytes.extend_from_slice(&block);
            if shape.is_none() {
                shape = header(&mut bytes);
            }
            let Some(shape) = &shape else { continue };
            let unit = 4 * shape.channels.count();
            let whole = bytes.len() / unit * unit;
            samples.clear();
            samples.extend(bytes[..whole].as_chunks().0.iter().map(|&raw| f32::from_be_bytes(raw)));
            bytes.drain(..whole);
            sink.push(&samples, shape)?;
        }
        if sink.is_empty() { Err(broken("it produced no audio")) } else { Ok(()) }
    })();
    drop(blocks);
    drop(child);
    // The pipe is already closed, so this does not block.
    let _ = reader.join();
    outcome
}

/// Removes the au header once it is complete.
fn header(bytes: &mut Vec<u8>) -> Option<Shape> {
    let word = |at: usize| bytes.get(at..)?.first_chunk().map(|&raw| u32::from_be_bytes(raw));
    let (offset, rate, channels) = (word(4)? as usize, word(16)?, word(20)?);
    if bytes.len() < offset || channels == 0 {
        return None;
    }
    bytes.drain(..offset);
    Some(Shape::plain(rate, channels as usize))
}
