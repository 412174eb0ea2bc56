//! The list of models, in the form of both APIs.

use serde_json::json;

use crate::support::app;

#[tokio::test]
async fn the_list_has_the_catalogue_and_the_operators_own() {
    let app = app();
    let listed = app.get_as_openai("/v1/models").await;
    assert_eq!(app.get("/v1/models?all=true").await.body, listed.body);
    let body = listed.json();
    assert_eq!(body["object"], "list");
    let ids: Vec<_> =
        body["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    for id in [
        "scripted",
        "whisper-base",
        "whisper-tiny.en",
        "whisper-large-v3",
        "Belle-whisper-large-v3-zh",
        "hibari",
        "ChatTTS",
    ] {
        assert!(ids.contains(&id), "{id} is not in {ids:?}");
    }
    for model in body["data"].as_array().unwrap() {
        assert_eq!(model["object"], "model");
        assert_eq!(model["model_type"], "audio");
        let id = model["id"].as_str().unwrap();
        let speaks = id == "hibari" || id == "ChatTTS" || id.ends_with("-voice");
        let ability = if speaks { "text2audio" } else { "audio2text" };
        assert_eq!(model["model_ability"], json!([ability]));
        assert!(model["created"].is_u64() && model["owned_by"].is_string());
    }
}

#[tokio::test]
async fn one_model_by_any_of_its_names() {
    let app = app();
    let base = app.get("/v1/models/whisper-base").await.json();
    assert_eq!((&base["id"], &base["multilingual"]), (&json!("whisper-base"), &json!(true)));
    let english = app.get("/v1/models/whisper-tiny.en").await.json();
    assert_eq!((&english["model_lang"], &english["multilingual"]), (&json!(["en"]), &json!(false)));
    let alias = app.get("/v1/models/whisper-1").await.json();
    assert_eq!((&alias["id"], &alias["model_name"]), (&json!("whisper-1"), &json!("whisper-base")));
    // Percent-encoded by OpenAI's clients, raw by people.
    for path in ["/v1/models/openai%2Fwhisper-base", "/v1/models/openai/whisper-base"] {
        assert_eq!(app.get(path).await.json()["id"], "openai/whisper-base", "{path}");
    }
    assert_eq!(app.get("/v1/models/scripted").await.json()["id"], "scripted");
}

#[tokio::test]
async fn the_voices_are_listed_under_both_names() {
    let app = app();
    let body = app.get("/v1/audio/voices").await.json();
    assert_eq!((&body["object"], &body["voices"]), (&json!("list"), &body["data"]));
    let voices = body["voices"].as_array().unwrap();
    let ids: Vec<_> = voices.iter().map(|voice| voice["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["heart", "emma", "fenrir", "fable", "kore"]);
    assert_eq!(voices[0]["default"], true);
    assert_eq!((&voices[1]["language"], &voices[1]["default"]), (&json!("en-GB"), &json!(false)));
    assert!(voices[0]["aliases"].as_array().unwrap().contains(&json!("alloy")));
    assert!(voices.iter().all(|voice| voice["model"] == "hibari" && voice["name"] == voice["id"]));
    assert_eq!(
        app.get("/v1/audio/models").await.json(),
        json!({"models": [{"id": "hibari"}, {"id": "ChatTTS"}]})
    );
    assert_eq!(app.get("/v1/models/tts-1").await.json()["model_name"], "hibari");
}

#[tokio::test]
async fn a_checkpoint_that_speaks_is_listed_as_one() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("hibari.onnx"), b"").unwrap();
    let dialogue = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dialogue.path().join("asset/gpt")).unwrap();
    std::fs::write(dialogue.path().join("asset/gpt/model.safetensors"), b"").unwrap();
    let app = crate::support::app_with(|config| {
        let path = folder.path().to_owned();
        config.local_models.push(mynah_server::LocalModel { name: "my-voice".into(), path });
        let path = dialogue.path().to_owned();
        config.local_models.push(mynah_server::LocalModel { name: "my-dialogue".into(), path });
    });
    assert_eq!(app.get("/v1/models/my-dialogue").await.json()["model_ability"], json!(["text2audio"]));
    assert_eq!(app.get("/v1/models/my-voice").await.json()["model_ability"], json!(["text2audio"]));
    assert_eq!(app.get("/v1/models/scripted").await.json()["model_ability"], json!(["audio2text"]));
}

#[tokio::test]
async fn models_that_do_not_exist() {
    let app = app();
    for path in ["/v1/models/nope", "/v1/models/..%2F..%2Fetc%2Fpasswd", "/v1/models/%00", "/v1/models/a/b/c"]
    {
        assert_eq!(app.get_as_openai(path).await.error(404)["code"], "model_not_found", "{path}");
        assert_eq!(app.get(path).await.error(400)["code"], "model_not_found", "{path}");
    }
    app.get("/v1/models/%ff").await.error(400);
}
