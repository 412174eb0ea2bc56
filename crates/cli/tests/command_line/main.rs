//! The program as scripts see it: what goes where, and how it exits. Nothing here needs real weights or a network.

mod client;
mod faults;
mod live;
mod scripted;
mod serve;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use assert_cmd::assert::OutputAssertExt;
use serde_json::Value;
use tempfile::TempDir;

/// The program with an empty store and no network.
fn mynah(home: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mynah"));
    for name in [
        "MYNAH_MODEL",
        "MYNAH_SPEECH_MODEL",
        "MYNAH_API_KEY",
        "MYNAH_HOST",
        "MYNAH_PORT",
        "MYNAH_LOG",
        "XINFERENCE_ENDPOINT",
        "XINFERENCE_HOME",
        "HF_HOME",
    ] {
        command.env_remove(name);
    }
    command.env("HOME", home.path()).env("MYNAH_HOME", home.path().join("mynah")).env("HF_HUB_OFFLINE", "1");
    command.current_dir(home.path());
    command
}

fn run(home: &TempDir, arguments: &[&str]) -> Output {
    mynah(home).args(arguments).output().unwrap()
}

/// Runs a command that must fail with `code`, say `text` on standard error and nothing on standard output.
#[track_caller]
fn fails(arguments: &[&str], code: i32, text: &str) {
    let home = TempDir::new().unwrap();
    let output = run(&home, arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    assert!(stderr.contains(text), "{arguments:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{arguments:?} wrote a result");
}

#[test]
fn every_command_explains_itself_with_an_example() {
    let home = TempDir::new().unwrap();
    for command in [
        "transcribe",
        "translate",
        "speak",
        "serve",
        "models",
        "pull",
        "rm",
        "launch",
        "list",
        "terminate",
        "registrations",
        "register",
        "unregister",
        "cached",
        "remove-cache",
        "engine",
        "login",
        "stop-cluster",
        "keys",
        "keys add",
        "users",
        "users add",
        "completions",
        "man",
    ] {
        let words: Vec<_> = command.split(' ').chain(["--help"]).collect();
        let output = run(&home, &words);
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("Example") && text.contains(&format!("mynah {command}")), "{text}");
    }
    let text = String::from_utf8(run(&home, &["--help"]).stdout).unwrap();
    assert!(text.contains("Exit codes:") && text.contains("MYNAH_HOME"), "{text}");
    assert!(run(&home, &["--version"]).stdout.starts_with(b"mynah 0."));
}

#[test]
fn completions_list_commands_and_options() {
    let home = TempDir::new().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = String::from_utf8(run(&home, &["completions", shell]).stdout).unwrap();
        assert!(script.contains("remove-cache") && script.contains("print-config"), "{shell}: {script}");
    }
}

#[test]
fn there_is_a_manual_page_of_every_command() {
    let home = TempDir::new().unwrap();
    let page = String::from_utf8(run(&home, &["man"]).stdout).unwrap();
    assert!(page.contains(".TH mynah 1") && page.contains("MYNAH_HOME"), "{page}");
    let folder = home.path().join("man1");
    assert!(run(&home, &["man", "--output-dir", folder.to_str().unwrap()]).status.success());
    let serve = std::fs::read_to_string(folder.join("mynah-serve.1")).unwrap();
    assert!(serve.contains("print\\-config"), "{serve}");
    assert!(folder.join("mynah-keys-add.1").is_file() && folder.join("mynah.1").is_file());
}

#[test]
fn wrong_usage_is_exit_code_2() {
    for arguments in [
        &[][..],
        &["transcribe"],
        &["transcribe", "a.wav", "--format", "xml"],
        &["transcribe", "a.wav", "--temperature", "2"],
        &["transcribe", "a.wav", "--beam-size", "0"],
        &["transcribe", "a.wav", "--compute", "f64"],
        &["transcribe", "a.wav", "--vad-threshold", "0.5"],
        &["transcribe", "a.wav", "--model", "x", "--model-path", "y"],
        &["speak", "Hi."],
        &["speak", "-o", "a.wav"],
        &["speak", "Hi.", "-o", "a.wav", "--speed", "5"],
        &["speak", "Hi.", "-o", "a.wav", "--format", "m4b"],
        &["speak", "Hi.", "-o", "a.wav", "--sample-rate", "4000"],
        &["speak", "Hi.", "-o", "a.wav", "--input-file", "b.txt"],
        &["serve", "--port", "99999"],
        &["pull"],
        &["frobnicate"],
    ] {
        let home = TempDir::new().unwrap();
        run(&home, arguments).assert().code(2);
    }
    fails(&["transcribe", "a.wav", "--language", "klingon"], 2, "--language list");
    fails(&["transcribe", "-", "-"], 2, "once");
    fails(&["transcribe", "a.wav", "--word-timestamps"], 2, "verbose_json");
    fails(&["transcribe", "a.wav", "b.wav", "--format", "srt"], 2, "--output-dir");
    fails(&["transcribe", "x/a.wav", "y/a.mp3", "--output-dir", "out"], 2, "would both go to out/a.txt");
    fails(&["serve", "--config", "missing.toml"], 2, "missing.toml");
    fails(&["speak", "Hi.", "-o", "a.doc"], 2, "wav, pcm");
    fails(&["speak", "Hi.", "-o", "-", "--words", "srt"], 2, "next to the audio");
    fails(&["speak", "Hi.", "-o", "a.wav", "--voice", "unknown"], 2, "heart, emma, fenrir, fable, kore");
}

#[test]
fn models_that_cannot_be_had_are_exit_code_3() {
    fails(&["transcribe", "a.wav", "--model", "whisper-bse"], 3, "did you mean whisper-base");
    fails(&["pull", "nope"], 3, "unknown model");
    fails(&["pull", "whisper-tiny"], 3, "HF_HUB_OFFLINE");
    fails(&["serve", "--model-path", "nowhere"], 3, "nowhere");
    fails(&["speak", "Hi.", "-o", "a.wav"], 3, "HF_HUB_OFFLINE");
    fails(&["speak", "Hi.", "-o", "a.wav", "--model", "whisper-base"], 3, "hibari");
    fails(&["speak", "Hi.", "-o", "a.wav", "--model-path", "nowhere"], 3, "nowhere");
}

#[test]
fn a_known_model_that_is_not_there_stops_at_the_first_file() {
    let home = TempDir::new().unwrap();
    std::fs::write(home.path().join("a.wav"), silence()).unwrap();
    let output = run(&home, &["transcribe", "a.wav", "a.wav", "--model", "whisper-tiny"]);
    output.assert().code(3).stdout("");
}

#[test]
fn files_that_fail_are_named_and_exit_code_1() {
    let home = TempDir::new().unwrap();
    std::fs::write(home.path().join("noise.mp3"), "no audio at all").unwrap();
    let output = run(&home, &["transcribe", "missing.wav", "noise.mp3", "."]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    for name in ["missing.wav: ", "noise.mp3: ", ".: "] {
        assert!(stderr.lines().any(|line| line.starts_with(&format!("mynah: {name}"))), "{stderr}");
    }
}

#[test]
fn models_are_listed_for_people_and_for_programs() {
    let home = TempDir::new().unwrap();
    let table = String::from_utf8(run(&home, &["models"]).stdout).unwrap();
    let mut lines = table.lines();
    let head: Vec<_> =
        lines.next().unwrap().split("  ").filter(|cell| !cell.is_empty()).map(str::trim).collect();
    assert_eq!(head, ["NAME", "PARAMETERS", "LANGUAGES", "ON DISK", "LICENCE"]);
    assert!(lines.any(|line| line.starts_with("whisper-base ") && line.contains("74 M")), "{table}");

    let rows: Vec<Value> = serde_json::from_slice(&run(&home, &["models", "--json"]).stdout).unwrap();
    let base = rows.iter().find(|row| row["name"] == "whisper-base").unwrap();
    assert_eq!((&base["on_disk"], &base["multilingual"]), (&Value::Bool(false), &Value::Bool(true)));
}

#[test]
fn deleting_what_is_not_there_fails() {
    fails(&["rm", "whisper-base"], 1, "whisper-base is not on this disk");
    fails(&["rm", "nope"], 1, "unknown model");
}

#[test]
fn languages_can_be_listed() {
    let home = TempDir::new().unwrap();
    let text = String::from_utf8(run(&home, &["transcribe", "--language", "list", "-"]).stdout).unwrap();
    assert!(text.lines().any(|line| line == "en\tenglish") && text.lines().count() >= 99, "{text}");
}

#[test]
fn voices_can_be_listed() {
    let home = TempDir::new().unwrap();
    let text = String::from_utf8(run(&home, &["speak", "--list-voices"]).stdout).unwrap();
    let first: Vec<_> = text.lines().next().unwrap().split('\t').collect();
    assert_eq!(first[..3], ["heart", "en-US", "female"]);
    assert!(first[3].contains("alloy") && text.lines().count() == 5, "{text}");
}

#[test]
fn a_reader_that_has_enough_is_no_failure() {
    let home = TempDir::new().unwrap();
    let mut child = mynah(&home)
        .args(["models", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn the_server_prints_its_address_and_stops_on_a_signal() {
    let home = TempDir::new().unwrap();
    let config = home.path().join("mynah.toml");
    std::fs::write(&config, "port = 1\napi_keys = [\"sk-file\"]\n[limits]\nshutdown_timeout_s = 1.5\n")
        .unwrap();
    let mut child = mynah(&home)
        .args(["serve", "--port", "0", "--config"])
        .arg(&config)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let address =
        line.trim_end().strip_prefix(concat!("Mynah ", env!("CARGO_PKG_VERSION"), " listening on http://"));
    let address = address.unwrap_or_else(|| panic!("{line:?}")).to_owned();

    assert!(get(&address, "/health", "").starts_with("HTTP/1.1 200 "));
    assert!(get(&address, "/v1/models", "").starts_with("HTTP/1.1 401 "));
    assert!(get(&address, "/v1/models", "Authorization: Bearer sk-file\r\n").starts_with("HTTP/1.1 200 "));

    Command::new("kill").args(["-TERM", &child.id().to_string()]).assert().success();
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), rest.as_str()), (Some(0), ""));
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        log.lines().filter(|line| line.contains("/v1/models")).count(),
        2,
        "one line a request: {log}"
    );
    assert!(!log.contains("sk-file"), "{log}");
}

#[test]
fn a_settings_file_with_a_slip_is_refused() {
    let home = TempDir::new().unwrap();
    for (text, complaint) in [
        ("prot = 1", "prot"),
        ("port = \"x\"", "port"),
        ("compute = \"f64\"", "compute"),
        ("[limits]\nrequest_time = -1", "-1"),
        ("api_keys = [\"\"]", "empty"),
    ] {
        std::fs::write(home.path().join("mynah.toml"), text).unwrap();
        let output = run(&home, &["serve", "--port", "0", "--config", "mynah.toml"]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}: {stderr}");
        assert!(stderr.contains(complaint), "{text}: {stderr}");
    }
}

#[test]
fn a_port_in_use_is_reported() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    fails(&["serve", "--port", &port], 1, "cannot listen on 127.0.0.1:");
}

fn get(address: &str, path: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n{headers}Connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A tenth of a second of silence as a wave file.
fn silence() -> Vec<u8> {
    let mut file =
        b"RIFF\xa4\x0c\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data\x80\x0c\0\0"
            .to_vec();
    file.resize(44 + 3200, 0);
    file
}

#[test]
fn nothing_is_left_after_in_the_working_folder() {
    let home = TempDir::new().unwrap();
    let work = TempDir::new().unwrap();
    mynah(&home).current_dir(work.path()).args(["models"]).assert().success();
    let left: Vec<_> = Path::read_dir(work.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

/// A checkpoint of ChatTTS with random weights.
fn write_chattts(folder: &Path) {
    let vocabulary =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/tests/data/chattts/tokenizer.json");
    let vocabulary = std::fs::read(vocabulary).unwrap();
    mynah_testkit::chattts::write(folder, &mynah_testkit::chattts::TINY, &vocabulary).unwrap();
}

#[test]
fn chattts_speaks_whole_and_in_pieces() {
    let home = TempDir::new().unwrap();
    let model = home.path().join("chattts");
    write_chattts(&model);
    let speak = |more: &[&str]| {
        let model = model.to_str().unwrap();
        let text = "你好，世界。今天 the food is good，我们有3个。";
        let arguments = [&["speak", text, "--model-path", model, "--voice", "alloy"], more].concat();
        let output = run(&home, &arguments);
        assert!(output.status.success(), "{more:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    speak(&["-o", "whole.wav"]);
    let whole = std::fs::read(home.path().join("whole.wav")).unwrap();
    // To standard output the samples go as they are made.
    let pieces = speak(&["-o", "-", "--format", "wav"]);
    assert!(whole.len() > 10_000 && whole.len() == pieces.len());
    assert_eq!(whole[44..], pieces[44..]);
    assert_ne!(whole[44..], speak(&["-o", "-", "--format", "wav", "--speed", "1.8"])[44..]);
    assert_ne!(
        whole[44..],
        speak(&["-o", "-", "--format", "wav", "--instructions", "[oral_2][break_6]"])[44..]
    );
    for other in [
        &["--reference-audio", "whole.wav", "--reference-text", "你好，世界。"][..],
        &["--refine"],
        // The text has a digit.
        &["--no-text-normalization"],
    ] {
        let spoken = speak(&[&["-o", "-", "--format", "wav"], other].concat());
        assert!(spoken.len() > 10_000 && spoken[44..] != whole[44..], "{other:?}");
    }
    let model = model.to_str().unwrap();
    fails(
        &["speak", "你好", "--model-path", model, "--instructions", "cheerfully", "-o", "x.wav"],
        2,
        "[oral_0]",
    );
}
