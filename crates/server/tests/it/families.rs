//! Two families that the program does not have, as clients see them: one model of each is at a path, and one is registered.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use mynah_engine::{Engine, Settings};
use mynah_server::{LocalModel, ServerConfig, router_and_control};
use mynah_testkit::families::scripted::{
    self, MAX_CHUNK_S, SPEECH_RATE_HZ, ScriptedTranscriber, ScriptedVoice,
};
use mynah_testkit::recording::{syllables_and_pauses, wav};
use serde_json::{Value, json};

use crate::support::{Answer, App, SPEECH, TRANSCRIPTIONS, TRANSLATIONS, form, json as json_request};

/// Seconds of syllables and of the pause after them: each phrase is a chunk.
const PHRASES_S: [(f32, f32); 3] = [(6.0, 2.0), (8.0, 2.0), (4.0, 2.0)];
const DURATION_S: f64 = 24.0;

/// The models that listen.
const LISTENERS: [&str; 2] = ["listens", "registered"];
/// The models that speak.
const SPEAKERS: [&str; 2] = ["speaks", "registered-voice"];

/// A server whose registry has both families, with all four models.
async fn app() -> App {
    let home = tempfile::tempdir().unwrap();
    let (listens, speaks) = (home.path().join("listens"), home.path().join("speaks"));
    scripted::write(&listens, &ScriptedTranscriber, &["alpha", "beta", "gamma"]);
    scripted::write(&speaks, &ScriptedVoice, &[]);
    let settings = Settings { offline: true, ..Settings::new(home.path().join("mynah")) };
    let registry = mynah_models::registry().with(ScriptedTranscriber).with(ScriptedVoice);
    let engine = Engine::open(settings, registry).unwrap();
    let local = |name: &str, path: &Path| LocalModel { name: name.to_owned(), path: path.to_owned() };
    let local_models = vec![local("listens", &listens), local("speaks", &speaks)];
    let config = ServerConfig { local_models, ..ServerConfig::default() };
    let (router, control) = router_and_control(engine.clone(), config);
    let app = App { router, control, engine, seen: Arc::default(), home };
    for (name, family, path) in
        [("registered", "scripted", &listens), ("registered-voice", "scripted-voice", &speaks)]
    {
        let uri = format!("file://{}", path.display());
        let definition = json!({"model_name": name, "model_family": family, "model_uri": uri});
        let body = json!({"model": definition.to_string(), "persist": true});
        assert_eq!(app.post("/v1/model_registrations/audio", &body).await.text(), "null");
    }
    app
}

async fn transcribe(app: &App, model: &str, fields: &[(&str, &str)]) -> Answer {
    let fields = [fields, &[("model", model)]].concat();
    app.send(form(TRANSCRIPTIONS, &fields, Some(&wav(&syllables_and_pauses(&PHRASES_S))))).await
}

#[tokio::test]
async fn every_form_of_a_transcript() {
    let app = app().await;
    for model in LISTENERS {
        let with = async |format: &str| transcribe(&app, model, &[("response_format", format)]).await;
        let body = with("json").await.json();
        let text = body["text"].as_str().unwrap().to_owned();
        assert!(text.starts_with("alpha beta gamma alpha"), "{text}");
        assert_eq!(body["languages"], json!([{"code": "en"}]));
        assert_eq!(body["usage"], json!({"type": "duration", "seconds": DURATION_S as u64}));
        assert_eq!(with("text").await.text(), format!("{text}\n"));

        let body = with("verbose_json").await.json();
        assert_eq!((&body["task"], &body["language"]), (&json!("transcribe"), &json!("english")));
        assert_eq!((&body["duration"], &body["text"]), (&json!(DURATION_S), &json!(text)));
        let segments = body["segments"].as_array().unwrap();
        assert_eq!(segments.len(), PHRASES_S.len());
        let mut end_s = 0.0;
        for (id, segment) in segments.iter().enumerate() {
            let (start, end) = (segment["start"].as_f64().unwrap(), segment["end"].as_f64().unwrap());
            assert!(end_s <= start && start < end && end - start <= MAX_CHUNK_S, "{segments:?}");
            end_s = end;
            assert_eq!((&segment["id"], &segment["tokens"]), (&json!(id), &json!([])));
            assert!(segment["text"].as_str().unwrap().starts_with(" alpha beta gamma"));
        }

        let srt = with("srt").await;
        assert!(
            srt.text().starts_with("1\n00:00:0") && srt.text().contains("\nalpha beta"),
            "{}",
            srt.text()
        );
        let vtt = with("vtt").await;
        assert!(vtt.text().starts_with("WEBVTT\n\n00:00:0"), "{}", vtt.text());
        for subtitles in [srt, vtt] {
            assert_eq!(subtitles.text().matches(" --> ").count(), segments.len());
        }

        let stream = transcribe(&app, model, &[("stream", "true")]).await;
        assert_eq!(stream.header("content-type"), "text/event-stream");
        let events = stream.events();
        let (done, deltas) = events.split_last().unwrap();
        assert!(deltas.iter().all(|event| event["type"] == "transcript.text.delta"));
        let joined: String = deltas.iter().map(|event| event["delta"].as_str().unwrap()).collect();
        assert_eq!((deltas.len(), &joined), (segments.len(), &text));
        assert_eq!((&done["type"], &done["text"]), (&json!("transcript.text.done"), &json!(text)));
    }
}

#[tokio::test]
async fn what_a_family_cannot_honour_is_refused_by_parameter() {
    let app = app().await;
    let words = [("response_format", "verbose_json"), ("timestamp_granularities[]", "word")];
    for model in LISTENERS {
        for (fields, param) in [
            (&words[..], "timestamp_granularities"),
            (&[("include[]", "logprobs")], "include"),
            (&[("include[]", "logprobs"), ("stream", "true")], "include"),
            (&[("prompt", "Mynah")], "prompt"),
            (&[("hotwords", "Mynah")], "hotwords"),
            (&[("kwargs", r#"{"beam_size": 1}"#)], "beam_size"),
            (&[("temperature", "0.5")], "temperature"),
            (&[("task", "translate")], "task"),
            (&[("language", "de")], "language"),
            (&[("languages[]", "de")], "languages"),
        ] {
            let error = transcribe(&app, model, fields).await.error(400);
            assert_eq!(
                (&error["param"], &error["code"]),
                (&json!(param), &json!("unsupported_value")),
                "{error}"
            );
        }
        // Their defaults and what it can do are no reason to refuse.
        let fields = [("language", "en"), ("temperature", "0"), ("beam_size", "5"), ("vad_filter", "true")];
        assert_eq!(transcribe(&app, model, &fields).await.status, 200);
        let fields = [("model", model)];
        let error = app.send(form(TRANSLATIONS, &fields, Some(&crate::support::sound()))).await.error(400);
        assert!(error["message"].as_str().unwrap().contains("does not support translations"), "{error}");
    }
    for model in SPEAKERS {
        for (members, param) in [
            (json!({"instructions": "cheerfully"}), "instructions"),
            (json!({"refine_text": true}), "refine_text"),
            (json!({"prompt_speech": BASE64_STANDARD.encode("RIFF"), "prompt_text": "x"}), "prompt_speech"),
        ] {
            let error = speak(&app, model, &members).await.error(400);
            assert_eq!(
                (&error["param"], &error["code"]),
                (&json!(param), &json!("unsupported_value")),
                "{error}"
            );
        }
        transcribe(&app, model, &[]).await.error(400);
    }
    for model in LISTENERS {
        assert_eq!(speak(&app, model, &json!({})).await.error(400)["param"], "model");
    }
}

async fn speak(app: &App, model: &str, members: &Value) -> Answer {
    let mut body = json!({"model": model, "input": "One two, three.", "response_format": "wav"});
    for (name, value) in members.as_object().unwrap() {
        body[name] = value.clone();
    }
    app.send(json_request(SPEECH, body.to_string())).await
}

#[tokio::test]
async fn the_voice_speaks_in_files_and_events() {
    let app = app().await;
    // Three words of a quarter of a second, 16 bits a sample.
    let audio_bytes = 2 * 3 * SPEECH_RATE_HZ as usize / 4;
    for model in SPEAKERS {
        let file = speak(&app, model, &json!({})).await;
        assert_eq!((file.status.as_u16(), file.header("content-type")), (200, "audio/wav"));
        assert_eq!(file.body[24..28], SPEECH_RATE_HZ.to_le_bytes());
        assert_eq!(file.body.len(), 44 + audio_bytes);

        let ask = json!({"stream_format": "sse", "timestamp_granularities": ["word"]});
        let events = speak(&app, model, &ask).await.events();
        let (done, deltas) = events.split_last().unwrap();
        let decode = |event: &Value| BASE64_STANDARD.decode(event["audio"].as_str().unwrap()).unwrap();
        assert_eq!(deltas.iter().flat_map(decode).collect::<Vec<_>>(), file.body);
        let words = json!([
            {"word": "One", "start": 0.0, "end": 0.25},
            {"word": "two,", "start": 0.25, "end": 0.5},
            {"word": "three.", "start": 0.5, "end": 0.75},
        ]);
        assert_eq!(done["words"], words);
        assert_eq!(done["usage"], json!({"input_tokens": 3, "output_tokens": 3, "total_tokens": 6}));
    }
}

#[tokio::test]
async fn models_are_described_by_their_families() {
    let app = app().await;
    let list = app.get("/v1/models?all=true").await.json();
    let listed =
        |id: &str| list["data"].as_array().unwrap().iter().find(|model| model["id"] == id).unwrap().clone();
    let instances = app.get("/v1/models/instances").await.json();
    for (ids, family, ability) in
        [(LISTENERS, "scripted", "audio2text"), (SPEAKERS, "scripted-voice", "text2audio")]
    {
        for id in ids {
            for model in [listed(id), app.get(&format!("/v1/models/{id}")).await.json()] {
                assert_eq!(model["model_family"], family, "{model}");
                assert_eq!(model["model_ability"], json!([ability]), "{model}");
                if family == "scripted" {
                    assert_eq!(
                        (&model["model_lang"], &model["multilingual"]),
                        (&json!(["en"]), &json!(false))
                    );
                }
            }
        }
        // Only those at paths run.
        let instances = instances.as_array().unwrap();
        let instance = instances.iter().find(|instance| instance["model_uid"] == ids[0]).unwrap();
        assert_eq!(instance["model_ability"], json!([ability]), "{instance}");
        assert!(instances.iter().all(|instance| instance["model_uid"] != ids[1]));
    }
    let detail = app.get("/v1/model_registrations/audio/registered").await.json();
    assert_eq!(
        (&detail["model_family"], &detail["model_ability"]),
        (&json!("scripted"), &json!(["audio2text"]))
    );
    let speaking = app.get("/v1/audio/models").await.json();
    assert!(
        speaking["models"].as_array().unwrap().contains(&json!({"id": "registered-voice"})),
        "{speaking}"
    );
}

#[tokio::test]
async fn models_are_launched_and_terminated_like_any_other() {
    let app = app().await;
    for id in ["registered", "registered-voice"] {
        let body = json!({"model_name": id, "model_type": "audio", "model_uid": "mine"});
        let launched = app.post("/v1/models", &body).await;
        assert_eq!(launched.json(), json!({"model_uid": "mine"}), "{}", launched.text());
        let running = app.get("/v1/models").await.json();
        assert!(running["data"].as_array().unwrap().iter().any(|model| model["id"] == "mine"));
        let answer = match id {
            "registered" => transcribe(&app, "mine", &[]).await,
            _ => speak(&app, "mine", &json!({})).await,
        };
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(app.delete("/v1/models/mine").await.text(), "null");
    }
    let wrong = json!({"model_name": "registered", "model_type": "audio", "model_path": app.home.path().join("speaks")});
    let error = app.post("/v1/models", &wrong).await.error(400);
    assert!(error["message"].as_str().unwrap().contains("holds no scripted model"), "{error}");
    let definition = json!({"model_name": "x", "model_family": "choir", "model_uri": "/a"}).to_string();
    let refused = app.post("/v1/model_registrations/audio", &json!({"model": definition})).await.error(400);
    assert!(refused["message"].as_str().unwrap().contains("scripted or scripted-voice"), "{refused}");
    // A checkpoint that is damaged while the server runs.
    fs::write(app.home.path().join("listens/script.json"), "{").unwrap();
    transcribe(&app, "listens", &[]).await.error(500);
}
