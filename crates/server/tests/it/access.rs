//! Request ids, keys and probes.

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use crate::support::{Answer, App, TRANSCRIPTIONS, app, app_with, form, keys, sound};

pub(crate) async fn get_with(app: &App, path: &str, header: &str, value: &str) -> Answer {
    app.send(Request::get(path).header(header, value).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn every_answer_has_a_request_id() {
    let app = app();
    for path in ["/health", "/nope", "/v1/models"] {
        assert_eq!(app.get(path).await.header("x-request-id").len(), 36, "{path}");
    }
    let own = get_with(&app, "/health", "x-request-id", "my-id-1").await;
    assert_eq!(own.header("x-request-id"), "my-id-1");
    for unfit in ["", "a b", &"x".repeat(1000)] {
        let answer = get_with(&app, "/health", "x-request-id", unfit).await;
        assert_eq!(answer.header("x-request-id").len(), 36, "{unfit:?}");
    }
}

#[tokio::test]
async fn probes_are_open() {
    let app = app_with(|config| config.auth = keys(&["sk-secret"]));
    assert_eq!(app.get("/health").await.json()["status"], "ok");
    assert_eq!(app.get("/v1/cluster/auth").await.json(), json!({"auth": true}));
    assert_eq!(crate::support::app().get("/v1/cluster/auth").await.json(), json!({"auth": false}));
}

#[tokio::test]
async fn keys_are_asked_for() {
    let app = app_with(|config| config.auth = keys(&["sk-secret", "another"]));
    for right in ["Bearer sk-secret", "bearer another", "Bearer  sk-secret"] {
        assert_eq!(get_with(&app, "/v1/models", "authorization", right).await.status, 200, "{right}");
    }
    for wrong in
        ["", "sk-secret", "Basic sk-secret", "Bearer", "Bearer ", "Bearer sk-secre", "Bearer sk-secrets"]
    {
        let answer = get_with(&app, "/v1/models", "authorization", wrong).await;
        assert_eq!(answer.error(401)["code"], "invalid_api_key", "{wrong:?}");
        assert_eq!(answer.header("www-authenticate"), "Bearer scope=\"models:list\"");
    }
    app.send(form(TRANSCRIPTIONS, &[("model", "scripted")], Some(&sound()))).await.error(401);
    app.get("/nope").await.error(401);
    assert!(app.seen.nothing());
}

#[tokio::test]
async fn keys_are_ignored_where_none_are_set() {
    assert_eq!(get_with(&app(), "/v1/models", "authorization", "Bearer anything").await.status, 200);
}
