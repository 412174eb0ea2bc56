//! Browsers: what pages of other origins can do, and what headers tell browsers.

use axum::body::Body;
use axum::http::{Method, Request};
use mynah_server::{Hosts, Origins};
use serde_json::json;

use crate::support::{Answer, App, TRANSCRIPTIONS, app, app_with, form, keys, sound};

const PAGE: &str = "https://page.example";

fn open_to(origins: &[&str]) -> App {
    let origins: Vec<String> = origins.iter().map(|origin| (*origin).to_owned()).collect();
    app_with(|config| config.cors_origins = Origins::new(&origins).unwrap())
}

async fn preflight(app: &App, origin: &str) -> Answer {
    let request = Request::builder()
        .method(Method::OPTIONS)
        .uri(TRANSCRIPTIONS)
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type");
    app.send(request.body(Body::empty()).unwrap()).await
}

async fn upload_from(app: &App, origin: &str) -> Answer {
    let mut request = form(TRANSCRIPTIONS, &[("model", "scripted")], Some(&sound()));
    request.headers_mut().insert("origin", origin.parse().unwrap());
    request.headers_mut().insert("host", "127.0.0.1:9997".parse().unwrap());
    app.send(request).await
}

#[tokio::test]
async fn pages_of_other_origins_are_kept_out() {
    let app = app();
    let answer = preflight(&app, PAGE).await;
    for name in
        ["access-control-allow-origin", "access-control-allow-methods", "access-control-allow-headers"]
    {
        assert_eq!(answer.header(name), "", "{name}");
    }
    // A form needs no preflight, so it must do nothing.
    for origin in [PAGE, "null", "http://127.0.0.1:80", "http://127.0.0.1:9997.example"] {
        let error = upload_from(&app, origin).await.error(403);
        assert_eq!(error["code"], "foreign_origin");
        assert!(error["message"].as_str().unwrap().contains("cors_origins"), "{error}");
    }
    assert!(app.seen.nothing());
    let read = Request::get("/v1/models").header("origin", PAGE).body(Body::empty()).unwrap();
    assert_eq!(app.send(read).await.header("access-control-allow-origin"), "", "browsers hide the answer");
    // Its own page, and clients that are not browsers.
    assert_eq!(upload_from(&app, "http://127.0.0.1:9997").await.status, 200);
    assert_eq!(app.transcribe(&[]).await.status, 200);
}

async fn called(app: &App, host: &str) -> Answer {
    app.send(Request::get("/v1/models").header("host", host).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn on_loopback_the_server_has_no_name_that_others_could_give_it() {
    let app = app();
    for own in ["localhost:9997", "127.0.0.1:9997", "0.0.0.0:9997", "[::1]:9997"] {
        assert_eq!(called(&app, own).await.status, 200, "{own}");
    }
    let answer = called(&app, "evil.example:9997").await;
    let error = answer.error(403);
    assert_eq!((&error["type"], &error["code"]), (&"permission_error".into(), &"foreign_host".into()));
    assert!(error["message"].as_str().unwrap().contains("allowed_hosts"), "{error}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    // HTTP/2 has the name elsewhere.
    let request = Request::get("http://evil.example/v1/models").body(Body::empty()).unwrap();
    app.send(request).await.error(403);
    // An upload of such a page does nothing.
    let mut upload = form(TRANSCRIPTIONS, &[("model", "scripted")], Some(&sound()));
    upload.headers_mut().insert("host", "evil.example".parse().unwrap());
    upload.headers_mut().insert("origin", "http://evil.example".parse().unwrap());
    app.send(upload).await.error(403);
    assert!(app.seen.nothing());
}

#[tokio::test]
async fn names_are_looked_at_where_it_matters_or_is_asked_for() {
    let named = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Hosts::new(&names, "127.0.0.1").unwrap()
    };
    let everywhere = || "0.0.0.0:9997".parse().unwrap();
    let app = app_with(|config| config.address = everywhere());
    assert_eq!(called(&app, "speech.example").await.status, 200, "others know it by what names they like");
    let app = app_with(|config| config.auth = keys(&["sk-0123456789abc"]));
    called(&app, "speech.example").await.error(401);
    let app = app_with(|config| {
        config.address = everywhere();
        config.allowed_hosts = named(&["speech.example"]);
    });
    assert_eq!(called(&app, "speech.example:443").await.status, 200);
    called(&app, "evil.example").await.error(403);
    let app = app_with(|config| config.allowed_hosts = named(&["*"]));
    assert_eq!(called(&app, "evil.example").await.status, 200);
}

#[tokio::test]
async fn configured_origins_may_call() {
    let app = open_to(&[PAGE, "http://localhost:3000"]);
    let answer = preflight(&app, PAGE).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), PAGE);
    assert_eq!(answer.header("access-control-allow-methods"), "POST");
    assert_eq!(answer.header("access-control-allow-headers"), "authorization,content-type");
    let answer = upload_from(&app, PAGE).await;
    assert_eq!((answer.status.as_u16(), answer.header("access-control-allow-origin")), (200, PAGE));
    assert!(answer.header("access-control-expose-headers").contains("x-request-id"));
    let answer = preflight(&app, "https://other.example").await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
    upload_from(&app, "https://other.example").await.error(403);

    let app = open_to(&["*"]);
    assert_eq!(preflight(&app, PAGE).await.header("access-control-allow-origin"), "*");
    assert_eq!(upload_from(&app, PAGE).await.header("access-control-allow-origin"), "*");
}

#[tokio::test]
async fn every_answer_has_headers_for_browsers() {
    let app = app();
    for path in ["/", "/v1/models", "/nope", "/metrics"] {
        let answer = app.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
    }
}

#[tokio::test]
async fn no_address_is_fetched() {
    let app = app();
    for address in
        ["http://127.0.0.1:1/a.wav", "https://example.com/a.wav", "file:///etc/passwd", "ftp://a/b"]
    {
        let body = json!({"model": "scripted", "file": address});
        let error = app.post(TRANSCRIPTIONS, &body).await.error(400);
        assert!(error["message"].as_str().unwrap().contains("fetches no addresses"), "{error}");
        let body =
            json!({"model": "scripted-voice", "input": "x", "prompt_speech": address, "prompt_text": "x"});
        let error = app.post("/v1/audio/speech", &body).await.error(400);
        assert!(error["message"].as_str().unwrap().contains("fetches no addresses"), "{error}");
    }
    for uri in ["http://example.com/model", "ftp://example.com/model", "relative/model", "../model"] {
        let model = json!({"model_name": "own", "model_family": "whisper", "model_uri": uri}).to_string();
        app.post("/v1/model_registrations/audio", &json!({"model": model, "persist": false}))
            .await
            .error(400);
    }
    assert!(app.seen.nothing());
}
