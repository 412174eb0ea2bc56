//! Launching and terminating models, and the responses meanwhile.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::{App, HOLD_JOBS, HOLD_LOADING, app, app_at, app_with, form, send, sound};

/// A checkpoint's folder in the app's home.
fn checkpoint(app: &App, name: &str) -> PathBuf {
    let folder = app.home.path().join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn body(app: &App, uid: &str, more: &Value) -> Value {
    let mut body = json!({
        "model_name": "whisper-base", "model_type": "audio", "model_uid": uid, "model_path": checkpoint(app, "weights"),
    });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

async fn launch(app: &App, uid: &str, more: &Value) -> Value {
    let answer = app.post("/v1/models", &body(app, uid, more)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[tokio::test]
async fn a_launched_model_answers_under_its_uid_and_its_options_are_shown() {
    let app = app();
    let options = json!({"model_engine": "odd", "quantization": "fp16", "chunk_length_s": 30, "envs": null});
    assert_eq!(launch(&app, "a/b", &options).await, json!({"model_uid": "a/b"}));
    for path in ["/v1/models/a/b", "/v1/models/a%2Fb"] {
        let described = app.get(path).await.json();
        assert_eq!(described["model_engine"], "odd");
        assert_eq!((&described["quantization"], &described["n_worker"]), (&json!("f16"), &json!(1)));
        assert_eq!(described["launch_options"], json!({"chunk_length_s": 30}));
    }
    assert_eq!(app.transcribe(&[("model", "a/b")]).await.status, 200);
    assert_eq!(app.get("/v1/models/a/b/progress").await.json()["progress"], 1.0);
    assert_eq!(app.get("/v1/models/a%2Fb/replicas").await.json()[0]["replica_model_uid"], "a/b-rep0");
    app.transcribe(&[("model", "a/b"), ("language", "klingon")]).await.error(400);
    assert_eq!(app.delete("/v1/models/a/b").await.text(), "null");
    app.delete("/v1/models/a/b").await.error(400);
    app.transcribe(&[("model", "a/b")]).await.error(404);
}

#[tokio::test]
async fn launches_that_cannot_be_are_refused_and_leave_nothing() {
    let app = app();
    for (more, part) in [
        (json!({"model_name": null}), "`model_name`"),
        (json!({"model_name": 5}), "`model_name`"),
        (json!({"model_name": "whisper-bse"}), "did you mean whisper-base"),
        (json!({"model_type": null}), "\"audio\""),
        (json!({"model_type": "image"}), "Unsupported model type: image"),
        (json!({"model_path": "/not/there"}), "does not exist"),
        (json!({"model_name": "ChatTTS"}), "holds no ChatTTS model"),
        (json!({"quantization": "4-bit"}), "`quantization`"),
        (json!({"download_hub": "csghub"}), "`download_hub`"),
        (json!({"replica": 0}), "at least 1"),
        (json!({"replica": 1.5}), "got a float"),
        (json!({"replica": true}), "got a boolean"),
        (json!({"replica": "x"}), "valid integer"),
        (json!({"replica": 4_000_000_000_u64}), "1 to 1000"),
        (json!({"replica": 40_000_000_000_u64}), "smaller"),
        (json!({"n_gpu": 1}), "`n_gpu`"),
        (json!({"n_gpu": "x"}), "`auto`"),
        (json!({"gpu_idx": [0]}), "GPU"),
        (json!({"request_limits": -1}), "`request_limits`"),
        (json!({"unload_after_s": -1}), "`unload_after_s`"),
        (json!({"pin": "x"}), "`pin`"),
        (json!({"model_uid": ""}), "UID is invalid"),
        (json!({"model_uid": "x-rep12"}), "UID is invalid"),
    ] {
        for path in ["/v1/models", "/v1/models?wait_ready=false"] {
            let error = app.post(path, &body(&app, "x", &more)).await.error(400);
            let message = error["message"].as_str().unwrap();
            assert!(message.contains(part), "{more}: {message}");
        }
    }
    for garbage in ["{bad", "[]", ""] {
        app.send(crate::support::json("/v1/models", garbage)).await.error(400);
    }
    let answer = app.post("/v1/models?wait_ready=zz", &json!({})).await;
    assert_eq!(answer.status, 422);
    assert_eq!(answer.json()["detail"][0]["loc"], json!(["query", "wait_ready"]));
    assert_eq!(answer.json()["error"]["type"], "invalid_request_error");
    let instances = app.get("/v1/models/instances").await.json();
    let uids: Vec<&str> = instances
        .as_array()
        .unwrap()
        .iter()
        .map(|instance| instance["model_uid"].as_str().unwrap())
        .collect();
    assert!(!uids.contains(&"x"), "{uids:?}");
}

#[tokio::test]
async fn requests_get_a_time_to_retry_while_a_model_loads() {
    let app = app();
    let hold = checkpoint(&app, "weights").join(HOLD_LOADING);
    fs::write(&hold, b"").unwrap();
    let answer = app.post("/v1/models?wait_ready=False", &body(&app, "a", &json!({}))).await;
    assert_eq!(answer.json(), json!({"model_uid": "a"}));
    for answer in [app.get("/v1/models/a").await, app.transcribe(&[("model", "a")]).await] {
        assert_eq!(answer.error(503)["code"], "model_loading");
        assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 1);
    }
    let instance = app.get("/v1/models/instances?model_uid=a").await.json();
    assert_eq!((&instance[0]["status"], &instance[0]["model_ability"]), (&json!("CREATING"), &json!([])));
    assert!(app.get("/v1/models/a/progress").await.json()["progress"].as_f64().unwrap() < 1.0);
    app.delete("/v1/models/a").await.error(400);

    // Who waits for a launch that another stops is refused.
    let waiting = tokio::spawn(send(
        app.router.clone(),
        crate::support::json("/v1/models", body(&app, "b", &json!({})).to_string()),
    ));
    while app.get("/v1/models/instances?model_uid=b").await.json() == json!([]) {
        tokio::task::yield_now().await;
    }
    assert_eq!(app.post("/v1/models/b/cancel", &json!({})).await.text(), "null");
    assert_eq!(waiting.await.unwrap().error(499)["message"], "Launch cancelled");
    assert_eq!(app.post("/v1/models/a/cancel", &json!({})).await.text(), "null");
    let instance = app.get("/v1/models/instances?model_uid=a").await.json();
    assert_eq!(instance[0]["status"], "ERROR");
    assert_eq!(instance[0]["replica_statuses"][0]["error_message"], Value::Null);
    fs::remove_file(hold).unwrap();
    launch(&app, "a", &json!({})).await;
}

#[tokio::test]
async fn replicas_multiply_the_requests_at_once() {
    let app = app();
    launch(&app, "limited", &json!({"request_limits": 1, "replica": "2"})).await;
    let hold = checkpoint(&app, "weights").join(HOLD_JOBS);
    fs::write(&hold, b"").unwrap();
    let request = || form("/v1/audio/transcriptions", &[("model", "limited")], Some(&sound()));
    let busy: Vec<_> = (0..2).map(|_| tokio::spawn(send(app.router.clone(), request()))).collect();
    while app.seen.jobs() < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let error = app.send(request()).await.error(429);
    assert!(error["message"].as_str().unwrap().contains("Request limit 2"), "{error}");
    let added = app.post("/v1/models/limited/replicas", &json!({})).await.json();
    assert_eq!(added["replica_model_uid"], "limited-rep2");
    let third = tokio::spawn(send(app.router.clone(), request()));
    while app.seen.jobs() < 3 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    fs::remove_file(hold).unwrap();
    for busy in busy.into_iter().chain([third]) {
        assert_eq!(busy.await.unwrap().status, 200);
    }
    let path = "/v1/models/limited/replicas/2";
    assert_eq!(app.delete(path).await.json(), json!({"remaining_replicas": 2}));
    app.delete(path).await.error(400);
    let error = app.post("/v1/models/limited/replicas", &json!({"replica": 0})).await.error(400);
    assert_eq!(error["param"], "replica");
    app.post("/v1/models/unknown/replicas", &json!({})).await.error(400);
}

#[tokio::test]
async fn requests_load_what_they_may() {
    let home = tempfile::tempdir().unwrap();
    let app = app_at(home, |settings| settings.load_on_request = false, |_| {});
    let error = app.transcribe(&[("model", "whisper-base")]).await.error(404);
    assert!(error["message"].as_str().unwrap().contains("uid: whisper-base"), "{error}");
    app.get("/v1/models/whisper-base").await.error(400);
    launch(&app, "whisper-base", &json!({})).await;
    assert_eq!(app.transcribe(&[("model", "whisper-1")]).await.status, 200);

    // No request waits: the launch continues without it.
    let app = app_with(|config| config.wait_for_models = false);
    let folder = checkpoint(&app, "weights");
    fs::write(folder.join(HOLD_LOADING), b"").unwrap();
    let definition = json!({"model_name": "mine", "model_family": "whisper", "model_uri": format!("file://{}", folder.display())});
    let registered = app
        .post("/v1/model_registrations/audio", &json!({"model": definition.to_string(), "persist": true}))
        .await;
    assert_eq!(registered.text(), "null");
    let answer = app.transcribe(&[("model", "mine")]).await;
    answer.error(503);
    assert!(!answer.header("retry-after").is_empty());
    fs::remove_file(folder.join(HOLD_LOADING)).unwrap();
    while app.transcribe(&[("model", "mine")]).await.status != 200 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let registration = "/v1/model_registrations/audio/mine";
    let error = app.delete(registration).await.error(400);
    assert!(error["message"].as_str().unwrap().contains("terminate it first"), "{error}");
    app.delete("/v1/models/mine").await;
    assert_eq!(app.delete(registration).await.text(), "null");
    app.get(registration).await.error(400);
}

#[tokio::test]
async fn methods_that_a_path_does_not_have() {
    let app = app();
    for (request, allowed) in [
        (app.post("/v1/models/a", &json!({})).await, "GET,HEAD,DELETE"),
        (app.get("/v1/models/a/cancel").await, "POST"),
        (app.delete("/v1/models/a/progress").await, "GET,HEAD"),
    ] {
        request.error(405);
        assert_eq!(request.header("allow"), allowed);
    }
}

#[tokio::test]
async fn the_machine_is_described() {
    let app = app();
    let status = app.get("/status").await.json();
    let cpu = &status["workers"]["127.0.0.1:9997"]["status"]["cpu"];
    assert!(cpu["memory_total"].as_u64().unwrap() > cpu["memory_available"].as_u64().unwrap());
    let nodes = app.get("/v1/cluster/info?detailed=true").await.json();
    assert_eq!((&nodes[0]["node_type"], &nodes[1]["node_type"]), (&json!("Supervisor"), &json!("Worker")));
    assert!(nodes[1]["cpu_count"].as_u64().unwrap() > 0);
    assert!(app.get("/v1/cluster/info").await.json()[0].get("cpu_count").is_none());
    assert_eq!(app.get("/v1/cluster/version").await.json()["version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn the_server_can_be_stopped() {
    let stop = std::sync::Arc::new(tokio::sync::Notify::new());
    let app = app_with(|config| config.stop = std::sync::Arc::clone(&stop));
    assert_eq!(app.delete("/v1/clusters").await.json(), json!({"result": true}));
    tokio::time::timeout(std::time::Duration::from_secs(100), stop.notified())
        .await
        .expect("no waiting client got the error");
}
