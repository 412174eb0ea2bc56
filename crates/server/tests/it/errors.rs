//! Everything that goes wrong has the same shape and the status that clients expect.

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use crate::support::{TRANSCRIPTIONS, TRANSLATIONS, app, form, multipart, part, sound};

#[tokio::test]
async fn unknown_models() {
    let app = app();
    for path in [TRANSCRIPTIONS, TRANSLATIONS] {
        let error = app.send(form(path, &[("model", "whisper-bse")], Some(&sound()))).await.error(404);
        assert_eq!(error["code"], "model_not_found");
        assert_eq!(error["param"], "model");
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with("Model not found in the model list, uid: whisper-bse."), "{message}");
        assert!(message.contains("whisper-base"), "{message}");
    }
    let error = app.transcribe(&[("model", &"x\n".repeat(100_000))]).await.error(404);
    assert!(error["message"].as_str().unwrap().len() < 400, "a name is not repeated at any length");
}

#[tokio::test]
async fn known_models_that_cannot_be_fetched() {
    let answer = app().transcribe(&[("model", "whisper-base")]).await;
    let error = answer.error(503);
    assert_eq!(error["code"], "model_unavailable");
    assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 1);
    // The names of OpenAI's models mean the default one.
    let error = app().transcribe(&[("model", "whisper-1")]).await.error(503);
    assert!(error["message"].as_str().unwrap().contains("whisper-base"), "{error}");
}

#[tokio::test]
async fn missing_parameters() {
    let app = app();
    for path in [TRANSCRIPTIONS, TRANSLATIONS] {
        for (fields, file, param) in [
            (&[("model", "scripted")][..], None, "file"),
            (&[], Some(sound()), "model"),
            (&[("model", "")], Some(sound()), "model"),
        ] {
            let error = app.send(form(path, fields, file.as_deref())).await.error(400);
            assert_eq!(error["param"], param);
            assert_eq!(error["code"], "missing_required_parameter");
        }
    }
}

#[tokio::test]
async fn audio_that_is_none() {
    let app = app();
    for (file, text) in [
        (&b""[..], "empty"),
        (b"not audio at all\n", ""),
        (b"<!DOCTYPE html><html></html>", ""),
        (&sound()[..44], ""),
        (b"RIFF\xff\xff\xff\xffWAVEfmt ", ""),
    ] {
        let error = app.send(form(TRANSCRIPTIONS, &[("model", "scripted")], Some(file))).await.error(400);
        assert_eq!(error["param"], "file", "{error}");
        assert!(error["message"].as_str().unwrap().contains(text), "{error}");
    }
    assert!(app.seen.nothing());
}

#[tokio::test]
async fn what_a_model_cannot_do() {
    let app = app();
    let error = app.translate(&[("model", "english")]).await.error(400);
    assert_eq!(error["code"], "unsupported_value");
    assert!(error["message"].as_str().unwrap().contains("translations"));
    assert_eq!(app.transcribe(&[("model", "english")]).await.status, 200);
    let error = app.translate(&[("model", "whisper-tiny.en")]).await.error(400);
    assert!(error["message"].as_str().unwrap().contains("translations"), "{error}");
}

#[tokio::test]
async fn faults_of_the_server_tell_no_secrets() {
    let app = app();
    for model in ["panics", "damaged"] {
        let answer = app.transcribe(&[("model", model)]).await;
        let error = answer.error(500);
        assert_eq!(error["type"], "server_error");
        assert_eq!(answer.header("x-should-retry"), "false", "sending it again does not help");
        let message = error["message"].as_str().unwrap();
        assert!(!message.contains("script") && !message.contains("secret"), "{message}");
    }
    assert_eq!(app.transcribe(&[]).await.status, 200, "the next request fares well");
}

#[tokio::test]
async fn paths_and_methods_that_do_not_exist() {
    let app = app();
    for path in ["/nope", "/v1/nope", "/v1/models/", "//v1/models", "/v1/audio"] {
        app.get(path).await.error(404);
    }
    let answer = app.get(TRANSCRIPTIONS).await;
    assert_eq!(answer.error(405)["code"], "method_not_allowed");
    assert_eq!(answer.header("allow"), "POST");
    let request = Request::put("/v1/models").body(Body::empty()).unwrap();
    app.send(request).await.error(405);
}

#[tokio::test]
async fn bodies_of_the_wrong_kind() {
    let app = app();
    for content_type in ["application/x-www-form-urlencoded", "text/plain", "audio/wav", ""] {
        let request =
            Request::post(TRANSCRIPTIONS).header("content-type", content_type).body("model=x".into());
        let error = app.send(request.unwrap()).await.error(415);
        assert!(error["message"].as_str().unwrap().contains("multipart/form-data"), "{error}");
    }
    let request =
        Request::post(TRANSCRIPTIONS).header("content-type", "multipart/form-data").body("x".into());
    app.send(request.unwrap()).await.error(400);
}

#[tokio::test]
async fn forms_that_are_broken() {
    let app = app();
    let head = part("file", Some("a.wav"));
    for body in [
        String::new(),
        "x".to_owned(),
        "--a-boundary".to_owned(),
        "--another\r\n\r\n".to_owned(),
        head.clone(),
        format!("{head}RIFF"),
        format!("{head}RIFF\r\n"),
        "--a-boundary\r\nno colon\r\n\r\nx\r\n--a-boundary--\r\n".to_owned(),
        "--a-boundary\r\n\r\nx\r\n--a-boundary--\r\n".to_owned(),
    ] {
        app.send(multipart(TRANSCRIPTIONS, body.clone().into())).await.error(400);
    }
    let not_text = [part("prompt", None).as_bytes(), b"\xff\xfe\r\n--a-boundary--\r\n"].concat();
    let error = app.send(multipart(TRANSCRIPTIONS, not_text.into())).await.error(400);
    assert!(error["message"].as_str().unwrap().contains("UTF-8"), "{error}");
    assert!(app.seen.nothing());
}

#[tokio::test]
async fn the_shape_of_an_error() {
    let answer = app().transcribe(&[("temperature", "7")]).await;
    let message = "temperature must be a number from 0 to 1.";
    let expected = json!({
        "error": {"message": message, "type": "invalid_request_error", "param": "temperature", "code": "invalid_value"},
        "detail": message,
    });
    assert_eq!(answer.json(), expected);
}
