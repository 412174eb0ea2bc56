//! Clients on real sockets that are slow, silent or gone. Whatever they do, their places are free again afterwards.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::to_bytes;
use axum::http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::support::{App, BOUNDARY, SPEECH, TRANSCRIPTIONS, app_with, form, json, sound, speech_body};

/// A server on a socket, with one place for a request and two for jobs.
struct Served {
    app: App,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<std::io::Result<()>>,
}

async fn serve(change: impl FnOnce(&mut mynah_server::Limits)) -> Served {
    let app = app_with(|config| {
        config.limits.max_requests = 1;
        config.limits.shutdown_timeout = Duration::from_millis(300);
        change(&mut config.limits);
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let stopped = async { stopped.await.unwrap_or_default() };
    let ended = tokio::spawn(mynah_server::serve(listener, app.router.clone(), app.control.clone(), stopped));
    Served { app, address, stop, ended }
}

impl Served {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Waits until a job has been taken in.
    async fn has_begun(&self) {
        while self.app.engine.jobs() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Sends a good request until it is answered with 200, and sees that nothing is held any more.
    async fn is_as_good_as_new(&self) {
        let begin = tokio::time::Instant::now();
        loop {
            let answer =
                self.ask(&bytes(form(TRANSCRIPTIONS, &[("model", "scripted")], Some(&sound()))).await).await;
            if answer.starts_with("HTTP/1.1 200 ") {
                break;
            }
            assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
            assert!(begin.elapsed() < Duration::from_secs(200), "a place is held for ever");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        while self.app.engine.jobs() > 0 || self.app.engine.request_memory().taken_bytes() > 0 {
            assert!(begin.elapsed() < Duration::from_secs(200), "a job or its memory is held for ever");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn ask(&self, request: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request).await.unwrap();
        all(stream).await
    }
}

async fn all(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // A connection may be reset after the answer, where its request was not read to the end.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// A request as it goes over the wire, the last one of its connection.
async fn bytes(request: Request<axum::body::Body>) -> Vec<u8> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let kind = head.headers["content-type"].to_str().unwrap();
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        head.uri,
        body.len()
    );
    [head.as_bytes(), &body].concat()
}

async fn transcription(model: &str, stream: bool) -> Vec<u8> {
    let stream = if stream { "true" } else { "false" };
    bytes(form(TRANSCRIPTIONS, &[("model", model), ("stream", stream)], Some(&sound()))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_leave_at_every_stage() {
    let served = serve(|_| {}).await;
    let whole = transcription("slow", true).await;
    let head = whole.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    // Connected, in the head, after it, in a part's head, in the upload, before the last byte.
    for sent in [0, 20, head + 4, head + 30, whole.len() / 2, whole.len() - 1] {
        let mut stream = served.connect().await;
        stream.write_all(&whole[..sent]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        drop(stream);
        served.is_as_good_as_new().await;
    }
    // While it is computed and nothing is sent, while events come, while sound comes.
    for request in [
        transcription("slow", false).await,
        whole,
        bytes(json(SPEECH, speech_body(&serde_json::json!({"model": "slow-voice"})).to_string())).await,
    ] {
        let mut stream = served.connect().await;
        stream.write_all(&request).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(stream);
        served.is_as_good_as_new().await;
    }
    served.app.seen.cancellation().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_send_a_byte_now_and_then() {
    let served = serve(|limits| {
        limits.header_timeout = Duration::from_secs(3);
        limits.upload_stall_timeout = Duration::from_secs(2);
        limits.upload_timeout = Duration::from_secs(600);
        limits.min_upload_bytes_per_s = 1000;
    })
    .await;
    // In the head: the connection ends, with or without 408.
    let mut stream = served.connect().await;
    for byte in b"GET /health HTTP/1.1\r\nHost: localhost".iter().cycle() {
        if stream.write_all(&[*byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    // In the body: a byte often enough for upload_stall_timeout, and far too few of them.
    let whole = transcription("scripted", false).await;
    let head = whole.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let (mut read, mut write) = served.connect().await.into_split();
    write.write_all(&whole[..head]).await.unwrap();
    let sending = tokio::spawn(async move {
        for byte in &whole[head..] {
            if write.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    });
    let mut answer = Vec::new();
    let _ = read.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("min_upload_bytes_per_s is 1000"), "{answer}");
    sending.abort();
    served.is_as_good_as_new().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_reads_its_answer() {
    let served = serve(|limits| limits.write_timeout = Duration::from_secs(2)).await;
    // Far more sound than all buffers hold.
    let text = "word ".repeat(20_000);
    let members = serde_json::json!({"input": text, "response_format": "wav"});
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut silent = socket.connect(served.address).await.unwrap();
    silent.write_all(&bytes(json(SPEECH, speech_body(&members).to_string())).await).await.unwrap();
    served.has_begun().await;
    served.is_as_good_as_new().await;
    drop(silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_refuses_before_the_upload_is_read() {
    let served = serve(|_| {}).await;
    let mut streaming = served.connect().await;
    streaming.write_all(&transcription("slow", true).await).await.unwrap();
    served.has_begun().await;
    // It announces much, waits for a word, and sends nothing.
    let head = format!(
        "POST {TRANSCRIPTIONS} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-continue\r\n\
         Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: 100000000\r\n\r\n"
    );
    let answer = served.ask(head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 429 ") && answer.contains("retry-after: "), "{answer}");
    assert!(answer.contains("max_requests"), "{answer}");
    drop(streaming);
    served.is_as_good_as_new().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_asked_to_stop_finishes() {
    let served = serve(|limits| limits.shutdown_timeout = Duration::from_secs(60)).await;
    let members = serde_json::json!({"input": "word ".repeat(500), "response_format": "wav"});
    let mut stream = served.connect().await;
    stream.write_all(&bytes(json(SPEECH, speech_body(&members).to_string())).await).await.unwrap();
    stream.read_u8().await.unwrap();
    served.stop.send(()).unwrap();
    while TcpStream::connect(served.address).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let answer = all(stream).await;
    assert!(answer.len() > 10_000_000 && answer.ends_with("0\r\n\r\n"), "{} bytes", answer.len());
    tokio::time::timeout(Duration::from_secs(200), served.ended).await.unwrap().unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_asked_to_stop_cuts_off_what_does_not_end() {
    let served = serve(|_| {}).await;
    let mut endless = served.connect().await;
    endless.write_all(&transcription("slow", true).await).await.unwrap();
    served.has_begun().await;
    let idle = served.connect().await;
    served.stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(200), served.ended).await.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(served.address).await.is_err(), "it takes no more");
    drop((idle, endless));
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_are_too_large_or_no_text() {
    let served = serve(|_| {}).await;
    let many: String = (0..200).map(|n| format!("X-{n}: y\r\n")).collect();
    let long = format!("X: {}\r\n", "y".repeat(1 << 20));
    for (head, statuses) in [
        (many, &["431"][..]),
        (long, &["431"]),
        ("Content-Length: 1\r\nContent-Length: 2\r\n".to_owned(), &["400"]),
        ("Content-Length: -1\r\n".to_owned(), &["400"]),
        ("no colon\r\n".to_owned(), &["400"]),
    ] {
        let mut stream = served.connect().await;
        // The server may close before all of it is sent.
        let _ = stream
            .write_all(format!("GET /health HTTP/1.1\r\nHost: localhost\r\n{head}\r\n").as_bytes())
            .await;
        let answer = all(stream).await;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        // A reset may swallow the answer to what was not read.
        assert!(statuses.contains(&status) || answer.is_empty(), "{answer}");
        served.is_as_good_as_new().await;
    }
    for header in [&b"Authorization: Bearer \xff\xfe"[..], b"X-Request-Id: \xff", b"Content-Type: \xff\xff"] {
        let mut request = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n".to_vec();
        request.extend_from_slice(header);
        request.extend_from_slice(b"\r\n\r\n");
        let answer = served.ask(&request).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    let uri = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "a".repeat(70_000));
    let answer = served.ask(uri.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 414 ") || answer.starts_with("HTTP/1.1 404 "), "{answer:.100}");
    served.is_as_good_as_new().await;
}
