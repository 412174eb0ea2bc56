//! What Xinference 4.1.0 answered, replayed: the same requests in the same order get answers of the same status, the same
//! content type and the same shape, or they differ as `data/xinference-4.1-differences.toml` says, each with its reason.
//! `tools/make_xinference_shapes.py` made the data.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use axum::body::Body;
use axum::http::Request;
use serde::Deserialize;
use serde_json::Value;

use crate::support::{Answer, App, BOUNDARY, HOLD_JOBS, HOLD_LOADING, app_at, part, sound};

const EXCHANGES: &str = include_str!("../data/xinference-4.1.jsonl");
const DIFFERENCES: &str = include_str!("../data/xinference-4.1-differences.toml");

/// A line of the data.
#[derive(Debug, Deserialize)]
struct Exchange {
    id: String,
    method: String,
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    json: Option<Value>,
    text: Option<String>,
    content_type: Option<String>,
    #[serde(default)]
    fields: Vec<(String, String)>,
    #[serde(default)]
    files: Vec<File>,
    status: u16,
    kind: Option<String>,
    shape: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct File {
    name: String,
    filename: Option<String>,
    input: String,
}

/// How answers may differ.
#[derive(Debug, Deserialize)]
struct Differences {
    /// Names that objects have here and not there, with the reason.
    added: BTreeMap<String, String>,
    difference: Vec<Difference>,
}

impl Differences {
    fn of(&self, id: &str) -> Option<&Difference> {
        self.difference.iter().find(|difference| difference.exchanges.iter().any(|listed| listed == id))
    }
}

#[derive(Debug, Deserialize)]
struct Difference {
    /// Their ids.
    exchanges: Vec<String>,
    /// What is answered here, where it is another status.
    status: Option<u16>,
    reason: String,
}

/// The folders of the checkpoints that launches name.
struct Checkpoints(tempfile::TempDir);

impl Checkpoints {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for checkpoint in ["base/hf", "tiny.en/hf", "chattts/asset/gpt"] {
            fs::create_dir_all(folder.path().join(checkpoint)).unwrap();
        }
        fs::write(folder.path().join("chattts/asset/gpt/model.safetensors"), b"").unwrap();
        Self(folder)
    }

    fn place(&self, text: &str) -> String {
        let here = self.0.path().display().to_string();
        text.replace("<chattts>", &format!("{here}/chattts")).replace("<checkpoints>", &here)
    }

    fn hold(&self, checkpoint: &str, what: &str) -> PathBuf {
        let path = self.0.path().join(checkpoint).join(what);
        fs::write(&path, b"").unwrap();
        path
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "the list of differences is the test's result")]
async fn answers_are_those_of_xinference_4_1() {
    let exchanges: Vec<Exchange> = EXCHANGES
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    let differences: Differences = toml::from_str(DIFFERENCES).unwrap();
    let checkpoints = Checkpoints::new();
    let new_app = || app_at(tempfile::tempdir().unwrap(), |_| {}, |config| config.local_models.clear());
    let mut app = new_app();
    let mut held: Option<PathBuf> = None;
    let mut late = None;
    let mut report = String::new();
    let (mut same, mut different) = (0, 0);
    let mut added = HashSet::new();
    for exchange in &exchanges {
        let number = exchange.id.split('-').next().unwrap();
        let release = |held: &mut Option<PathBuf>| held.take().map(|file| fs::remove_file(file).unwrap());
        // What went on beside the recording.
        match number {
            "c41" | "g22" => held = Some(checkpoints.hold("tiny.en/hf", HOLD_LOADING)),
            "c48" => {
                release(&mut held);
                until_ready(&app, "whisper-1").await;
            }
            "f37" | "f41" => {
                held = Some(checkpoints.hold("base/hf", HOLD_JOBS));
                let before = app.seen.jobs();
                let uid = if number == "f37" { "limited" } else { "extra" };
                let (router, request) = (app.router.clone(), transcription_by(uid));
                late = Some(tokio::spawn(async move { crate::support::send(router, request).await }));
                while app.seen.jobs() == before {
                    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                }
            }
            "s01" => app = new_app(),
            _ => {}
        }
        let answer = if number == "f42" {
            release(&mut held);
            late.take().unwrap().await.unwrap()
        } else {
            app.send(request(exchange, &checkpoints)).await
        };
        match number {
            "f38" => {
                release(&mut held);
                assert_eq!(late.take().unwrap().await.unwrap().status, 200);
            }
            "g26" => drop(release(&mut held)),
            _ => {}
        }

        let found = compare(exchange, &answer, &differences.added, &mut added);
        match (found.is_empty(), differences.of(&exchange.id)) {
            (true, None) => same += 1,
            (true, Some(_)) => {
                let _ = writeln!(report, "{}: listed as different and is the same", exchange.id);
            }
            (false, None) => {
                let _ = writeln!(report, "{}: {}: {}", exchange.id, found.join("; "), start(&answer));
            }
            (false, Some(listed)) if listed.status.unwrap_or(exchange.status) == answer.status => {
                different += 1;
                println!("{}: {}: {}", exchange.id, found.join("; "), listed.reason);
            }
            (false, Some(listed)) => {
                let expected = listed.status.unwrap_or(exchange.status);
                let _ = writeln!(report, "{}: {expected} is listed: {}", exchange.id, start(&answer));
            }
        }
    }
    let listed = differences.difference.iter().flat_map(|difference| &difference.exchanges);
    for id in listed.filter(|id| exchanges.iter().all(|exchange| exchange.id != **id)) {
        let _ = writeln!(report, "{id}: there is no such exchange");
    }
    for name in differences.added.keys().filter(|name| !added.contains(*name)) {
        let _ = writeln!(report, "{name}: listed as added and is not");
    }
    println!("{same} exchanges are the same, {different} differ as listed");
    assert!(report.is_empty(), "\n{report}");
}

fn start(answer: &Answer) -> String {
    format!(
        "{} {}",
        answer.status,
        String::from_utf8_lossy(&answer.body).chars().take(300).collect::<String>()
    )
}

async fn until_ready(app: &App, uid: &str) {
    while app.get(&format!("/v1/models/{uid}")).await.status != 200 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

fn request(exchange: &Exchange, checkpoints: &Checkpoints) -> Request<Body> {
    let mut request = Request::builder().method(exchange.method.as_str()).uri(&exchange.path);
    for (name, value) in &exchange.headers {
        request = request.header(name, value);
    }
    if let Some(json) = &exchange.json {
        let body = checkpoints.place(&json.to_string());
        return request.header("content-type", "application/json").body(body.into()).unwrap();
    }
    if let Some(text) = &exchange.text {
        let kind = exchange.content_type.as_deref().unwrap_or("application/json");
        return request.header("content-type", kind).body(text.clone().into()).unwrap();
    }
    if exchange.fields.is_empty() && exchange.files.is_empty() && !exchange.path.starts_with("/v1/audio/") {
        return request.body(Body::empty()).unwrap();
    }
    if exchange.method != "POST" {
        return request.body(Body::empty()).unwrap();
    }
    let mut body = Vec::new();
    for (name, value) in &exchange.fields {
        body.extend_from_slice(part(name, None).as_bytes());
        body.extend_from_slice(format!("{value}\r\n").as_bytes());
    }
    for file in &exchange.files {
        body.extend_from_slice(part(&file.name, file.filename.as_deref()).as_bytes());
        body.extend_from_slice(&input(&file.input));
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    request.header("content-type", kind).body(body.into()).unwrap()
}

fn transcription_by(uid: &str) -> Request<Body> {
    crate::support::form("/v1/audio/transcriptions", &[("model", uid)], Some(&sound()))
}

/// A file of the recording: those that hold no audio as they were, for the others two seconds of sound.
fn input(name: &str) -> Vec<u8> {
    match name {
        "garbage.mp3" => b"not audio at all\n".repeat(50),
        "html.m4a" => b"<!DOCTYPE html><html><body>404</body></html>".to_vec(),
        "empty.wav" => Vec::new(),
        "header-only.wav" => sound()[..44].to_vec(),
        _ => sound(),
    }
}

/// How an answer differs from the recorded one.
fn compare(
    exchange: &Exchange,
    answer: &Answer,
    may_be_added: &BTreeMap<String, String>,
    added: &mut HashSet<String>,
) -> Vec<String> {
    let mut found = Vec::new();
    if answer.status != exchange.status {
        found.push(format!("status {} in place of {}", answer.status.as_u16(), exchange.status));
    }
    let kind = answer.header("content-type").split(';').next().unwrap_or_default();
    if exchange.kind.as_deref().is_some_and(|recorded| recorded != kind) {
        found.push(format!("{kind} in place of {}", exchange.kind.as_deref().unwrap_or_default()));
    }
    if let Some(shape) = &exchange.shape {
        match serde_json::from_slice(&answer.body) {
            Ok(value) => fit(&value, shape, "", may_be_added, added, &mut found),
            Err(_) => found.push("no JSON".to_owned()),
        }
    }
    found
}

/// Checks a value against a shape; the data's maker explains shapes.
fn fit(
    value: &Value,
    shape: &Value,
    place: &str,
    may_be_added: &BTreeMap<String, String>,
    added: &mut HashSet<String>,
    found: &mut Vec<String>,
) {
    match (value, shape) {
        (_, Value::String(words)) => {
            let word = match value {
                Value::Null => "null",
                Value::Bool(_) => "bool",
                Value::Number(_) => "number",
                Value::String(_) => "string",
                Value::Array(_) => "a list",
                Value::Object(_) => "an object",
            };
            if !words.split('|').any(|known| known == word) {
                found.push(format!("{place} is {word} and not {words}"));
            }
        }
        (Value::Array(items), Value::Array(shapes)) => {
            for (item, shape) in items.iter().zip(shapes.iter().cycle()) {
                fit(item, shape, &format!("{place}[]"), may_be_added, added, found);
            }
        }
        (_, Value::Object(names)) if names.contains_key("|") => {
            let fits = |shape: &Value| {
                let mut faults = Vec::new();
                fit(value, shape, place, may_be_added, &mut HashSet::new(), &mut faults);
                faults.is_empty()
            };
            if !names["|"].as_array().unwrap().iter().any(fits) {
                found.push(format!("{place} has none of the shapes"));
            }
        }
        (Value::Object(object), Value::Object(names)) => {
            for (name, value) in object {
                let known =
                    names.get(name).or_else(|| names.get(&format!("{name}?"))).or_else(|| names.get("*"));
                match known {
                    Some(shape) => fit(value, shape, &format!("{place}.{name}"), may_be_added, added, found),
                    None if may_be_added.contains_key(name) => drop(added.insert(name.clone())),
                    None => found.push(format!("{place}.{name} is new")),
                }
            }
            for name in names.keys().filter(|name| !name.ends_with('?') && *name != "*") {
                if !object.contains_key(name) {
                    found.push(format!("{place}.{name} is missing"));
                }
            }
        }
        _ => found.push(format!("{place} is of another kind")),
    }
}
