//! The server as its operator sees it: settings, keys, signals, logs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{mynah, run};

/// A running server, ended when dropped.
pub(crate) struct Server {
    child: Option<Child>,
    address: String,
}

impl Server {
    pub(crate) fn start(home: &TempDir, options: &[&str]) -> Self {
        Self::spawn(mynah(home).arg("serve"), options)
    }

    pub(crate) fn spawn(command: &mut Command, options: &[&str]) -> Self {
        let mut child = command
            .args(["--port", "0"])
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().rsplit("://").next().unwrap().to_owned();
        assert!(address.contains(':'), "no address in {line:?}");
        Self { child: Some(child), address }
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    /// Waits until it has ended by itself.
    pub(crate) fn ended(mut self) {
        assert_eq!(self.child.take().unwrap().wait().unwrap().code(), Some(0));
    }

    /// Ends it and returns what it logged.
    pub(crate) fn end(mut self) -> String {
        self.signal("-TERM");
        let output = self.child.take().unwrap().wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stderr).unwrap()
    }

    pub(crate) fn send(&self, head: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let length = body.len();
        write!(
            stream,
            "{head} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n"
        )
        .unwrap();
        write!(stream, "\r\n{body}").unwrap();
        answer(stream)
    }

    /// Status of a request with this key.
    pub(crate) fn get(&self, path: &str, key: &str) -> u16 {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        answer(stream).0
    }

    /// Waits until a request with this key is answered with `status`.
    #[track_caller]
    pub(crate) fn wait_for(&self, path: &str, key: &str, status: u16) {
        let begin = Instant::now();
        while self.get(path, key) != status {
            assert!(begin.elapsed() < Duration::from_secs(20), "{path} is never answered with {status}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself; then the test has failed already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn answer(mut stream: TcpStream) -> (u16, String) {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).map_or(0, |status| status.parse().unwrap());
    (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

/// Standard output of a command that must succeed.
#[track_caller]
pub(crate) fn output(home: &TempDir, arguments: &[&str], input: &str) -> String {
    let mut child = mynah(home)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    assert!(status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap().trim_end().to_owned()
}

#[test]
fn keys_are_made_used_and_revoked_while_a_server_runs() {
    let home = TempDir::new().unwrap();
    let server = Server::start(&home, &[]);
    assert_eq!(server.get("/v1/models", ""), 200, "open as long as there is no key");
    let admin = output(&home, &["keys", "add", "operator", "--scope", "admin"], "");
    server.wait_for("/v1/models", "", 401);
    assert_eq!(server.get("/v1/models", &admin), 200);
    let file = home.path().join("mynah/keys.json");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!std::fs::read_to_string(&file).unwrap().contains(&admin));

    // The same through the server.
    let endpoint = server.endpoint();
    let at = ["-e", endpoint.as_str(), "-ak", admin.as_str()];
    let client = output(
        &home,
        &[&["keys", "add", "dify", "--expires", "30d", "--requests-per-minute", "100"][..], &at].concat(),
        "",
    );
    assert_eq!(server.get("/v1/models", &client), 200);
    assert_eq!(server.get("/v1/admin/keys", &client), 403);
    for list in [&["keys", "list", "--json"][..], &[&["keys", "list", "--json"][..], &at].concat()] {
        let keys: Value = serde_json::from_str(&output(&home, list, "")).unwrap();
        assert_eq!(keys[1]["name"], "dify");
        assert_eq!(
            (&keys[1]["scopes"], &keys[1]["requests_per_minute"]),
            (&json!(["list", "use"]), &json!(100))
        );
        assert!(client.starts_with(keys[1]["key_prefix"].as_str().unwrap()));
    }
    let table = output(&home, &["keys", "list"], "");
    assert!(table.starts_with("ID") && table.contains("operator") && !table.contains(&client), "{table}");

    output(&home, &["keys", "revoke", "2"], "");
    server.wait_for("/v1/models", &client, 401);
    output(&home, &[&["keys", "revoke", "1"][..], &at].concat(), "");
    server.wait_for("/v1/models", &admin, 401);
    assert_eq!(server.get("/v1/models", ""), 401, "the last key's end does not open the server");
    let log = server.end();
    assert!(!log.contains(&admin) && !log.contains(&client), "{log}");
}

#[test]
fn users_log_in_and_are_let_in() {
    let home = TempDir::new().unwrap();
    output(&home, &["users", "add", "ann", "--scope", "admin"], "right-password\n");
    assert!(output(&home, &["users", "list"], "").contains("ann"));
    let server = Server::start(&home, &[]);
    let endpoint = server.endpoint();
    let failed = run(&home, &["list", "-e", &endpoint]);
    assert_eq!(failed.status.code(), Some(1));
    let login = ["login", "-e", &endpoint, "--username", "ann"];
    assert_eq!(output(&home, &login, "right-password\n"), "");
    output(&home, &["list", "-e", &endpoint], "");
    output(&home, &["keys", "list", "-e", &endpoint], "");

    let (status, body) =
        server.send("POST /token", &json!({"username": "ann", "password": "wrong-password"}).to_string());
    assert_eq!(status, 401);
    assert!(body.contains("Incorrect username or password"), "{body}");
    output(&home, &["users", "remove", "ann"], "");
    assert_eq!(run(&home, &["users", "remove", "ann"]).status.code(), Some(1));
    let log = server.end();
    assert!(!log.contains("-password"), "{log}");
}

#[test]
fn xinferences_server_is_started_as_it_was() {
    let home = TempDir::new().unwrap();
    let link = home.path().join("xinference-local");
    symlink(env!("CARGO_BIN_EXE_mynah"), &link).unwrap();
    let auth = home.path().join("auth.json");
    let config = json!({
        "auth_config": {"algorithm": "HS256", "secret_key": "0123456789abcdef", "token_expire_in_minutes": 30},
        "user_config": [
            {"username": "ann", "password": "pw", "permissions": ["admin"], "api_keys": ["sk-72tkvudyGLPMi"]},
            {"username": "bob", "password": "pw", "permissions": ["models:read"], "api_keys": ["sk-ZOTLIY4gt9w11"]}
        ]
    });
    std::fs::write(&auth, config.to_string()).unwrap();
    let mut command = Command::new(&link);
    command.env("HOME", home.path()).env("MYNAH_HOME", home.path().join("mynah")).env("HF_HUB_OFFLINE", "1");
    command
        .args(["-H", "127.0.0.1", "--log-level", "WARNING", "-MH", "127.0.0.1", "--auth-config"])
        .arg(&auth);
    let server = Server::spawn(&mut command, &[]);
    assert_eq!(server.get("/v1/models", "sk-72tkvudyGLPMi"), 200);
    assert_eq!(server.get("/v1/models", "sk-ZOTLIY4gt9w11"), 403);
    let (status, body) =
        server.send("POST /token", &json!({"username": "ann", "password": "pw"}).to_string());
    let token: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &token["token_type"]), (200, &json!("bearer")));
    assert_eq!(server.get("/v1/admin/keys", token["access_token"].as_str().unwrap()), 200);
    let log = server.end();
    assert!(log.contains("/metrics") && !log.contains("sk-72"), "{log}");
}

#[test]
fn settings_are_explained_and_may_come_from_anywhere() {
    let home = TempDir::new().unwrap();
    let file = home.path().join("mynah.toml");
    std::fs::write(&file, "port = 1\nhost = \"127.0.0.2\"\n[limits]\nmax_parts = 7\nmax_requests = 8\n")
        .unwrap();
    let mut command = mynah(&home);
    command.args(["serve", "--print-config", "--config", "mynah.toml", "--max-requests", "9"]);
    command.args(["--set", "limits.header_timeout_s=2.5", "--api-key", "sk-secret"]);
    command.env("MYNAH_PORT", "2").env("MYNAH_MAX_REQUESTS", "10").env("MYNAH_LOG_FORMAT", "json");
    let printed = String::from_utf8(command.output().unwrap().stdout).unwrap();
    for line in [
        "port = 2",
        "host = \"127.0.0.2\"",
        "max_parts = 7",
        "max_requests = 9",
        "header_timeout_s = 2.5",
        "log_format = \"json\"",
        "# threads =",
    ] {
        assert!(printed.lines().any(|found| found == line), "{line}: {printed}");
    }
    assert!(!printed.contains("sk-secret"), "{printed}");
    // What is printed is a file that gives the same.
    std::fs::write(&file, &printed).unwrap();
    assert_eq!(output(&home, &["serve", "--print-config", "--config", "mynah.toml"], ""), printed.trim_end());
    for wrong in
        [&["--set", "ports=1"][..], &["--set", "port=x"], &["--log-level", "loud"], &["--host", "no such"]]
    {
        let refused = run(&home, &[&["serve", "--port", "0"], wrong].concat());
        assert_eq!(refused.status.code(), Some(2), "{wrong:?}: {}", String::from_utf8_lossy(&refused.stderr));
    }
}

#[test]
fn a_hang_up_has_settings_read_again() {
    let home = TempDir::new().unwrap();
    let file = home.path().join("mynah.toml");
    std::fs::write(&file, "api_keys = [\"sk-the-first-of-them\"]\n").unwrap();
    let server = Server::start(&home, &["--config", "mynah.toml"]);
    assert_eq!(server.get("/v1/models", "sk-the-first-of-them"), 200);
    let changed =
        "api_keys = [\"sk-the-second-of-them\"]\nlog_level = \"error\"\n[limits]\nmax_requests = 0\n";
    std::fs::write(&file, changed).unwrap();
    server.signal("-HUP");
    server.wait_for("/v1/models", "sk-the-second-of-them", 200);
    assert_eq!(server.get("/v1/models", "sk-the-first-of-them"), 401);
    server.wait_for("/health/ready", "", 429);
    // A file with a slip changes nothing.
    std::fs::write(&file, "api_keys = 7").unwrap();
    server.signal("-HUP");
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(server.get("/v1/models", "sk-the-second-of-them"), 200);
    let log = server.end();
    assert!(
        log.contains("configuration reload failed; keeping the previous one") && log.contains("api_keys"),
        "{log}"
    );
    assert!(!log.contains("sk-the-second"), "{log}");
}

#[test]
fn logs_may_be_json() {
    let home = TempDir::new().unwrap();
    let server = Server::start(&home, &["--log-format", "json"]);
    server.get("/v1/models", "");
    let log = server.end();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let line = lines.iter().find(|line| line["path"] == "/v1/models").unwrap();
    assert_eq!(
        (&line["status"], &line["method"], &line["level"]),
        (&json!(200), &json!("GET"), &json!("INFO"))
    );
    assert_eq!(line["id"].as_str().unwrap().len(), 36);
}

#[test]
fn openness_is_warned_of() {
    let home = TempDir::new().unwrap();
    let warned = |options: &[&str]| {
        Server::start(&home, options)
            .end()
            .contains("is reachable from other machines and no key is required")
    };
    assert!(warned(&["--host", "0.0.0.0"]));
    assert!(!warned(&["--host", "0.0.0.0", "--api-key", "sk-0123456789abc"]));
    assert!(!warned(&[]));
}

#[test]
fn connections_that_say_nothing_end() {
    let home = TempDir::new().unwrap();
    let server =
        Server::start(&home, &["--set", "limits.header_timeout_s=0.3", "--set", "limits.max_connections=1"]);
    // It would keep the only place for ever.
    let mut silent = TcpStream::connect(&server.address).unwrap();
    silent.write_all(b"GET /health HTTP/1.1\r\nHost").unwrap();
    assert_eq!(server.get("/health", ""), 200);
    let mut rest = Vec::new();
    // Ended in whatever way.
    let _ = silent.read_to_end(&mut rest);
}

#[test]
fn keys_can_be_hashed_for_the_settings_file() {
    let home = TempDir::new().unwrap();
    assert_eq!(
        output(&home, &["keys", "hash"], "abc\n"),
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    assert_eq!(
        output(&home, &["keys", "add", "own", "--own"], "sk-my-own-secret-key\n"),
        "sk-my-own-secret-key"
    );
    for (arguments, code) in [
        (&["keys", "add", "x", "--scope", "eat"][..], 2),
        (&["keys", "add", "x", "--expires", "soon"], 2),
        (&["keys", "revoke", "9"], 1),
        (&["keys", "add", ""], 1),
    ] {
        assert_eq!(run(&home, arguments).status.code(), Some(code), "{arguments:?}");
    }
}
