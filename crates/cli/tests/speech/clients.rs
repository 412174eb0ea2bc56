//! The official clients of both APIs against the real program; `clients/README.md` says what is run.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::support::{Speech, clients, folder, must, mynah, once};

const KEY: &str = "sk-client-test";

#[test]
fn openai_for_python() {
    let speech = Speech::get();
    let server = Server::start(speech.mynah(), &["--api-key", KEY]);
    run(python().arg(clients().join("openai_python.py")), &server, speech, KEY);
}

#[test]
fn openai_for_node() {
    let speech = Speech::get();
    let server = Server::start(speech.mynah(), &["--api-key", KEY]);
    // Node finds packages from where a program lies.
    let program = speech.node.join("test.mjs");
    fs::copy(clients().join("openai_node/test.mjs"), &program).unwrap();
    run(Command::new("node").arg(program), &server, speech, KEY);
}

#[test]
fn xinference_for_python() {
    let speech = Speech::get();
    let script = clients().join("xinference_python.py");
    let open = Server::start(speech.mynah(), &[]);
    run(python().arg(&script), &open, speech, "-");
    drop(open);
    let locked = Server::start(speech.mynah(), &["--api-key", KEY]);
    run(python().arg(&script), &locked, speech, KEY);
}

#[test]
fn keys_and_logins() {
    const PASSWORD: &str = "a-long-password";
    let home = tempfile::tempdir().unwrap();
    let mut add = mynah(home.path())
        .args(["users", "add", "ann", "--scope", "admin"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(add.stdin.take().unwrap(), "{PASSWORD}").unwrap();
    assert!(add.wait().unwrap().success());
    let server = Server::start(mynah(home.path()), &["--api-key", KEY]);
    let status =
        python().arg(clients().join("keys.py")).args([&server.address, KEY, "ann", PASSWORD]).status();
    assert!(status.unwrap().success(), "the client found faults, see above");
}

#[test]
fn all_that_xinferences_client_can_do() {
    drop_in("xinference_surface.py");
}

#[test]
fn the_examples_of_xinferences_documents() {
    drop_in("documented_examples.py");
}

#[test]
fn what_fails_with_xinferences_server() {
    let speech = Speech::get();
    must(speech.mynah().args(["--quiet", "pull", "whisper-tiny.en"]));
    drop_in("beyond_xinference.py");
}

/// Runs a client of a server to which it launches models itself, ChatTTS with random weights among them.
#[track_caller]
fn drop_in(program: &str) {
    let speech = Speech::get();
    let server = Server::start(speech.mynah(), &[]);
    run(python().arg(clients().join(program)), &server, speech, speech.chattts.to_str().unwrap());
}

/// Runs a client to its end; it prints what failed. The last argument is a key or a checkpoint.
#[track_caller]
fn run(client: &mut Command, server: &Server, speech: &Speech, last: &str) {
    let status = client.arg(&server.address).arg(&speech.recording).arg(last).status();
    assert!(status.expect("the client could not be started").success(), "the client found faults, see above");
}

/// Python with the clients of `clients/requirements.txt`.
fn python() -> Command {
    let venv = folder().join("venv");
    let python = venv.join("bin/python");
    let requirements: PathBuf = clients().join("requirements.txt");
    once(&venv, std::slice::from_ref(&requirements), || {
        must(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv));
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
        must(Command::new(&python).args(pip).arg(&requirements));
    });
    let mut command = Command::new(python);
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// A running server; stopped when dropped.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(mut program: Command, options: &[&str]) -> Self {
        let mut child = program
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
