//! Requests that mean harm: each gets an answer of its own, nothing of 500 or above, and the next one fares well.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::support::{
    App, BOUNDARY, SPEECH, TRANSCRIPTIONS, app, app_with, form, json as json_body, multipart, part, sound,
};

/// The answer to what was sent, of which the next request must suffer nothing.
async fn status(app: &App, request: Request<Body>) -> u16 {
    let answer = app.send(request).await;
    assert!(!answer.status.is_server_error(), "{}", answer.text());
    if !answer.status.is_success() {
        answer.error(answer.status.as_u16());
    }
    assert_eq!(app.transcribe(&[]).await.status, 200, "the next request fares well");
    answer.status.as_u16()
}

/// A wave file of 32-bit floats.
fn floats(values: impl Iterator<Item = f32>) -> Vec<u8> {
    let data: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
    let mut file = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x03\0\x01\0".to_vec();
    file.extend_from_slice(&16_000_u32.to_le_bytes());
    file.extend_from_slice(&64_000_u32.to_le_bytes());
    file.extend_from_slice(b"\x04\0\x20\0data");
    file.extend_from_slice(&(data.len() as u32).to_le_bytes());
    file.extend_from_slice(&data);
    file
}

#[tokio::test]
async fn samples_that_are_no_numbers() {
    let app = app();
    let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MIN_POSITIVE / 2.0, f32::MAX, -0.0, 1e30];
    for value in odd {
        let audio = floats(std::iter::repeat_n(value, 16_000));
        assert_eq!(status(&app, form(TRANSCRIPTIONS, &[("model", "scripted")], Some(&audio))).await, 200);
    }
    let mixed = floats(odd.into_iter().cycle().take(16_000));
    assert_eq!(status(&app, form(TRANSCRIPTIONS, &[("model", "scripted")], Some(&mixed))).await, 200);
}

#[tokio::test]
async fn files_that_claim_more_than_they_hold() {
    let app = app_with(|config| config.limits.max_request_memory_bytes = 8 << 20);
    let mut days = sound();
    days[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    days[40..44].copy_from_slice(&0xffff_fff0_u32.to_le_bytes());
    let audio = [("model", "scripted"), ("response_format", "verbose_json")];
    let answer = app.send(form(TRANSCRIPTIONS, &audio, Some(&days))).await;
    assert_eq!(answer.json()["duration"], 2.0, "two seconds are there, whatever the head says");
    // A rate at which two seconds of samples would be hours, and one that no machine has.
    for rate in [1_u32, 1000, 0, u32::MAX] {
        let mut slow = sound();
        slow[24..28].copy_from_slice(&rate.to_le_bytes());
        status(&app, form(TRANSCRIPTIONS, &[("model", "scripted")], Some(&slow))).await;
    }
    for channels in [0_u16, u16::MAX] {
        let mut wide = sound();
        wide[22..24].copy_from_slice(&channels.to_le_bytes());
        let answer = status(&app, form(TRANSCRIPTIONS, &[("model", "scripted")], Some(&wide))).await;
        assert!([400, 413].contains(&answer), "{answer}");
    }
}

#[tokio::test]
async fn audio_over_the_memory_of_all_requests() {
    let app = app_with(|config| {
        config.limits.max_request_memory_bytes = 100_000;
        config.limits.upload_memory_threshold_bytes = 0;
    });
    // Two seconds are 128 kB of samples: more than this server ever has.
    let answer = app.transcribe(&[]).await;
    let error = answer.error(413);
    assert_eq!(error["code"], "out_of_memory");
    assert!(error["message"].as_str().unwrap().contains("max_request_memory_bytes"), "{error}");
    // What another request has, it will give back.
    let held = app.engine.request_memory().reserve(30_000).unwrap();
    let answer = app.speak(&json!({})).await;
    assert!(answer.status == 413, "{}", answer.text());
    let answer = app.send(json_body(TRANSCRIPTIONS, format!("{{\"file\": \"{}\"}}", "A".repeat(8000)))).await;
    let error = answer.error(503);
    assert!(error["message"].as_str().unwrap().contains("max_request_memory_bytes"), "{error}");
    assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 1);
    drop(held);
    assert_eq!(app.engine.request_memory().taken_bytes(), 0);
}

#[tokio::test]
async fn json_that_is_deep_or_no_text() {
    let app = app();
    let deep = |open: &str, close: &str, times: usize| open.repeat(times) + &close.repeat(times);
    for (path, body) in [
        (TRANSCRIPTIONS, deep("[", "]", 100_000).into_bytes()),
        (TRANSCRIPTIONS, format!("{{\"model\": {}}}", deep("{\"a\":", "}", 100_000)).into_bytes()),
        (SPEECH, format!("{{\"input\": {}}}", deep("[", "]", 100_000)).into_bytes()),
        (SPEECH, b"{\"input\": \"\xff\xfe\", \"model\": \"scripted-voice\"}".to_vec()),
        (SPEECH, b"{\"input\": \"\\ud800\", \"model\": \"scripted-voice\"}".to_vec()),
        (SPEECH, b"\xef\xbb\xbf{}".to_vec()),
        ("/v1/models", deep("[", "]", 100_000).into_bytes()),
        ("/v1/model_registrations/audio", b"{\"model\": \"[[[[[[[[\"}".to_vec()),
        (SPEECH, b"{\"input\": \"x\", \"speed\": 1e999}".to_vec()),
        (SPEECH, b"{\"input\": \"x\", \"sample_rate\": 99999999999999999999}".to_vec()),
    ] {
        let answer = status(&app, json_body(path, body.clone())).await;
        assert!([400, 422].contains(&answer), "{answer} to {path} {:.80}", String::from_utf8_lossy(&body));
    }
}

#[tokio::test]
async fn forms_of_thousands_of_parts() {
    let app = app();
    let parts: String = (0..5000).map(|n| part(&format!("x{n}"), None) + "y\r\n").collect();
    let answer = app.send(multipart(TRANSCRIPTIONS, (parts + &format!("--{BOUNDARY}--\r\n")).into())).await;
    let error = answer.error(400);
    assert!(error["message"].as_str().unwrap().contains("max_parts"), "{error}");
    let same: Vec<(&str, &str)> = std::iter::repeat_n(("prompt", "x"), 900).collect();
    status(&app, form(TRANSCRIPTIONS, &same, Some(&sound()))).await;
}

#[tokio::test]
async fn names_with_slashes_and_control_characters() {
    let app = app();
    let odd = [
        "../../etc/passwd",
        "/etc/passwd",
        "a\0b",
        "a\r\nX-Evil: 1",
        "\u{202e}evil",
        "\u{1b}[31mred",
        "%2e%2e",
    ];
    for name in odd {
        let answer = app.transcribe(&[("model", name)]).await;
        let error = answer.error(404);
        let message = error["message"].as_str().unwrap();
        assert!(!message.contains(char::is_control), "{message:?}");
        let file = format!("{}RIFF\r\n--{BOUNDARY}--\r\n", part("file", Some(&name.replace('"', ""))));
        status(&app, multipart(TRANSCRIPTIONS, file.into())).await;
        let body = json!({"model": "scripted-voice", "input": "x", "voice": name});
        status(&app, json_body(SPEECH, body.to_string())).await;
        let model = json!({"model_name": name, "model_family": "whisper", "model_uri": "/a"}).to_string();
        let body: Value = json!({"model": model, "persist": true});
        assert_eq!(status(&app, json_body("/v1/model_registrations/audio", body.to_string())).await, 400);
    }
    for path in [
        "/v1/models/..%2f..%2fetc%2fpasswd",
        "/v1/models/%00",
        "/v1/models/%ff%fe",
        "/v1/model_registrations/audio/..%2f..%2fetc",
        "/v1/models/audio/..%2f../versions",
        "/../../etc/passwd",
        "/docs/../../etc/passwd",
    ] {
        let answer = status(&app, Request::get(path).body(Body::empty()).unwrap()).await;
        assert!((400..500).contains(&answer), "{answer} to {path}");
    }
    let files = app.get("/v1/cache/models/files?model_name=..%2f..%2fetc&model_version=..").await;
    assert!(files.status == 200 && !files.text().contains("etc"), "{}", files.text());
}
