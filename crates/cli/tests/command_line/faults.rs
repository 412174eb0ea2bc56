//! The program where its surroundings fail it: a full disk, damaged weights, and strangers who listen or read logs.

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use mynah_testkit::hub::{Hub, Repository};
use serde_json::json;
use tempfile::TempDir;

use crate::serve::{Server, output};
use crate::{mynah, run, write_chattts};

/// The program where no file grows beyond some 4 kB, which for writers is like a full disk. The signal that goes with it
/// is ignored, as the shell's children inherit.
fn on_a_full_disk(home: &TempDir, blocks: u32) -> Command {
    let mut limited = Command::new("sh");
    limited.arg("-c").arg(format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\""));
    let plain = mynah(home);
    limited.arg(plain.get_program());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited.current_dir(home.path());
    limited
}

#[test]
fn a_download_onto_a_full_disk_says_so_and_goes_on_later() {
    let home = TempDir::new().unwrap();
    let repository = Repository::new();
    let hub = Hub::start(move |request| repository.answer(request));
    let pull = |command: &mut Command| {
        let command = command.args(["pull", "whisper-small"]).env("HF_ENDPOINT", hub.url());
        command.env_remove("HF_HUB_OFFLINE").output().unwrap()
    };
    let full = pull(&mut on_a_full_disk(&home, 8));
    let stderr = String::from_utf8(full.stderr).unwrap();
    assert!(stderr.contains("no space in") && stderr.contains("the disk is full"), "{stderr}");
    assert_ne!(full.status.code(), Some(0));
    let fine = pull(&mut mynah(&home));
    assert!(fine.status.success(), "{}", String::from_utf8_lossy(&fine.stderr));

    assert_eq!(output(&home, &["models", "--check"], ""), "whisper-small: sound");
    let weights = home.path().join("mynah/models/whisper-small/model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    bytes[100] ^= 1;
    fs::write(&weights, bytes).unwrap();
    let check = run(&home, &["models", "--check"]);
    let stderr = String::from_utf8(check.stderr).unwrap();
    assert_eq!(check.status.code(), Some(1));
    assert!(stderr.contains("the sha256 of model.safetensors"), "{stderr}");
    // Without a network damaged weights are refused.
    let refused = run(&home, &["pull", "whisper-small"]);
    let stderr = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && stderr.contains("damaged"), "{stderr}");
}

/// What curl prints.
fn curl(arguments: &[&str]) -> String {
    let output = Command::new("curl").args(["-s", "--max-time", "60"]).args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn an_upload_onto_a_full_disk_is_refused_and_the_next_request_fares_well() {
    let home = TempDir::new().unwrap();
    write_chattts(&home.path().join("weights"));
    fs::write(home.path().join("long.wav"), vec![0; 1 << 20]).unwrap();
    let server = Server::spawn(
        on_a_full_disk(&home, 512).args(["serve", "--model-path", "voice=weights"]),
        &["--set", "limits.upload_memory_threshold_bytes=0"],
    );
    let url = server.endpoint() + "/v1/audio/transcriptions";
    let file = format!("file=@{}", home.path().join("long.wav").display());
    let answer = curl(&["-w", " %{http_code}", "-F", "model=whisper-base", "-F", &file, &url]);
    assert!(answer.ends_with(" 507") && answer.contains("disk is full"), "{answer}");
    let body = json!({"model": "voice", "input": "你好。", "response_format": "wav"}).to_string();
    let url = server.endpoint() + "/v1/audio/speech";
    let answer = curl(&["-o", "/dev/null", "-w", "%{http_code} %{size_download}", "--json", &body, &url]);
    assert!(answer.starts_with("200 ") && answer.len() > 8, "{answer}");
    let log = server.end();
    assert!(log.contains("cannot write an upload"), "{log}");
}

#[test]
fn logs_hold_no_secrets_whatever_their_level() {
    let home = TempDir::new().unwrap();
    let key = "sk-a-secret-that-no-log-may-have";
    output(&home, &["users", "add", "ann", "--scope", "admin"], "a-secret-password\n");
    let server = Server::spawn(mynah(&home).arg("serve").env("MYNAH_LOG", "trace"), &["--api-key", key]);
    assert_eq!(server.get("/v1/models", key), 200);
    assert_eq!(server.get("/v1/models?token=a-secret-token&api_key=a-secret-token", key), 200);
    assert_eq!(server.get("/v1/models", "a-secret-guess"), 401);
    let login = json!({"username": "ann", "password": "a-secret-password"}).to_string();
    let (status, token) = server.send("POST /token", &login);
    assert_eq!(status, 200);
    let token: serde_json::Value = serde_json::from_str(&token).unwrap();
    let token = token["access_token"].as_str().unwrap().to_owned();
    assert_eq!(server.get("/v1/admin/keys", &token), 200);
    let made = output(&home, &["keys", "add", "x", "-e", &server.endpoint(), "-ak", key], "");
    let (status, _) = server.send("POST /v1/audio/speech", "{\"input\": \"a-secret-text\"}");
    assert_eq!(status, 401);
    let log = server.end();
    assert!(log.contains("path=\"/v1/models\""), "nothing was logged: {log}");
    for secret in [key, "a-secret", token.as_str(), made.as_str()] {
        assert!(!log.contains(secret), "{secret} is in the log: {log}");
    }
}

fn certify(folder: &Path, name: &str) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-days", "2", "-subj", &format!("/CN={name}"), "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(folder)
        .stderr(Stdio::null())
        .status()
        .expect("openssl is needed");
    assert!(made.success());
}

#[test]
fn https_with_a_certificate_that_can_be_changed() {
    let home = TempDir::new().unwrap();
    certify(home.path(), "first");
    let server = Server::start(&home, &["--tls-cert", "cert.pem", "--tls-key", "key.pem"]);
    let url = format!("https://{}/health", server.address());
    let certificate = home.path().join("cert.pem");
    let first = home.path().join("first.pem");
    fs::copy(&certificate, &first).unwrap();
    let trusting = |certificate: &Path| curl(&["--cacert", certificate.to_str().unwrap(), &url]);
    assert!(trusting(&first).contains("\"ok\""));
    // A client that sends plain HTTP, or nothing, gets no answer and blocks no other.
    let mut plain = TcpStream::connect(server.address()).unwrap();
    plain.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let _silent = TcpStream::connect(server.address()).unwrap();
    assert!(trusting(&first).contains("\"ok\""));

    certify(home.path(), "second");
    server.signal("-HUP");
    let begin = std::time::Instant::now();
    while !trusting(&certificate).contains("\"ok\"") {
        assert!(begin.elapsed().as_secs() < 20, "the new certificate is never shown");
    }
    assert_eq!(trusting(&first), "", "the old one is still shown");
    // A key that does not belong to it changes nothing.
    File::create(home.path().join("key.pem")).unwrap();
    server.signal("-HUP");
    assert!(trusting(&certificate).contains("\"ok\""));
    server.end();

    for wrong in [
        &["--tls-cert", "cert.pem"][..],
        &["--tls-cert", "cert.pem", "--tls-key", "missing.pem"],
        &["--tls-cert", "cert.pem", "--tls-key", "key.pem"],
        &["--cors-origin", "example.com/page"],
    ] {
        let refused = run(&home, &[&["serve", "--port", "0"], wrong].concat());
        assert_eq!(refused.status.code(), Some(2), "{wrong:?}: {}", String::from_utf8_lossy(&refused.stderr));
    }
}

#[test]
fn a_server_that_was_killed_starts_again_with_what_it_knew() {
    let home = TempDir::new().unwrap();
    write_chattts(&home.path().join("weights"));
    let weights = home.path().join("weights").display().to_string();
    let server = Server::start(&home, &[]);
    let launch =
        json!({"model_name": "ChatTTS", "model_type": "audio", "model_uid": "voice", "model_path": weights});
    assert_eq!(server.send("POST /v1/models", &launch.to_string()).0, 200);
    let key = output(&home, &["keys", "add", "operator", "--scope", "admin"], "");
    server.wait_for("/v1/models", "", 401);
    // As kill -9 does.
    drop(server);
    let server = Server::start(&home, &["--restore"]);
    assert_eq!(server.get("/v1/models", ""), 401);
    server.wait_for("/v1/models/voice", &key, 200);
    server.end();
}

#[test]
fn a_home_that_cannot_be_written_to_serves_all_the_same() {
    let home = TempDir::new().unwrap();
    write_chattts(&home.path().join("weights"));
    let mut command = mynah(&home);
    // No one can create anything there.
    command.arg("serve").env("MYNAH_HOME", "/proc/mynah");
    let server = Server::spawn(&mut command, &["--model-path", "voice=weights"]);
    let body = json!({"model": "voice", "input": "你好。"}).to_string();
    let url = server.endpoint() + "/v1/audio/speech";
    assert_eq!(curl(&["-o", "/dev/null", "-w", "%{http_code}", "--json", &body, &url]), "200");
    let weights = home.path().join("weights").display().to_string();
    let model = json!({"model_name": "own", "model_family": "ChatTTS", "model_uri": weights}).to_string();
    let register = json!({"model": model, "persist": true}).to_string();
    let (status, answer) = server.send("POST /v1/model_registrations/audio", &register);
    assert_eq!(status, 500, "a promise that cannot be kept: {answer}");
    assert_eq!(curl(&["-o", "/dev/null", "-w", "%{http_code}", "--json", &body, &url]), "200");
    server.end();
}
