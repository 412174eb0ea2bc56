//! Two families of models that the program does not have, through the whole program: command line, server, long recordings,
//! subtitles and speech. All they need is `testkit/src/families/scripted.rs` and the line in [`registry`].
//!
//! Called with `program` as its first argument, this test binary is the program with these families.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use libtest_mimic::{Arguments, Trial};
use mynah_core::Registry;
use mynah_testkit::families::scripted::{self, ScriptedTranscriber, ScriptedVoice};
use tempfile::TempDir;

#[expect(dead_code, reason = "the recording is all that is needed of it")]
#[path = "../speech/support.rs"]
mod support;

const PROGRAM: &str = "program";

fn registry() -> Registry {
    mynah_models::registry().with(ScriptedTranscriber).with(ScriptedVoice)
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).peekable();
    if arguments.next_if(|first| first == PROGRAM).is_some() {
        return mynah_cli::run(std::iter::once(OsString::from("mynah")).chain(arguments), registry());
    }
    let tests: [(&str, fn()); 5] = [
        ("a_long_recording_is_cut_into_chunks_with_their_times", a_long_recording),
        ("subtitles_have_the_times_of_the_chunks", subtitles),
        ("what_the_model_cannot_do_is_refused_by_name", refusals),
        ("the_server_serves_both_families", server),
        ("the_voice_speaks_with_times_of_words", voice),
    ];
    let trials = tests.map(|(name, test)| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit_code()
}

/// A store, checkpoints of both families and a recording.
struct Stage {
    folder: TempDir,
    listens: PathBuf,
    speaks: PathBuf,
    /// Eight times the same eleven seconds of speech, with silence of a second and a half between them.
    recording: PathBuf,
}

/// Seconds of speech and of the silence after it.
const SPEECH_S: f64 = 11.0;
const SILENCE_S: f64 = 1.5;
const TIMES: usize = 8;

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (listens, speaks) = (folder.path().join("listens"), folder.path().join("speaks"));
        scripted::write(&listens, &ScriptedTranscriber, &["alpha", "beta", "gamma"]);
        scripted::write(&speaks, &ScriptedVoice, &[]);
        let recording = folder.path().join("long.wav");
        fs::write(&recording, repeated(&support::Speech::get().recording)).unwrap();
        Self { folder, listens, speaks, recording }
    }

    fn mynah(&self) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg(PROGRAM).env("MYNAH_HOME", self.folder.path().join("home")).env_remove("MYNAH_LOG");
        command
    }

    fn transcribe(&self, options: &[&str]) -> Command {
        let mut command = self.mynah();
        command.arg("transcribe").arg(&self.recording).arg("--model-path").arg(&self.listens).args(options);
        command
    }
}

/// 16 kHz mono samples of 16 bits, as a wav file.
fn repeated(wav: &Path) -> Vec<u8> {
    let wav = fs::read(wav).unwrap();
    let (head, samples) = wav.split_at(wav.windows(4).position(|four| four == b"data").unwrap() + 8);
    let silence = vec![0; (SILENCE_S * 32_000.0) as usize];
    let data = [samples, &silence].concat().repeat(TIMES);
    let mut long = head.to_vec();
    let end = long.len();
    long[end - 4..].copy_from_slice(&(data.len() as u32).to_le_bytes());
    long[4..8].copy_from_slice(&((end - 8 + data.len()) as u32).to_le_bytes());
    long.extend(data);
    long
}

/// The recording's file with zeros for its samples.
fn silence(wav: &Path) -> Vec<u8> {
    let mut wav = fs::read(wav).unwrap();
    let data = wav.windows(4).position(|four| four == b"data").unwrap() + 8;
    wav[data..].fill(0);
    wav
}

fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn segments(json: &str) -> Vec<(f64, f64, String)> {
    let body: serde_json::Value = serde_json::from_str(json).unwrap();
    let number = |value: &serde_json::Value| value.as_f64().unwrap();
    let segments = body["segments"].as_array().unwrap().iter();
    segments
        .map(|s| (number(&s["start"]), number(&s["end"]), s["text"].as_str().unwrap().to_owned()))
        .collect()
}

fn a_long_recording() {
    let stage = Stage::new();
    for options in [&["--format", "verbose_json"][..], &["--format", "verbose_json", "--vad"]] {
        let segments = segments(&succeed(&mut stage.transcribe(options)));
        assert!(segments.len() >= TIMES, "{segments:?}");
        let mut before = 0.0;
        for (start, end, text) in &segments {
            assert!(before <= *start && start < end && end - start <= scripted::MAX_CHUNK_S, "{segments:?}");
            // A word for each second of what the model was given.
            let words = text.split_whitespace().count();
            assert_eq!(words, (end - start).ceil() as usize, "{segments:?}");
            assert!(text.starts_with(" alpha"), "{text}");
            before = *end;
        }
        // Each repetition begins a chunk of its own: the silence before it is longer than a chunk's gaps.
        for repetition in 0..TIMES {
            let begins = (SPEECH_S + SILENCE_S) * repetition as f64;
            assert!(
                segments.iter().any(|(start, _, _)| (begins..begins + 1.5).contains(start)),
                "{segments:?}"
            );
        }
    }
}

fn subtitles() {
    let stage = Stage::new();
    let folder = stage.folder.path().join("out");
    succeed(stage.transcribe(&["--format", "srt", "--output-dir"]).arg(&folder));
    let srt = fs::read_to_string(folder.join("long.srt")).unwrap();
    let json = segments(&succeed(&mut stage.transcribe(&["--format", "verbose_json"])));
    assert_eq!(srt.matches(" --> ").count(), json.len());
    assert!(srt.starts_with("1\n00:00:0") && srt.contains("\nalpha beta gamma alpha"), "{srt}");
    let vtt = succeed(&mut stage.transcribe(&["--format", "vtt"]));
    assert_eq!(vtt.matches(" --> ").count(), json.len());
    let text = succeed(&mut stage.transcribe(&[]));
    let joined: String = json.iter().map(|(_, _, text)| text.as_str()).collect();
    assert_eq!(text.trim(), joined.trim());
    // A recording without speech has a file without cues.
    fs::write(stage.recording.with_file_name("silence.wav"), silence(&stage.recording)).unwrap();
    let stage = Stage { recording: stage.recording.with_file_name("silence.wav"), ..stage };
    assert_eq!(succeed(&mut stage.transcribe(&["--format", "srt"])), "");
    assert_eq!(succeed(&mut stage.transcribe(&["--format", "text"])), "\n");
}

fn refusals() {
    let stage = Stage::new();
    for (options, field) in [
        (&["--format", "srt", "--word-timestamps"][..], "word timestamps"),
        (&["--prompt", "Mynah"], "prompt"),
        (&["--hotwords", "Mynah"], "hotwords"),
        (&["--beam-size", "1"], "beam_size"),
        (&["--language", "de"], "language"),
    ] {
        let output = stage.transcribe(options).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && errors.contains(field), "{options:?}: {errors}");
    }
    let mut translate = stage.mynah();
    let output =
        translate.arg("translate").arg(&stage.recording).arg("--model-path").arg(&stage.listens).output();
    let errors = String::from_utf8_lossy(&output.unwrap().stderr).into_owned();
    assert!(errors.contains("does not support translations"), "{errors}");
}

/// A server, stopped when it is dropped.
struct Server(Child, String);

impl Server {
    fn start(stage: &Stage) -> Self {
        let mut command = stage.mynah();
        command.args(["serve", "--port", "0"]);
        for (name, path) in [("listens", &stage.listens), ("speaks", &stage.speaks)] {
            command.arg("--model-path").arg(format!("{name}={}", path.display()));
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split_whitespace().find(|word| word.starts_with("http://")).expect("an address");
        Self(child, address.trim_end_matches('/').to_owned())
    }

    /// `curl` with these arguments, the last of which is a path below the server's address.
    fn curl(&self, arguments: &[&str]) -> Vec<u8> {
        let (path, options) = arguments.split_last().unwrap();
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "120"]).args(options).arg(format!("{}{path}", self.1));
        let output = curl.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn server() {
    let stage = Stage::new();
    let server = Server::start(&stage);
    let file = format!("file=@{}", stage.recording.display());
    let ask = |fields: &[&str]| {
        let mut arguments = vec!["-F", file.as_str(), "-F", "model=listens"];
        fields.iter().for_each(|field| arguments.extend(["-F", field]));
        arguments.push("/v1/audio/transcriptions");
        String::from_utf8(server.curl(&arguments)).unwrap()
    };
    let own = segments(&succeed(&mut stage.transcribe(&["--format", "verbose_json"])));
    assert_eq!(segments(&ask(&["response_format=verbose_json"])), own);
    assert_eq!(ask(&["response_format=srt"]), succeed(&mut stage.transcribe(&["--format", "srt"])));
    let stream = ask(&["stream=true"]);
    assert_eq!(stream.matches("transcript.text.delta").count(), own.len(), "{stream}");
    let refused = ask(&["prompt=Mynah"]);
    assert!(refused.contains(r#""param":"prompt""#) && refused.contains("unsupported_value"), "{refused}");
    let models = String::from_utf8(server.curl(&["/v1/models"])).unwrap();
    for family in [r#""model_family":"scripted""#, r#""model_family":"scripted-voice""#] {
        assert!(models.contains(family), "{models}");
    }
    let body = r#"{"model": "speaks", "input": "one two three", "response_format": "wav"}"#;
    let wav = server.curl(&["-H", "content-type: application/json", "-d", body, "/v1/audio/speech"]);
    assert!(wav.starts_with(b"RIFF"), "{}", String::from_utf8_lossy(&wav));
}

fn voice() {
    let stage = Stage::new();
    let out = stage.folder.path().join("speech.wav");
    let mut speak = stage.mynah();
    speak.args(["speak", "One two, three.", "--words", "srt", "--model-path"]).arg(&stage.speaks);
    succeed(speak.arg("-o").arg(&out));
    let mut head = [0; 44];
    fs::File::open(&out).unwrap().read_exact(&mut head).unwrap();
    assert_eq!(u32::from_le_bytes(head[24..28].try_into().unwrap()), scripted::SPEECH_RATE_HZ);
    // Three words of a quarter of a second.
    assert_eq!(fs::metadata(&out).unwrap().len(), 44 + 2 * 3 * u64::from(scripted::SPEECH_RATE_HZ) / 4);
    let srt = fs::read_to_string(out.with_extension("srt")).unwrap();
    assert_eq!(srt, "1\n00:00:00,000 --> 00:00:00,750\nOne two, three.\n\n");
    let mut refused = stage.mynah();
    refused.args(["speak", "One", "--instructions", "cheerfully", "--model-path"]).arg(&stage.speaks);
    let output = refused.arg("-o").arg(&out).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("follow instructions"));
}
