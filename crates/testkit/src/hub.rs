//! A fake model hub on a free loopback port: repositories of a few small files, and the faults of real networks.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use sha2::{Digest, Sha256};

/// A client's request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Path and query.
    pub target: String,
    /// By lower-case name.
    pub headers: BTreeMap<String, String>,
}

impl Request {
    /// First byte of the requested range.
    pub fn range_start(&self) -> Option<usize> {
        self.headers.get("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// The hub's reply to a request.
#[derive(Clone, Debug)]
pub struct Reply {
    /// 0: no status line and nothing after it.
    pub status: u16,
    /// Additional headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Number of body bytes sent before `then`.
    pub cut: Option<(usize, Then)>,
    /// Bytes per write, and the pause after each.
    pub pace: Option<(usize, Duration)>,
}

/// What happens after part of a body.
#[derive(Clone, Copy, Debug)]
pub enum Then {
    /// The connection is closed.
    Close,
    /// The connection stalls.
    Hang,
}

impl Reply {
    /// A status without a body.
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), cut: None, pace: None }
    }

    /// A body with status 200.
    pub fn body(body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::status(200) }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// See [`Reply::cut`].
    #[must_use]
    pub fn cut_after(mut self, bytes: usize, then: Then) -> Self {
        self.cut = Some((bytes, then));
        self
    }

    /// Closes the connection without a status line.
    pub fn silence() -> Self {
        Self { status: 0, ..Self::status(0) }
    }
}

/// A server whose replies come from a closure.
pub struct Hub {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
}

impl Hub {
    /// Starts the server, which stops when dropped.
    ///
    /// # Panics
    /// If no port is free.
    pub fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let answer = Arc::new(answer);
        {
            let (requests, stop) = (Arc::clone(&requests), Arc::clone(&stop));
            thread::spawn(move || {
                for stream in listener.incoming() {
                    if stop.load(Ordering::Acquire) {
                        return;
                    }
                    let (requests, stop, answer) =
                        (Arc::clone(&requests), Arc::clone(&stop), Arc::clone(&answer));
                    thread::spawn(move || {
                        let mut stream = stream.unwrap();
                        let Some(request) = read(&stream) else { return };
                        requests.lock().unwrap().push(request.clone());
                        // The client may disconnect at any time.
                        let _ = write(&mut stream, &answer(&request), &stop);
                    });
                }
            });
        }
        Self { address, requests, stop }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests so far.
    ///
    /// # Panics
    /// If a reply panicked.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// Number of requests whose path ends with `end`.
    pub fn requests_for(&self, end: &str) -> Vec<Request> {
        self.requests().into_iter().filter(|request| request.target.ends_with(end)).collect()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines();
    let target = lines.next()?.ok()?.split(' ').nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let line = lines.next()?.ok()?;
        let Some((name, value)) = line.split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    Some(Request { target, headers })
}

fn write(stream: &mut TcpStream, reply: &Reply, stop: &AtomicBool) -> std::io::Result<()> {
    let hang = || {
        while !stop.load(Ordering::Acquire) {
            thread::sleep(Duration::from_millis(5));
        }
    };
    if reply.status == 0 {
        hang();
        return Ok(());
    }
    let mut head = format!("HTTP/1.1 {} Because\r\nConnection: close\r\n", reply.status);
    head += &format!("Content-Length: {}\r\n", reply.body.len());
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all(head.as_bytes())?;
    stream.write_all(b"\r\n")?;
    if let Some((bytes, pause)) = reply.pace {
        for piece in reply.body.chunks(bytes) {
            stream.write_all(piece)?;
            thread::sleep(pause);
        }
        return Ok(());
    }
    let Some((bytes, then)) = reply.cut else { return stream.write_all(&reply.body) };
    stream.write_all(&reply.body[..bytes])?;
    stream.flush()?;
    if let Then::Hang = then {
        hang();
    }
    Ok(())
}

/// Files of a repository, served like both kinds of hub.
#[derive(Clone)]
pub struct Repository {
    /// By name.
    pub files: BTreeMap<&'static str, Vec<u8>>,
}

impl Repository {
    /// A checkpoint, some unrelated files, and a name that escapes the folder.
    #[expect(clippy::new_without_default, reason = "it is not a default value")]
    pub fn new() -> Self {
        let weights = (0..300_000_u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        Self {
            files: BTreeMap::from([
                ("model.safetensors", weights),
                ("config.json", br#"{"d_model": 8}"#.to_vec()),
                ("tokenizer.json", br#"{"model": {}}"#.to_vec()),
                ("README.md", b"read me".to_vec()),
                ("flax_model.msgpack", vec![0; 64]),
                ("../config.json", b"stolen".to_vec()),
            ]),
        }
    }

    /// The only large file.
    pub fn weights(&self) -> &[u8] {
        &self.files["model.safetensors"]
    }

    /// Bytes that a pull downloads.
    pub fn checkpoint_bytes(&self) -> u64 {
        ["model.safetensors", "config.json", "tokenizer.json"]
            .map(|name| self.files[name].len() as u64)
            .iter()
            .sum()
    }

    /// The correct reply to any request.
    ///
    /// # Panics
    /// Never, as a target has a last part.
    pub fn answer(&self, request: &Request) -> Reply {
        let target = request.target.as_str();
        if target.starts_with("/api/models/") {
            return Reply::body(self.huggingface_listing(true));
        }
        if target.starts_with("/api/v1/models/") && target.contains("/repo/files?") {
            return Reply::body(self.modelscope_listing());
        }
        let name = match target.split_once("FilePath=") {
            Some((_, name)) => name,
            None => target.rsplit('/').next().unwrap(),
        };
        match self.files.get(name) {
            Some(bytes) => ranged(request, bytes),
            None => Reply::status(404),
        }
    }

    /// `details`: with sizes and checksums.
    pub fn huggingface_listing(&self, details: bool) -> String {
        let siblings: Vec<serde_json::Value> = self
            .files
            .iter()
            .map(|(name, bytes)| {
                let lfs =
                    serde_json::json!({"sha256": sha256(bytes), "size": bytes.len(), "pointerSize": 134});
                match (details, bytes.len() > 1000) {
                    (false, _) => serde_json::json!({"rfilename": name}),
                    (true, false) => {
                        serde_json::json!({"rfilename": name, "size": bytes.len(), "blobId": "1"})
                    }
                    (true, true) => serde_json::json!({"rfilename": name, "size": bytes.len(), "lfs": lfs}),
                }
            })
            .collect();
        serde_json::json!({"id": "any/any", "sha": "c0ffee", "siblings": siblings}).to_string()
    }

    fn modelscope_listing(&self) -> String {
        let file = |(name, bytes): (&&str, &Vec<u8>)| {
            serde_json::json!({
                "Name": name, "Path": name, "Size": bytes.len(), "Sha256": sha256(bytes), "Type": "blob",
            })
        };
        let files: Vec<serde_json::Value> = self.files.iter().map(file).collect();
        serde_json::json!({"Code": 200, "Data": {"Files": files}, "Success": true}).to_string()
    }
}

/// All of `bytes`, or the requested range.
pub fn ranged(request: &Request, bytes: &[u8]) -> Reply {
    let Some(start) = request.range_start() else { return Reply::body(bytes) };
    if start >= bytes.len() {
        return Reply::status(416);
    }
    let range = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
    Reply { status: 206, ..Reply::body(&bytes[start..]) }.header("Content-Range", range)
}

/// Checksum in lower-case hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
