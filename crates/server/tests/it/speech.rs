//! `POST /v1/audio/speech` in both dialects.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::StreamExt;
use mynah_audio::decode_bytes;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::{Answer, SPEECH, app, app_with, form, json as json_request, part, speech_body};

/// Seconds of sound in an answer.
fn duration_s(answer: &Answer) -> f64 {
    let decoded = decode_bytes(answer.body.clone(), &Default::default(), &|| false);
    decoded.unwrap_or_else(|error| panic!("{error}")).info.duration_s
}

#[tokio::test]
async fn mp3_is_the_default_and_every_format_has_its_type() {
    let app = app();
    let answer = app.speak(&json!({})).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "audio/mpeg"));
    assert_eq!(answer.header("cache-control"), "no-cache");
    assert!((duration_s(&answer) - 1.5).abs() < 0.1);
    for (format, content_type) in [
        ("mp3", "audio/mpeg"),
        ("opus", "audio/opus"),
        ("aac", "audio/aac"),
        ("flac", "audio/flac"),
        ("wav", "audio/wav"),
        // As Xinference's users write them.
        (".mp3", "audio/mpeg"),
        ("WAV", "audio/wav"),
        ("ogg", "audio/opus"),
    ] {
        let answer = app.speak(&json!({"response_format": format})).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, content_type), "{format}");
        let seconds = duration_s(&answer);
        assert!((1.45..1.65).contains(&seconds), "{format}: {seconds}");
    }
    let answer = app.speak(&json!({"response_format": "pcm"})).await;
    assert_eq!((answer.header("content-type"), answer.body.len()), ("audio/pcm", 2 * 36_000));
    let answer = app.speak(&json!({"response_format": "wav", "sample_rate": 8000})).await;
    assert_eq!(answer.body[24..28], 8000_u32.to_le_bytes());
    // Its length is not known when it begins.
    assert_eq!(answer.body[40..44], [0xff; 4]);
}

#[tokio::test]
async fn parameters_reach_the_model() {
    let app = app();
    app.speak(&json!({"voice": "anna", "speed": 1.5, "seed": 7, "stream": true})).await;
    let (text, options) = app.seen.speech();
    assert_eq!(text, "one two three");
    assert_eq!((options.voice.as_deref(), options.speed, options.seed), (Some("anna"), 1.5, 7));
    app.speak(&json!({"voice": {"id": "bert"}, "speed": "0.5", "kwargs": "{\"seed\": 9}"})).await;
    let (_, options) = app.seen.speech();
    assert_eq!((options.voice.as_deref(), options.speed, options.seed), (Some("bert"), 0.5, 9));
    // What Xinference's clients send where nothing was chosen.
    let defaults = json!({"voice": "", "speed": null, "seed": -1, "kwargs": "{}", "response_format": "mp3", "stream": false});
    assert_eq!(app.speak(&defaults).await.status, 200);
    let (_, options) = app.seen.speech();
    assert_eq!((options.voice, options.speed, options.seed), (None, 1.0, 0));
    let text =
        json!({"model": "scripted-voice", "text": "as in the documentation", "voice": null}).to_string();
    assert_eq!(app.send(json_request(SPEECH, text)).await.status, 200);
    assert_eq!(app.seen.speech().0, "as in the documentation");
    let answer = app
        .send(form(SPEECH, &[("model", "scripted-voice"), ("input", "a form"), ("stream", "True")], None))
        .await;
    assert_eq!((answer.status.as_u16(), app.seen.speech().0.as_str()), (200, "a form"));
    // What no server here knows is passed over.
    assert_eq!(app.speak(&json!({"lang_code": "a", "volume": 3})).await.status, 200);
}

#[tokio::test]
async fn events_carry_the_audio_its_cost_and_its_words() {
    let app = app();
    let ask = json!({"stream_format": "sse", "response_format": "pcm", "timestamp_granularities": ["word"]});
    let answer = app.speak(&ask).await;
    assert_eq!(answer.header("content-type"), "text/event-stream");
    let events = answer.events();
    let (done, deltas) = events.split_last().unwrap();
    let audio: Vec<u8> = deltas
        .iter()
        .flat_map(|event| {
            assert_eq!(event["type"], "speech.audio.delta");
            BASE64_STANDARD.decode(event["audio"].as_str().unwrap()).unwrap()
        })
        .collect();
    assert!(deltas.len() >= 3, "a piece a word");
    assert_eq!(audio, app.speak(&json!({"response_format": "pcm"})).await.body);
    let words = json!([
        {"word": "one", "start": 0.0, "end": 0.5},
        {"word": "two", "start": 0.5, "end": 1.0},
        {"word": "three", "start": 1.0, "end": 1.5},
    ]);
    let usage = json!({"input_tokens": 13, "output_tokens": 7, "total_tokens": 20});
    assert_eq!(*done, json!({"type": "speech.audio.done", "usage": usage, "words": words}));
    let plain = app.speak(&json!({"stream_format": "sse"})).await.events();
    assert_eq!(plain.last().unwrap().get("words"), None);
}

#[tokio::test]
async fn what_cannot_be_honoured_is_refused() {
    let app = app();
    for (members, param, text) in [
        (json!({"speed": 0.2}), json!("speed"), "0.25 to 4"),
        (json!({"speed": "fast"}), json!("speed"), "number"),
        (json!({"response_format": "m4b"}), json!("response_format"), "mp3, opus, aac, flac, wav, pcm"),
        (json!({"stream_format": "websocket"}), json!("stream_format"), "audio or sse"),
        (json!({"stream": "perhaps"}), json!("stream"), "true or false"),
        (json!({"voice": {"name": "x"}}), json!("voice"), "id"),
        (json!({"voice": 3}), json!("voice"), "object"),
        (json!({"instructions": "whisper"}), json!("instructions"), "cannot follow instructions"),
        (json!({"sample_rate": 4000}), json!("sample_rate"), "8000 to 48000"),
        (json!({"sample_rate": 20_000}), json!("sample_rate"), "22050"),
        (json!({"timestamp_granularities": ["word"]}), json!("timestamp_granularities"), "sse"),
        (
            json!({"timestamp_granularities": ["segment"], "stream_format": "sse"}),
            json!("timestamp_granularities"),
            "must be word",
        ),
        (json!({"kwargs": {"prompt_text": "x"}}), json!("prompt_speech"), "reference audio"),
        (json!({"ref_audio": "x"}), json!("ref_audio"), "prompt_speech"),
        (json!({"prompt_speech": "?", "prompt_text": "x"}), json!("prompt_speech"), "base64"),
        (json!({"kwargs": {"magic": 1}}), json!("kwargs"), "magic"),
        (json!({"input": ""}), json!("input"), "input"),
        (json!({"input": "你好"}), json!("input"), "Chinese"),
        (json!({"model": ""}), json!("model"), "model"),
        (json!({"model": "whisper-1"}), json!("model"), "hibari"),
        (json!({"model": "hibari", "voice": "unknown"}), json!("voice"), "heart, emma, fenrir, fable, kore"),
    ] {
        let error = app.speak(&members).await.error(400);
        assert_eq!(error["param"], param, "{members}: {error}");
        assert!(error["message"].as_str().unwrap().contains(text), "{members}: {error}");
    }
    let head = part("prompt_speech", Some("me.wav"));
    let body = format!(
        "{}scripted-voice\r\n{}hello\r\n{head}RIFF\r\n--a-boundary--\r\n",
        part("model", None),
        part("input", None)
    );
    let error = app.send(crate::support::multipart(SPEECH, body.into())).await.error(400);
    assert_eq!(error["param"], "prompt_text");
    let error = app.speak(&json!({"model": "hibary"})).await.error(404);
    assert!(error["message"].as_str().unwrap().contains("hibari"), "{error}");
    assert_eq!(app.speak(&json!({"model": "tts-1"})).await.error(503)["code"], "model_unavailable");
    // The other way round.
    let error = app.transcribe(&[("model", "hibari")]).await.error(400);
    assert!(error["message"].as_str().unwrap().contains("whisper-base"), "{error}");
}

#[tokio::test]
async fn bodies_that_are_none() {
    let app = app();
    for body in ["", "{", "[]", "\"text\"", "null"] {
        app.send(json_request(SPEECH, body.to_owned())).await.error(400);
    }
    let request = axum::http::Request::post(SPEECH).header("content-type", "text/plain").body("hello".into());
    app.send(request.unwrap()).await.error(415);
    let app = app_with(|config| config.limits.max_text_bytes = 1000);
    let long = json!({"input": "x".repeat(100_000)});
    let error = app.speak(&long).await.error(413);
    assert!(error["message"].as_str().unwrap().contains("max_text_bytes"), "{error}");
    assert!(app.seen.nothing());
}

#[tokio::test]
async fn failures_before_and_after_the_first_sound() {
    let app = app();
    for model in ["panics-voice", "damaged-voice"] {
        let error = app.speak(&json!({"model": model})).await.error(500);
        assert!(!error["message"].as_str().unwrap().contains("secret"), "{error}");
    }
    let events = app
        .speak(&json!({"model": "fails-voice", "stream_format": "sse", "response_format": "wav"}))
        .await
        .events();
    assert_eq!(events[0]["type"], "speech.audio.delta");
    assert_eq!(events[1]["error"]["message"], "this went wrong half way");
    assert_eq!(events.len(), 2);
    // Audio alone has no place for an error: the body breaks off, and no client takes it for whole.
    let request = json_request(
        SPEECH,
        speech_body(&json!({"model": "fails-voice", "response_format": "wav"})).to_string(),
    );
    let response = app.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let pieces: Vec<_> = response.into_body().into_data_stream().collect().await;
    assert!(pieces[0].is_ok() && pieces.last().unwrap().is_err());
}

#[tokio::test]
async fn audio_is_sent_while_it_is_made_and_who_leaves_stops_it() {
    let app = app();
    for stream_format in ["audio", "sse"] {
        let body = speech_body(
            &json!({"model": "slow-voice", "response_format": "pcm", "stream_format": stream_format}),
        );
        let response = app.router.clone().oneshot(json_request(SPEECH, body.to_string())).await.unwrap();
        let mut pieces = response.into_body().into_data_stream();
        let first = tokio::time::timeout(Duration::from_secs(100), pieces.next()).await;
        assert!(!first.expect("the first sound waits for the last").unwrap().unwrap().is_empty());
        drop(pieces);
        app.seen.cancellation().await;
    }
}

#[tokio::test]
async fn speech_that_takes_too_long() {
    let app = app_with(|config| config.limits.request_timeout = Duration::from_secs(2));
    let events = app
        .speak(&json!({"model": "slow-voice", "stream_format": "sse", "response_format": "wav"}))
        .await
        .events();
    let last: &Value = events.last().unwrap();
    assert!(last["error"]["message"].as_str().unwrap().contains("request_timeout_s"), "{events:?}");
    app.all_stopped().await;
}

#[tokio::test]
async fn places_are_shared_with_transcriptions() {
    let app = app_with(|config| config.limits.max_requests = 1);
    let body = speech_body(&json!({"model": "slow-voice", "response_format": "pcm"}));
    let speaking = app.router.clone().oneshot(json_request(SPEECH, body.to_string())).await.unwrap();
    app.transcribe(&[]).await.error(429);
    drop(speaking);
    app.all_stopped().await;
    assert_eq!(app.transcribe(&[]).await.status, 200);
}
