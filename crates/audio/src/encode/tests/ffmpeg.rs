//! Decodes every format with FFmpeg, which most players use.

use std::io::Write as _;
use std::ops::RangeInclusive;
use std::process::{Command, Stdio};

use tempfile::NamedTempFile;

use super::signal::{lag, resampled, snr_db, speech};
use crate::encode::{EncodeOptions, Encoder, MPEG_RATES_HZ, OutputFormat, coded_rate, encode};

const INPUT_HZ: u32 = 24_000;

/// Runs a program of the FFmpeg suite with `input` on its standard input; any output on standard error is a failure.
fn run(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(["-v", "error"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program} must be installed for these tests: {error}"));
    let mut stdin = child.stdin.take().expect("it is piped");
    let output = std::thread::scope(|scope| {
        // The program may close its input early; missing data shows in its output.
        scope.spawn(move || stdin.write_all(input).ok());
        child.wait_with_output().expect("its output can be read")
    });
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{program} {arguments:?}: {complaints}");
    output.stdout
}

/// The arguments for an input: raw samples need their format.
fn input_arguments(format: OutputFormat, rate_hz: u32, source: &str) -> Vec<String> {
    let output = if format == OutputFormat::Pcm {
        vec!["-f".to_owned(), "s16le".to_owned(), "-ar".to_owned(), rate_hz.to_string()]
    } else {
        Vec::new()
    };
    [output, vec!["-i".to_owned(), source.to_owned()]].concat()
}

/// A file of the bytes, with the format's extension.
fn written(format: OutputFormat, bytes: &[u8]) -> NamedTempFile {
    let suffix = format!(".{}", format.extension());
    let mut file = tempfile::Builder::new().suffix(&suffix).tempfile().expect("a temporary file");
    file.write_all(bytes).expect("it can be written");
    file
}

fn path(file: &NamedTempFile) -> &str {
    file.path().to_str().expect("a plain path")
}

/// Decodes a finished file, or a stream through a pipe, at its own rate.
fn decoded(format: OutputFormat, rate_hz: u32, bytes: &[u8], piped: bool) -> Vec<f32> {
    let file = written(format, bytes);
    let arguments = input_arguments(format, rate_hz, if piped { "-" } else { path(&file) });
    let mut arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    arguments.extend(["-f", "f32le", "-"]);
    let raw = run("ffmpeg", &arguments, if piped { bytes } else { &[] });
    raw.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

/// The rate that FFmpeg reports for a format encoded at `rate_hz`.
fn played_rate(format: OutputFormat, rate_hz: u32) -> u32 {
    if format == OutputFormat::Opus { 48_000 } else { rate_hz }
}

fn streamed(format: OutputFormat, samples: &[f32], options: &EncodeOptions) -> Vec<u8> {
    let mut encoder = Encoder::new(format, INPUT_HZ, options).expect("the rate is one of the format's");
    let mut bytes = Vec::new();
    samples.chunks(4_000).for_each(|piece| encoder.push(piece, &mut bytes).expect("it encodes"));
    encoder.finish(&mut bytes).expect("it ends");
    bytes
}

/// Expected quality of a format at its default bitrate.
struct Promise {
    /// Maximum delay of the start, in samples at the played rate.
    lag: RangeInclusive<isize>,
    /// Maximum excess length, seconds.
    tail_s: f64,
    /// Minimum signal-to-noise ratio in decibels.
    snr_db: f64,
}

impl Promise {
    fn of(format: OutputFormat, rate_hz: u32, finished: bool) -> Self {
        /// Samples per AAC frame.
        const AAC_FRAME: isize = 1024;
        match format {
            // Rounding to 16 bit leaves noise 101 dB under full scale; the signal is 19 dB below that.
            OutputFormat::Wav | OutputFormat::Pcm | OutputFormat::Flac => {
                Self { lag: 0..=0, tail_s: 0.0, snr_db: 80.0 }
            }
            // The tag of a finished file gives the length; a stream ends with its last frame. Four bits per sample
            // and more reach 28 dB and up here; the encoder hides noise where it is masked, not where it is least.
            OutputFormat::Mp3 => {
                let frame_s = 576.0 / f64::from(rate_hz);
                Self { lag: 0..=0, tail_s: if finished { 0.0 } else { frame_s.max(0.05) }, snr_db: 27.0 }
            }
            // Half the bits of mp3, noise in place of what only sounds like noise, and in the low bands a model of the
            // voice instead of its wave; its decoder runs at the coded rate and comes a few samples late to 48 kHz.
            OutputFormat::Opus => Self { lag: 0..=8, tail_s: 0.0, snr_db: 18.0 },
            // ADTS cannot store a length: a frame of delay before, and up to a frame of silence after it.
            OutputFormat::Aac => {
                let frame_s = AAC_FRAME as f64 / f64::from(rate_hz);
                Self { lag: AAC_FRAME..=AAC_FRAME, tail_s: frame_s.max(0.05), snr_db: 22.0 }
            }
        }
    }
}

#[test]
fn ffmpeg_decodes_every_format_at_every_rate() {
    let source = speech(2.1);
    for format in OutputFormat::ALL {
        for rate_hz in MPEG_RATES_HZ {
            let options = EncodeOptions { sample_rate_hz: Some(rate_hz), bitrate_bps: None };
            let coded_hz = coded_rate(format, rate_hz).expect("all formats take these rates");
            let played_hz = played_rate(format, coded_hz);
            let original = resampled(&resampled(&source, INPUT_HZ, coded_hz), coded_hz, played_hz);
            let streamed_too = [8_000, 24_000, 48_000].contains(&rate_hz);
            for finished in [true, false].into_iter().take(if streamed_too { 2 } else { 1 }) {
                let bytes = if finished {
                    encode(format, &source, INPUT_HZ, &options).expect("it encodes")
                } else {
                    streamed(format, &source, &options)
                };
                let decoded = decoded(format, coded_hz, &bytes, !finished);
                let lag = lag(&original, &decoded, 1200);
                let tail_s =
                    (decoded.len() as f64 - lag as f64 - original.len() as f64) / f64::from(played_hz);
                let snr_db = snr_db(&original, &decoded[lag.max(0) as usize..]);
                let found =
                    format!("{format} at {rate_hz} Hz: lag {lag}, tail {tail_s:.3} s, {snr_db:.1} dB");
                let promise = Promise::of(format, coded_hz, finished);
                assert!(promise.lag.contains(&lag), "{found}");
                assert!((-0.001..=promise.tail_s + 0.001).contains(&tail_s), "{found}");
                assert!(snr_db >= promise.snr_db, "{found}");
            }
        }
    }
}

#[test]
fn ffprobe_reads_the_headers() {
    let source = speech(1.0);
    for format in OutputFormat::ALL {
        for rate_hz in [16_000, 24_000, 44_100] {
            let options = EncodeOptions { sample_rate_hz: Some(rate_hz), bitrate_bps: None };
            let bytes = encode(format, &source, INPUT_HZ, &options).expect("it encodes");
            let file = written(format, &bytes);
            let mut arguments = input_arguments(format, rate_hz, path(&file));
            let shown =
                ["-show_entries", "stream=codec_name,sample_rate,channels,duration:format=format_name"];
            arguments
                .extend(shown.iter().chain(&["-of", "default=noprint_wrappers=1"]).map(ToString::to_string));
            let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
            let output = String::from_utf8(run("ffprobe", &arguments, &[])).expect("plain text");
            let entry =
                |name: &str| output.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            let (codec, container) = match format {
                OutputFormat::Mp3 => ("mp3", "mp3"),
                OutputFormat::Opus => ("opus", "ogg"),
                OutputFormat::Aac => ("aac", "aac"),
                OutputFormat::Flac => ("flac", "flac"),
                OutputFormat::Wav => ("pcm_s16le", "wav"),
                OutputFormat::Pcm => ("pcm_s16le", "s16le"),
            };
            assert_eq!(entry("codec_name"), Some(codec), "{format} at {rate_hz} Hz");
            assert_eq!(entry("format_name"), Some(container), "{format} at {rate_hz} Hz");
            assert_eq!(entry("sample_rate"), Some(&*played_rate(format, rate_hz).to_string()), "{format}");
            assert_eq!(entry("channels"), Some("1"), "{format} at {rate_hz} Hz");
            // The length of mp3, opus and aac includes the delay; that of aac is estimated from its size.
            let duration_s: f64 = entry("duration").and_then(|value| value.parse().ok()).expect("a duration");
            assert!((0.99..1.2).contains(&duration_s), "{format} at {rate_hz} Hz: {duration_s} s");
        }
    }
}
