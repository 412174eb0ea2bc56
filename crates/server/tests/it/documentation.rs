//! The server's description of itself.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::Value;

use crate::support::app;

/// The sources that list the routes.
const ROUTES: [&str; 2] =
    [include_str!("../../src/routes/mod.rs"), include_str!("../../src/xinference/mod.rs")];

fn snapshot() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/openapi.json")
}

/// `UPDATE_SNAPSHOTS=1 cargo test ...` writes the document again.
#[tokio::test]
async fn the_document_is_as_it_was() {
    let document = app().get("/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let text = serde_json::to_string_pretty(&document).unwrap() + "\n";
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(snapshot(), &text).unwrap();
    }
    let kept = fs::read_to_string(snapshot()).unwrap_or_default();
    let changed = text.lines().zip(kept.lines()).enumerate().find(|(_, (new, old))| new != old);
    assert!(
        kept == text,
        "the document has changed: {changed:?}; with UPDATE_SNAPSHOTS=1 this test accepts that"
    );
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(object) => {
                for (name, value) in object {
                    match value.as_str() {
                        Some(path) if name == "$ref" => drop(found.insert(path)),
                        _ => references(value, found),
                    }
                }
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = app().get("/openapi.json").await.json();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 20);
    for path in found {
        assert!(document.pointer(path.strip_prefix('#').unwrap()).is_some(), "{path} leads nowhere");
    }
}

#[tokio::test]
async fn every_route_is_described_and_every_description_has_a_route() {
    let app = app();
    let document = app.get("/openapi.json").await.json();
    let paths = document["paths"].as_object().unwrap();
    let mut ids = BTreeSet::new();
    for (path, methods) in paths {
        for (method, about) in methods.as_object().unwrap() {
            assert!(ids.insert(about["operationId"].as_str().unwrap()), "{path}: the id is there twice");
            let filled = path
                .replace("{type}", "audio")
                .replace("{name}", "x")
                .replace("{uid}", "scripted")
                .replace("{id}", "0");
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let request = Request::builder().method(method.clone()).uri(&filled).body(Body::empty()).unwrap();
            let answer = app.send(request).await;
            assert_ne!(answer.status, 405, "{method} {path}");
            assert!(
                !answer.body.starts_with(br#"{"error":{"message":"Not Found: no route"#),
                "{method} {path}"
            );
        }
    }
    let routes = ROUTES.into_iter().flat_map(|source| source.split(".route(").skip(1));
    let routes = routes.filter_map(|rest| rest.split('"').nth(1));
    for route in routes.filter(|route| *route != "/v1/models/{*path}") {
        assert!(paths.contains_key(&route.replace("{*", "{")), "{route} is not described");
    }
}

#[tokio::test]
async fn the_page_holds_all_that_it_shows() {
    let app = app();
    let page = app.get("/docs").await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert_eq!(app.get("/").await.body, page.body);
    let text = page.text();
    for part in ["<title>Mynah</title>", "/v1/audio/transcriptions", "\"openapi\":\"3.1.0\""] {
        assert!(text.contains(part), "{part}");
    }
    for outside in ["http://", "https://json", "src=", "@import", "fetch("] {
        assert!(!text.replace("https://json-schema.org", "").contains(outside), "{outside}");
    }
}
