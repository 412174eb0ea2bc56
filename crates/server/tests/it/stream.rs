//! Streamed transcriptions, and clients that leave.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::json;
use tower::ServiceExt;

use crate::support::{TRANSCRIPTIONS, app, form, sound};

const TEXT: &str = "Hello, world. It's (really) \"me\"!";

#[tokio::test]
async fn segments_come_as_deltas_and_end_with_done() {
    let app = app();
    for format in ["json", "text"] {
        let answer =
            app.transcribe(&[("stream", "true"), ("response_format", format), ("language", "en")]).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "text/event-stream");
        assert_eq!(answer.header("cache-control"), "no-cache");
        let events = answer.events();
        let usage = json!({"type": "duration", "seconds": 2});
        let expected = [
            json!({"type": "transcript.text.delta", "delta": "Hello, world."}),
            json!({"type": "transcript.text.delta", "delta": " It's (really) \"me\"!"}),
            json!({"type": "transcript.text.done", "text": TEXT, "usage": usage}),
        ];
        assert_eq!(events, expected);
    }
    let events = app.translate(&[("stream", "true")]).await.events();
    assert_eq!(
        events[2],
        json!({"type": "transcript.text.done", "text": TEXT, "languages": [{"code": "en"}]})
    );
}

#[tokio::test]
async fn deltas_carry_log_probabilities_if_asked_for() {
    let events = app().transcribe(&[("stream", "true"), ("include[]", "logprobs")]).await.events();
    assert_eq!(events[0]["logprobs"][0]["logprob"], -0.25);
    assert_eq!(events[2]["logprobs"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn silence_has_no_delta() {
    let events =
        app().transcribe(&[("stream", "true"), ("model", "silent"), ("language", "en")]).await.events();
    let usage = json!({"type": "duration", "seconds": 2});
    assert_eq!(events, [json!({"type": "transcript.text.done", "text": "", "usage": usage})]);
}

#[tokio::test]
async fn what_fails_before_the_work_begins_has_its_own_status() {
    let app = app();
    let garbage = form(TRANSCRIPTIONS, &[("model", "scripted"), ("stream", "true")], Some(b"garbage"));
    app.send(garbage).await.error(400);
    app.transcribe(&[("stream", "true"), ("model", "damaged")]).await.error(500);
}

#[tokio::test]
async fn what_fails_half_way_is_an_event() {
    let answer = app().transcribe(&[("stream", "true"), ("model", "fails")]).await;
    assert_eq!(answer.status, 200);
    let events = answer.events();
    assert_eq!(events.len(), 2);
    assert_eq!(events[1]["error"]["message"], "this went wrong half way");
}

#[tokio::test]
async fn a_client_that_leaves_stops_its_job() {
    let app = app();
    let request = form(TRANSCRIPTIONS, &[("model", "slow")], Some(&sound()));
    let answer = tokio::time::timeout(Duration::from_millis(200), app.send(request)).await;
    assert!(answer.is_err(), "the job was to wait for its cancellation");
    app.all_stopped().await;
}

#[tokio::test]
async fn a_client_that_leaves_a_stream_stops_its_job() {
    let app = app();
    let request = form(TRANSCRIPTIONS, &[("model", "slow"), ("stream", "true")], Some(&sound()));
    let response = app.router.clone().oneshot(request).await.unwrap();
    let mut pieces = response.into_body().into_data_stream();
    let first = pieces.next().await.unwrap().unwrap();
    assert!(first.starts_with(b"data: {\"type\":\"transcript.text.delta\""), "{first:?}");
    drop(pieces);
    app.seen.cancellation().await;
}
