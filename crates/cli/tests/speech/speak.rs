//! `mynah speak` with the built-in voice; FFmpeg and the program's own ears judge what it says.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Speech, must};
use serde_json::Value;
use tempfile::TempDir;

const TEXT: &str = "The old lighthouse keeper climbed the stairs every evening, and lit the lamp before dusk. \
                    Nobody knows why the river turned green last summer.";

/// Runs `mynah speak` in a folder; it must succeed and say nothing.
#[track_caller]
fn speak(speech: &Speech, folder: &TempDir, arguments: &[&str]) {
    let output = run(speech, folder, arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && stderr.is_empty(), "{arguments:?} {}: {stderr}", output.status);
}

fn run(speech: &Speech, folder: &TempDir, arguments: &[&str]) -> Output {
    speech.mynah().current_dir(folder).arg("speak").args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// What FFmpeg transcribes in a file: mono at 24 kHz.
fn transcribed(file: &Path, input: &[&str]) -> Vec<f32> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg
        .args(["-v", "error"])
        .args(input)
        .arg("-i")
        .arg(file)
        .args(["-ac", "1", "-ar", "24000", "-f", "f32le", "-"]);
    let output = ffmpeg.output().expect("these tests need ffmpeg");
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

/// By how much `decoded` comes late, and signal to noise from there on.
fn likeness(original: &[f32], decoded: &[f32]) -> (usize, f64) {
    let score = |lag: usize| -> f64 {
        original.iter().zip(&decoded[lag..]).take(60_000).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    let lag = (0..3000).max_by(|&a, &b| score(a).total_cmp(&score(b))).unwrap();
    let (mut signal, mut noise) = (0.0, 1e-12);
    for (&a, &b) in original.iter().zip(&decoded[lag..]) {
        signal += f64::from(a).powi(2);
        noise += f64::from(a - b).powi(2);
    }
    (lag, 10.0 * (signal / noise).log10())
}

#[test]
fn every_format_plays_and_is_as_long_and_as_true_as_it_should() {
    let speech = Speech::get();
    let folder = TempDir::new().unwrap();
    speak(speech, &folder, &[TEXT, "-o", "speech.wav"]);
    let original = transcribed(&folder.path().join("speech.wav"), &[]);
    assert!((7.0..14.0).contains(&(original.len() as f64 / 24_000.0)));
    for (name, codec, rate, snr_db) in [
        ("speech.wav", "pcm_s16le", "24000", 60.0),
        ("speech.flac", "flac", "24000", 60.0),
        ("speech.mp3", "mp3", "24000", 20.0),
        ("speech.opus", "opus", "48000", 10.0),
        ("speech.aac", "aac", "24000", 15.0),
        ("speech.pcm", "pcm_s16le", "24000", 60.0),
    ] {
        speak(speech, &folder, &[TEXT, "-o", name]);
        let file = folder.path().join(name);
        let bare = name.ends_with("pcm");
        let input: &[&str] = if bare { &["-f", "s16le", "-ar", "24000"] } else { &[] };
        let show =
            ["-v", "error", "-show_entries", "stream=codec_name,sample_rate,channels", "-of", "csv=p=0"];
        let reported = must(Command::new("ffprobe").args(show).args(input).arg(&file));
        assert_eq!(reported.trim(), format!("{codec},{rate},1"), "{name}");
        let decoded = transcribed(&file, input);
        let (lag, snr) = likeness(&original, &decoded);
        let late_s = (decoded.len() - lag).abs_diff(original.len()) as f64 / 24_000.0;
        assert!(late_s <= 0.05, "{name} is {late_s} s off");
        assert!(snr >= snr_db, "{name}: {snr:.1} dB");
    }
    speak(speech, &folder, &[TEXT, "-o", "phone.wav", "--sample-rate", "8000"]);
    let phone = transcribed(&folder.path().join("phone.wav"), &[]);
    assert!(phone.len().abs_diff(original.len()) < 1200);
}

#[test]
fn what_it_says_it_understands() {
    let speech = Speech::get();
    let folder = TempDir::new().unwrap();
    speak(speech, &folder, &[TEXT, "-o", "speech.ogg"]);
    let text = must(speech.mynah().current_dir(&folder).args(["transcribe", "speech.ogg"]));
    let plain = |text: &str| -> String {
        text.to_lowercase().chars().filter(|c| c.is_alphanumeric() || *c == ' ').collect()
    };
    assert_eq!(plain(text.trim()), plain(TEXT));
}

#[test]
fn text_comes_from_anywhere_and_audio_goes_anywhere() {
    let speech = Speech::get();
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("text.txt"), TEXT).unwrap();
    speak(speech, &folder, &[TEXT, "-o", "argument.wav"]);
    speak(speech, &folder, &["--input-file", "text.txt", "-o", "file.wav"]);
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
    assert_eq!(read("argument.wav"), read("file.wav"));

    let mut child = speech
        .mynah()
        .args(["speak", "-", "-o", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(TEXT.as_bytes()).unwrap();
    let piped = child.wait_with_output().unwrap();
    assert!(piped.status.success());
    assert_eq!(piped.stdout[44..], read("argument.wav")[44..], "the same but for the length in the header");
    assert_eq!(piped.stdout[40..44], [0xff; 4]);

    speak(speech, &folder, &[TEXT, "-o", "fast.wav", "--speed", "2", "--voice", "heart"]);
    let ratio = read("fast.wav").len() as f64 / read("file.wav").len() as f64;
    assert!((0.4..0.7).contains(&ratio), "{ratio}");
    speak(speech, &folder, &[TEXT, "-o", "other.wav", "--seed", "5"]);
    assert!(read("other.wav") != read("file.wav") && read("other.wav").len() == read("file.wav").len());
    speak(speech, &folder, &[TEXT, "-o", "/dev/null", "--format", "mp3"]);
    assert!(!fs::metadata("/dev/null").unwrap().is_file(), "a device stays a device");
}

#[test]
fn words_stand_beside_the_audio() {
    let speech = Speech::get();
    let folder = TempDir::new().unwrap();
    for format in ["json", "srt", "vtt"] {
        speak(speech, &folder, &[TEXT, "-o", "speech.mp3", "--words", format]);
    }
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let body: Value = serde_json::from_str(&read("speech.json")).unwrap();
    assert_eq!(body["text"], TEXT);
    let words = body["words"].as_array().unwrap();
    assert_eq!(words.len(), TEXT.split_whitespace().count());
    assert_eq!(words[3]["word"], "keeper");
    assert!(words.windows(2).all(|pair| pair[0]["end"].as_f64() <= pair[1]["start"].as_f64()));
    assert!(words.last().unwrap()["end"].as_f64() < body["duration"].as_f64());
    assert!(read("speech.vtt").starts_with("WEBVTT\n\n00:00:00."));
    let srt = read("speech.srt");
    let lines: Vec<&str> = srt
        .lines()
        .filter(|line| !line.is_empty() && !line.contains("-->") && line.parse::<u32>().is_err())
        .collect();
    assert_eq!(lines.join(" "), TEXT, "the cues hold the text with its punctuation");

    // The times are those at which another transcribes the words.
    let options = ["transcribe", "--format", "verbose_json", "--word-timestamps", "speech.mp3"];
    let transcribed: Value =
        serde_json::from_str(&must(speech.mynah().current_dir(&folder).args(options))).unwrap();
    for word in ["lighthouse", "stairs", "river"] {
        let start = |words: &Value| {
            let found = words.as_array().unwrap().iter().find(|entry| entry["word"] == word);
            found.unwrap_or_else(|| panic!("{word} in {words}"))["start"].as_f64().unwrap()
        };
        let (said, transcribed) = (start(&body["words"]), start(&transcribed["words"]));
        assert!((said - transcribed).abs() < 0.4, "{word} at {said} s is transcribed at {transcribed} s");
    }
}

#[test]
fn what_cannot_be_said_fails_and_leaves_no_file() {
    let speech = Speech::get();
    let folder = TempDir::new().unwrap();
    for (text, code, reason) in [("Привет", 1, "Cyrillic"), ("...", 1, "no words")] {
        let output = run(speech, &folder, &[text, "-o", "a.wav"]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(stderr.contains(reason), "{stderr}");
    }
    let output = run(speech, &folder, &["Hi.", "-o", "a.wav", "--instructions", "sadly"]);
    assert_eq!(output.status.code(), Some(2));
    let output = run(speech, &folder, &["Hi.", "-o", "missing/a.wav"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn a_book_chapter_takes_no_more_memory_than_a_sentence() {
    let speech = Speech::get();
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("chapter.txt"), format!("{TEXT}\n\n").repeat(360)).unwrap();
    fs::write(folder.path().join("paragraph.txt"), format!("{TEXT}\n\n").repeat(4)).unwrap();
    assert!(fs::metadata(folder.path().join("chapter.txt")).unwrap().len() > 50_000);
    let peak = |file: &str, output: &str| {
        let mut child = speech
            .mynah()
            .current_dir(&folder)
            .args(["speak", "--speed", "4", "--input-file", file, "-o", output])
            .spawn()
            .unwrap();
        let status = format!("/proc/{}/status", child.id());
        let mut peak_kb = 0;
        while child.try_wait().unwrap().is_none() {
            let reported = fs::read_to_string(&status).unwrap_or_default();
            let high = reported.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            peak_kb = high.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(peak_kb);
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(child.wait().unwrap().success());
        peak_kb
    };
    let short_kb: u64 = peak("paragraph.txt", "paragraph.mp3");
    let long_kb: u64 = peak("chapter.txt", "chapter.mp3");
    assert!(short_kb > 10_000, "{short_kb} kB is no measurement");
    assert!(long_kb < short_kb + 24_000, "{long_kb} kB after {short_kb} kB");
    let seconds = transcribed(&folder.path().join("chapter.mp3"), &[]).len() as f64 / 24_000.0;
    assert!(seconds > 600.0, "{seconds} s");
}

#[test]
fn an_interrupted_speech_stops_and_leaves_no_file() {
    let speech = Speech::get();
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("book.txt"), format!("{TEXT}\n\n").repeat(5000)).unwrap();
    let child = speech
        .mynah()
        .current_dir(&folder)
        .args(["speak", "--input-file", "book.txt", "-o", "book.wav"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let signalled = Instant::now();
    must(Command::new("kill").args(["-INT", &child.id().to_string()]));
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(signalled.elapsed() < Duration::from_secs(20), "it went on for {:?}", signalled.elapsed());
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "the text alone is left");
}
