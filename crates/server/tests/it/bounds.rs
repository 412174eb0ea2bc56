//! Bounds: over one, the answer names it.

use std::time::Duration;

use axum::body::{Body, Bytes};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::{StreamExt, stream};
use tower::ServiceExt;

use crate::support::{TRANSCRIPTIONS, app_with, form, json, multipart, part, sound};

#[tokio::test]
async fn uploads_that_are_too_large() {
    let audio = sound();
    let app = app_with(|config| config.limits.max_upload_bytes = 1000);
    let encoded = BASE64_STANDARD.encode(&audio);
    let body = format!("{{\"model\":\"scripted\",\"file\":\"{encoded}\"}}");
    for request in [form(TRANSCRIPTIONS, &[("model", "scripted")], Some(&audio)), json(TRANSCRIPTIONS, body)]
    {
        let error = app.send(request).await.error(413);
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("1000") && message.contains("max_upload_bytes"), "{message}");
    }
    let exact = audio.len() as u64;
    let app = app_with(|config| config.limits.max_upload_bytes = exact);
    assert_eq!(app.transcribe(&[]).await.status, 200);
}

#[tokio::test]
async fn an_announced_length_is_refused_before_it_is_sent() {
    let app = app_with(|config| config.limits.max_upload_bytes = 1000);
    let mut request =
        multipart(TRANSCRIPTIONS, Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>()));
    request.headers_mut().insert("content-length", "1000000000".parse().unwrap());
    request.headers_mut().insert("expect", "100-continue".parse().unwrap());
    app.send(request).await.error(413);
}

#[tokio::test]
async fn uploads_on_disk_are_as_good_as_those_in_memory() {
    for upload_memory_threshold_bytes in [0, 1000, 1 << 20] {
        let app =
            app_with(|config| config.limits.upload_memory_threshold_bytes = upload_memory_threshold_bytes);
        assert_eq!(app.transcribe(&[("language", "en")]).await.json()["usage"]["seconds"], 2);
    }
}

#[tokio::test]
async fn forms_with_too_much_beside_the_audio() {
    let app = app_with(|config| config.limits.max_text_bytes = 1000);
    let error = app.transcribe(&[("prompt", &"x".repeat(2000))]).await.error(413);
    assert!(error["message"].as_str().unwrap().contains("max_text_bytes"), "{error}");
    let app = app_with(|config| config.limits.max_parts = 3);
    let error = app.transcribe(&[("a", "1"), ("b", "2"), ("c", "3")]).await.error(400);
    assert!(error["message"].as_str().unwrap().contains("3 parts"), "{error}");
}

#[tokio::test]
async fn a_part_without_an_end_to_its_head() {
    let app = app_with(|_| {});
    let begin = Bytes::from("--a-boundary\r\nContent-Disposition: form-data; name=\"");
    let endless = stream::repeat_with(|| Bytes::from(vec![b'x'; 4096]));
    let body = stream::iter([begin]).chain(endless).map(Ok::<_, std::io::Error>);
    let request = multipart(TRANSCRIPTIONS, Body::from_stream(body));
    let answer = tokio::time::timeout(Duration::from_secs(200), app.send(request)).await;
    answer.expect("the endless head was read on").error(400);
}

#[tokio::test]
async fn uploads_that_stall() {
    let stalled = || {
        let begin = Bytes::from(part("file", Some("a.wav")) + "RIFF");
        let body = stream::iter([Ok::<_, std::io::Error>(begin)]).chain(stream::pending());
        let mut request = multipart(TRANSCRIPTIONS, Body::from_stream(body));
        // Nothing more comes, so there is nothing to wait for.
        request.headers_mut().insert("expect", "100-continue".parse().unwrap());
        request
    };
    let app = app_with(|config| config.limits.upload_stall_timeout = Duration::from_millis(50));
    let error = app.send(stalled()).await.error(408);
    assert!(error["message"].as_str().unwrap().contains("upload_stall_timeout_s"), "{error}");
    let app = app_with(|config| config.limits.upload_timeout = Duration::from_millis(50));
    let error = app.send(stalled()).await.error(408);
    assert!(error["message"].as_str().unwrap().contains("upload_timeout_s"), "{error}");
}

#[tokio::test]
async fn jobs_that_take_too_long() {
    let app = app_with(|config| config.limits.request_timeout = Duration::from_secs(2));
    let answer = app.transcribe(&[("model", "slow")]).await;
    assert_eq!(answer.error(504)["code"], "timeout");
    assert_eq!(answer.header("x-should-retry"), "false");
    app.all_stopped().await;
    let events = app.transcribe(&[("model", "slow"), ("stream", "true")]).await.events();
    assert!(events[1]["error"]["message"].as_str().unwrap().contains("request_timeout_s"), "{events:?}");
}

#[tokio::test]
async fn more_requests_than_places() {
    let app = app_with(|config| config.limits.max_requests = 1);
    let request = form(TRANSCRIPTIONS, &[("model", "slow"), ("stream", "true")], Some(&sound()));
    let streaming = app.router.clone().oneshot(request).await.unwrap();
    let answer = app.transcribe(&[]).await;
    let error = answer.error(429);
    assert_eq!((&error["type"], &error["code"]), (&"rate_limit_error".into(), &"rate_limit_exceeded".into()));
    assert_eq!(answer.header("retry-after"), "1");
    assert!(error["message"].as_str().unwrap().contains("max_requests"), "{error}");
    drop(streaming);
    app.all_stopped().await;
    assert_eq!(app.transcribe(&[]).await.status, 200, "the place is free again");
}

#[tokio::test]
async fn a_wait_that_is_too_long_gets_a_time_to_retry() {
    let app = app_with(|config| config.limits.max_queue_wait = Duration::ZERO);
    let request = form(TRANSCRIPTIONS, &[("model", "slow"), ("stream", "true")], Some(&sound()));
    let streaming = app.router.clone().oneshot(request).await.unwrap();
    // Before, it waits for its model and keeps no one waiting.
    while app.seen.jobs() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for answer in [app.transcribe(&[]).await, app.speak(&serde_json::json!({})).await] {
        let error = answer.error(503);
        let known = (&error["type"], &error["code"]);
        assert_eq!(known, (&"service_unavailable_error".into(), &"overloaded".into()));
        assert!(error["message"].as_str().unwrap().contains("max_queue_wait_s"), "{error}");
        assert_eq!(answer.header("retry-after"), "1");
    }
    // The bound is reloaded as the others are.
    app.control.set_limits(mynah_server::Limits::default());
    assert_eq!(app.transcribe(&[]).await.status, 200);
    drop(streaming);
    app.seen.cancellation().await;
}

#[tokio::test]
async fn more_jobs_than_the_engine_takes() {
    let app = app_with(|_| {});
    let mut streams = Vec::new();
    for _ in 0..4 {
        let request = form(TRANSCRIPTIONS, &[("model", "slow"), ("stream", "true")], Some(&sound()));
        streams.push(app.router.clone().oneshot(request).await.unwrap());
    }
    let answer = app.transcribe(&[]).await;
    answer.error(429);
    assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 1);
}
