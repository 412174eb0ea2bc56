//! The server is killed at random moments while it downloads, launches, registers and terminates. Each time the next one
//! starts, and what was answered before stays true.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mynah_testkit::chattts::{TINY, write};
use mynah_testkit::hub::{Hub, Repository};
use serde_json::{Value, json};

use crate::support::must;

const KILLS: usize = 50;
/// The latest moment, counted from when the server is ready.
const LATEST: Duration = Duration::from_millis(400);
/// The model that is downloaded; its weights are no weights, so that its launch fails in the end.
const PULLED: &str = "whisper-tiny";

/// What the server has answered.
#[derive(Debug, Default)]
struct Acknowledged {
    /// Names that are registered.
    registered: BTreeSet<String>,
    /// Uids that run.
    running: BTreeSet<String>,
    /// Uids whose end was asked for and perhaps not answered.
    ending: BTreeSet<String>,
}

#[test]
#[expect(clippy::print_stdout, reason = "the seed makes a failure repeatable")]
fn the_next_start_works_whenever_the_server_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let chattts = folder.path().join("chattts");
    let vocabulary =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/tests/data/chattts/tokenizer.json");
    write(&chattts, &TINY, &fs::read(vocabulary).unwrap()).unwrap();

    let repository = Repository::new();
    let slow = Arc::new(AtomicBool::new(true));
    let hub = {
        let (repository, slow) = (repository.clone(), Arc::clone(&slow));
        Hub::start(move |request| {
            let mut reply = repository.answer(request);
            if slow.load(Ordering::Acquire) && reply.body.len() > 100_000 {
                reply.pace = Some((20_000, Duration::from_millis(10)));
            }
            reply
        })
    };
    let program = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mynah"));
        command
            .env("MYNAH_HOME", &home)
            .env("HF_ENDPOINT", hub.url())
            .env("XINFERENCE_HOME", folder.path().join("x"));
        command.env("HF_HUB_CACHE", folder.path().join("hf")).env_remove("MYNAH_API_KEY");
        command.env("XINFERENCE_MODEL_SRC", "huggingface").arg("--quiet");
        command
    };

    let mut random = Random::new();
    println!("seed {}", random.0);
    let acknowledged = Arc::new(Mutex::new(Acknowledged::default()));
    let mut half_downloaded = 0;
    for round in 0..KILLS {
        // Each round has something to download.
        if home.join("models").join(PULLED).exists() {
            must(program().args(["rm", PULLED]));
        }
        let server = Server::start(program());
        check(&server, &acknowledged.lock().unwrap());
        let pull =
            program().args(["pull", PULLED]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let work: Vec<_> = [register, launch, terminate, download]
            .into_iter()
            .map(|work| {
                let (server, acknowledged, chattts) =
                    (server.address.clone(), Arc::clone(&acknowledged), chattts.clone());
                thread::spawn(move || work(&server, &acknowledged, round, &chattts))
            })
            .collect();
        thread::sleep(Duration::from_nanos(random.below(LATEST.as_nanos() as u64)));
        server.kill();
        end(pull);
        for work in work {
            work.join().unwrap();
        }
        half_downloaded += usize::from(home.join("models/.partial").join(PULLED).exists());
    }
    slow.store(false, Ordering::Release);
    if home.join("models").join(PULLED).exists() {
        must(program().args(["rm", PULLED]));
    }
    let server = Server::start(program());
    check(&server, &acknowledged.lock().unwrap());
    let acknowledged = acknowledged.lock().unwrap();
    println!(
        "{KILLS} kills, {half_downloaded} of them in a download: {} registered, {} running",
        acknowledged.registered.len(),
        acknowledged.running.len()
    );
    assert!(half_downloaded > KILLS / 5, "hardly any download was cut off");
    assert!(
        acknowledged.registered.len() > KILLS / 5 && acknowledged.running.len() > 1,
        "hardly anything was done: {acknowledged:?}"
    );
    drop(server);

    let model = PathBuf::from(must(program().args(["pull", PULLED])).trim_end());
    assert_eq!(fs::read(model.join("model.safetensors")).unwrap(), repository.weights());
}

/// What was answered is still true.
fn check(server: &Server, acknowledged: &Acknowledged) {
    let list = server.get("/v1/model_registrations/audio");
    let names: BTreeSet<&str> = texts(&list, "model_name");
    for name in &acknowledged.registered {
        assert!(names.contains(name.as_str()), "{name} was registered and is gone: {list}");
    }
    let list = server.get("/v1/models/instances");
    let uids: BTreeSet<&str> = texts(&list, "model_uid");
    for uid in acknowledged.running.difference(&acknowledged.ending) {
        assert!(uids.contains(uid.as_str()), "{uid} ran and is gone: {list}");
    }
    for uid in acknowledged.ending.difference(&acknowledged.running) {
        assert!(!uids.contains(uid.as_str()), "{uid} was terminated and is back");
    }
}

fn texts<'a>(list: &'a Value, name: &str) -> BTreeSet<&'a str> {
    list.as_array().unwrap().iter().map(|item| item[name].as_str().unwrap()).collect()
}

fn register(server: &str, acknowledged: &Mutex<Acknowledged>, round: usize, _: &Path) {
    for n in 0..20 {
        let name = format!("model-{round}-{n}");
        let definition =
            json!({"model_name": name, "model_family": "whisper", "model_id": "some/one"}).to_string();
        let body = json!({"model": definition, "persist": true});
        if ask(server, "POST", "/v1/model_registrations/audio", Some(&body))
            .is_some_and(|(status, _)| status == 200)
        {
            acknowledged.lock().unwrap().registered.insert(name);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn launch(server: &str, acknowledged: &Mutex<Acknowledged>, round: usize, chattts: &Path) {
    for n in 0..4 {
        let uid = format!("run-{round}/{n}");
        let body =
            json!({"model_name": "ChatTTS", "model_type": "audio", "model_uid": uid, "model_path": chattts});
        if ask(server, "POST", "/v1/models", Some(&body)).is_some_and(|(status, _)| status == 200) {
            acknowledged.lock().unwrap().running.insert(uid);
        }
    }
}

/// Ends what earlier rounds launched, but for a few.
fn terminate(server: &str, acknowledged: &Mutex<Acknowledged>, round: usize, _: &Path) {
    let earlier = |uid: &&String| !uid.starts_with(&format!("run-{round}/"));
    let uids: Vec<String> =
        acknowledged.lock().unwrap().running.iter().filter(earlier).skip(2).cloned().collect();
    for uid in uids {
        acknowledged.lock().unwrap().ending.insert(uid.clone());
        let answer = ask(server, "DELETE", &format!("/v1/models/{uid}"), None);
        let mut acknowledged = acknowledged.lock().unwrap();
        match answer {
            Some((200, _)) => acknowledged.running.remove(&uid),
            // Its end was not answered before.
            Some((400, body)) if body.contains("not found") => acknowledged.running.remove(&uid),
            // It is still being launched again.
            Some(_) => acknowledged.ending.remove(&uid),
            None => return,
        };
    }
}

fn download(server: &str, _: &Mutex<Acknowledged>, _: usize, _: &Path) {
    let body = json!({"model_name": PULLED, "model_type": "audio"});
    ask(server, "POST", "/v1/models?wait_ready=false", Some(&body));
}

/// Status and body of an answer; `None` where the server is gone.
fn ask(server: &str, method: &str, path: &str, body: Option<&Value>) -> Option<(u16, String)> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut stream = TcpStream::connect(server).ok()?;
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\nContent-Length: {length}\r\n"
    );
    stream.write_all(format!("{head}Content-Type: application/json\r\n\r\n{body}").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    // A body that was cut says nothing.
    let mut headers = head.lines().filter_map(|line| line.split_once(": "));
    let (_, length) = headers.find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
    let length: usize = length.parse().ok()?;
    (body.len() == length).then(|| (head[9..12].parse().unwrap(), body.to_owned()))
}

struct Server {
    child: Option<Child>,
    address: String,
}

impl Server {
    fn start(mut program: Command) -> Self {
        let mut child =
            program.args(["serve", "--port", "0", "--restore"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().rsplit("http://").next().unwrap_or_default().to_owned();
        assert!(address.starts_with("127.0.0.1:"), "the server did not start: {line:?}");
        Self { child: Some(child), address }
    }

    #[track_caller]
    fn get(&self, path: &str) -> Value {
        let (status, body) = ask(&self.address, "GET", path, None).expect("no answer");
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    fn kill(mut self) {
        self.child.take().into_iter().for_each(end);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.take().into_iter().for_each(end);
    }
}

/// SIGKILL.
fn end(mut child: Child) {
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn new() -> Self {
        Self(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 | 1)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % end
    }
}
