//! `mynah transcribe` and `mynah translate` on real speech.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Speech, must};
use serde_json::Value;
use tempfile::TempDir;

const SAID: &str = "ask not what your country can do for you";

#[track_caller]
fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

/// Runs a command that must succeed and say nothing beside its result.
#[track_caller]
fn result(command: &mut Command) -> String {
    let output = run(command);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && stderr.is_empty(), "{}: {stderr}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_file_becomes_its_text() {
    let speech = Speech::get();
    let text = result(speech.mynah().arg("transcribe").arg(&speech.recording));
    assert!(text.contains(SAID) && text.ends_with('\n') && text.lines().count() == 1, "{text:?}");
    let by_path = ["transcribe", "--language", "english", "--beam-size", "1", "--model-path"];
    let text = result(speech.mynah().args(by_path).arg(&speech.model).arg(&speech.recording));
    assert!(text.contains(SAID), "{text:?}");
    let text = result(speech.mynah().args(["translate", "--vad"]).arg(&speech.recording));
    assert!(text.contains(SAID), "{text:?}");
}

#[test]
fn standard_input_is_a_file_too() {
    let speech = Speech::get();
    let recording = fs::File::open(&speech.recording).unwrap();
    let output = speech.mynah().args(["transcribe", "-"]).stdin(recording).output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains(SAID));
}

#[test]
fn several_files_are_distinguished() {
    let speech = Speech::get();
    let folder = TempDir::new().unwrap();
    fs::copy(&speech.recording, folder.path().join("one.wav")).unwrap();
    fs::copy(&speech.recording, folder.path().join("two.wav")).unwrap();
    let files = ["one.wav", "missing.wav", "two.wav"];
    let output =
        run(speech.mynah().current_dir(&folder).args(["transcribe", "--format", "json"]).args(files));
    assert_eq!(output.status.code(), Some(1), "a file failed");
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("mynah: missing.wav: "));
    let lines: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.iter().map(|line| &line["file"]).collect::<Vec<_>>(), ["one.wav", "two.wav"]);
    assert!(lines.iter().all(|line| line["text"].as_str().unwrap().contains(SAID)));

    let text = result(speech.mynah().current_dir(&folder).args(["transcribe", "one.wav", "two.wav"]));
    assert!(text.lines().nth(1).unwrap().starts_with("two.wav: "), "{text}");
}

#[test]
fn words_have_times() {
    let speech = Speech::get();
    let options = ["transcribe", "--format", "verbose_json", "--word-timestamps"];
    let body: Value =
        serde_json::from_str(&result(speech.mynah().args(options).arg(&speech.recording))).unwrap();
    assert_eq!(body["language"], "english");
    let words = body["words"].as_array().unwrap();
    let country: Vec<f64> = words
        .iter()
        .filter(|word| word["word"] == "country")
        .map(|word| word["start"].as_f64().unwrap())
        .collect();
    assert_eq!(country.len(), 2, "{words:?}");
    assert!((5.5..7.5).contains(&country[0]) && (8.5..10.5).contains(&country[1]), "{country:?}");
}

#[test]
fn subtitles_go_to_a_folder() {
    let speech = Speech::get();
    let folder = TempDir::new().unwrap();
    let target = folder.path().join("new/subtitles");
    for format in ["srt", "vtt", "text"] {
        let options = ["transcribe", "--format", format, "--output-dir"];
        let shown = result(speech.mynah().args(options).arg(&target).arg(&speech.recording));
        assert_eq!(shown, "");
    }
    let read = |name: &str| fs::read_to_string(Path::new(&target).join(name)).unwrap();
    assert!(read("jfk.srt").starts_with("1\n00:00:0"));
    assert!(read("jfk.vtt").starts_with("WEBVTT\n\n00:00:0"));
    assert!(read("jfk.txt").contains(SAID));
    assert_eq!(fs::read_dir(&target).unwrap().count(), 3, "no temporary file is left");
}

#[test]
fn english_only_models_do_not_translate() {
    let speech = Speech::get();
    let output = run(speech.mynah().args(["translate", "--model", "whisper-tiny.en"]).arg(&speech.recording));
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("translations"));
}

#[test]
fn an_interrupted_job_stops() {
    let speech = Speech::get();
    let folder = TempDir::new().unwrap();
    let long = folder.path().join("long.wav");
    fs::write(&long, repeated(&fs::read(&speech.recording).unwrap(), 60)).unwrap();
    let child = speech.mynah().arg("transcribe").arg(&long).stdout(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let signalled = Instant::now();
    must(Command::new("kill").args(["-INT", &child.id().to_string()]));
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(output.stdout.is_empty());
    assert!(signalled.elapsed() < Duration::from_secs(20), "it went on for {:?}", signalled.elapsed());
}

/// The sound of a wave file several times over.
fn repeated(wave: &[u8], times: u32) -> Vec<u8> {
    let data = wave.windows(4).position(|id| id == b"data").unwrap();
    let samples = &wave[data + 8..];
    let bytes = samples.len() as u32 * times;
    // RIFF head and format chunk, as they are in the original.
    let mut long = wave[..36].to_vec();
    long[4..8].copy_from_slice(&(36 + bytes).to_le_bytes());
    long.extend_from_slice(b"data");
    long.extend_from_slice(&bytes.to_le_bytes());
    for _ in 0..times {
        long.extend_from_slice(samples);
    }
    long
}
