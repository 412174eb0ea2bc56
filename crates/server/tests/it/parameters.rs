//! Every parameter: the options of the model, and what is refused.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use mynah_core::{TranscribeOptions, VadOptions, WhisperOptions};
use serde_json::json;

use crate::support::{App, TRANSCRIPTIONS, TRANSLATIONS, app, json, sound};

/// The options of the model.
async fn parsed(app: &App, fields: &[(&str, &str)]) -> TranscribeOptions {
    let answer = app.transcribe(fields).await;
    assert_eq!(answer.status, 200, "{fields:?}: {}", answer.text());
    app.seen.options()
}

/// What cannot be honoured is a 400 that names the parameter, and nothing is computed.
async fn refused(fields: &[(&str, &str)], param: &str) -> String {
    let app = app();
    let error = app.transcribe(fields).await.error(400);
    assert_eq!(error["param"], param, "{fields:?}: {error}");
    assert_eq!(error["type"], "invalid_request_error");
    assert!(app.seen.nothing());
    error["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn nothing_given_means_the_defaults() {
    assert_eq!(parsed(&app(), &[]).await, TranscribeOptions::default());
}

#[tokio::test]
async fn languages_are_codes_or_names() {
    let app = app();
    for name in ["en", "EN", "English", "english", "<|en|>", "en-US"] {
        assert_eq!(parsed(&app, &[("language", name)]).await.language.as_deref(), Some("en"), "{name}");
    }
    assert_eq!(parsed(&app, &[("language", "")]).await.language, None);
    let body = app.transcribe(&[("language", "German"), ("response_format", "verbose_json")]).await.json();
    assert_eq!(body["language"], "german");
    let message = refused(&[("language", "klingon")], "language").await;
    assert!(message.contains("klingon") && message.contains("en, zh, de"), "{message}");
}

#[tokio::test]
async fn languages_can_be_narrowed_down() {
    let app = app();
    let options = parsed(&app, &[("languages[]", "de"), ("languages[]", "French")]).await;
    assert_eq!((options.language, options.allowed_languages), (None, vec!["de".to_owned(), "fr".to_owned()]));
    assert_eq!(parsed(&app, &[("languages", "de,fr")]).await.allowed_languages, ["de", "fr"]);
    assert_eq!(parsed(&app, &[("languages", r#"["de"]"#)]).await.allowed_languages, ["de"]);
    refused(&[("languages[]", "xx")], "languages").await;
    refused(&[("languages[]", "de"), ("language", "en")], "languages").await;
}

#[tokio::test]
async fn prompt_and_keywords() {
    let app = app();
    let options =
        parsed(&app, &[("prompt", "A talk, on birds"), ("keywords[]", "mynah, the"), ("keywords[]", "b")])
            .await;
    assert_eq!(options.initial_prompt.as_deref(), Some("A talk, on birds"));
    assert_eq!(options.hotwords, ["mynah, the", "b"]);
    assert_eq!(parsed(&app, &[("hotwords", "a, b"), ("initial_prompt", "x")]).await.hotwords, ["a", "b"]);
    assert_eq!(app.seen.options().initial_prompt.as_deref(), Some("x"));
}

#[tokio::test]
async fn temperature_zero_falls_back_and_others_stay() {
    let app = app();
    let default = WhisperOptions::default().temperatures;
    for zero in ["0", "0.0", ""] {
        assert_eq!(parsed(&app, &[("temperature", zero)]).await.whisper.temperatures, default, "{zero:?}");
    }
    assert_eq!(parsed(&app, &[("temperature", "0.5")]).await.whisper.temperatures, [0.5]);
    assert_eq!(parsed(&app, &[("temperature", "1")]).await.whisper.temperatures, [1.0]);
    assert_eq!(parsed(&app, &[("temperature", "0,0.5,1")]).await.whisper.temperatures, [0.0, 0.5, 1.0]);
    assert_eq!(
        parsed(&app, &[("temperature[]", "0"), ("temperature[]", "0.4")]).await.whisper.temperatures,
        [0.0, 0.4]
    );
    for wrong in ["-1", "1.01", "5", "abc", "NaN", "inf", "[0.2, \"x\"]"] {
        let message = refused(&[("temperature", wrong)], "temperature").await;
        assert!(message.contains("from 0 to 1"), "{message}");
    }
}

#[tokio::test]
async fn response_formats_and_what_goes_with_them() {
    let message = refused(&[("response_format", "diarized_json")], "response_format").await;
    assert!(message.contains("speaker diarization"), "{message}");
    let message = refused(&[("response_format", "xml")], "response_format").await;
    assert!(message.contains("json, text, srt, verbose_json, vtt"), "{message}");
    refused(&[("timestamp_granularities[]", "sentence")], "timestamp_granularities").await;
    refused(&[("include[]", "usage")], "include").await;
    refused(&[("include[]", "logprobs"), ("response_format", "text")], "include").await;
    for format in ["srt", "vtt", "verbose_json"] {
        refused(&[("stream", "true"), ("response_format", format)], "stream").await;
    }
    refused(&[("stream", "maybe")], "stream").await;
    refused(&[("known_speaker_names[]", "Ann")], "known_speaker_names").await;
    refused(&[("known_speaker_references[]", "data:audio/wav;base64,AAAA")], "known_speaker_references")
        .await;
}

#[tokio::test]
async fn voice_activity_detection() {
    let app = app();
    let custom = VadOptions { threshold: 0.25, prefix_padding_ms: 100, silence_duration_ms: 900 };
    assert_eq!(parsed(&app, &[("chunking_strategy", "auto")]).await.vad, Some(VadOptions::default()));
    let bracketed = [
        ("chunking_strategy[type]", "server_vad"),
        ("chunking_strategy[threshold]", "0.25"),
        ("chunking_strategy[prefix_padding_ms]", "100"),
        ("chunking_strategy[silence_duration_ms]", "900"),
    ];
    assert_eq!(parsed(&app, &bracketed).await.vad, Some(custom.clone()));
    let text = r#"{"type":"server_vad","threshold":0.25,"prefix_padding_ms":100,"silence_duration_ms":900}"#;
    assert_eq!(parsed(&app, &[("chunking_strategy", text)]).await.vad, Some(custom.clone()));
    assert_eq!(parsed(&app, &[("vad_filter", "true")]).await.vad, Some(VadOptions::default()));
    assert_eq!(parsed(&app, &[("vad_filter", "false")]).await.vad, None);
    let parameters = r#"{"threshold":0.25,"speech_pad_ms":100,"min_silence_duration_ms":900}"#;
    assert_eq!(parsed(&app, &[("vad_filter", "1"), ("vad_parameters", parameters)]).await.vad, Some(custom));

    for wrong in ["none", "{\"type\":\"semantic_vad\"}", "{}", "[]", "{bad"] {
        refused(&[("chunking_strategy", wrong)], "chunking_strategy").await;
    }
    refused(&[("chunking_strategy[type]", "server_vad"), ("chunking_strategy[threshold]", "2")], "threshold")
        .await;
    refused(&[("chunking_strategy", "auto"), ("vad_filter", "false")], "vad_filter").await;
}

#[tokio::test]
async fn options_of_other_whisper_servers() {
    let app = app();
    let options = parsed(
        &app,
        &[
            ("beam_size", "1"),
            ("best_of", "2"),
            ("patience", "2"),
            ("length_penalty", "0.6"),
            ("compression_ratio_threshold", "2"),
            ("log_prob_threshold", "-0.5"),
            ("no_speech_threshold", "0.3"),
            ("condition_on_previous_text", "False"),
            ("without_timestamps", "true"),
            ("max_initial_timestamp", "2"),
            ("hallucination_silence_threshold", "3"),
            ("suppress_tokens", "-1,5,6"),
            ("seed", "7"),
        ],
    )
    .await;
    let whisper = WhisperOptions {
        beam_size: 1,
        best_of: 2,
        patience: 2.0,
        length_penalty: Some(0.6),
        compression_ratio_threshold: Some(2.0),
        logprob_threshold: Some(-0.5),
        no_speech_threshold: Some(0.3),
        condition_on_previous_text: false,
        timestamps: false,
        max_initial_timestamp_s: 2.0,
        hallucination_silence_s: Some(3.0),
        suppress_tokens: vec![5, 6],
        ..WhisperOptions::default()
    };
    let expected = TranscribeOptions { seed: 7, whisper, ..TranscribeOptions::default() };
    assert_eq!(options, expected);
    for (name, wrong) in [
        ("beam_size", "0"),
        ("beam_size", "1000000"),
        ("best_of", "1.5"),
        ("patience", "0"),
        ("length_penalty", "-1"),
        ("no_speech_threshold", "2"),
        ("condition_on_previous_text", "perhaps"),
        ("suppress_tokens", "x"),
        ("seed", "-1"),
    ] {
        refused(&[(name, wrong)], name).await;
    }
}

#[tokio::test]
async fn xinferences_kwargs() {
    let app = app();
    assert_eq!(parsed(&app, &[("kwargs", "{}")]).await, TranscribeOptions::default());
    let options =
        parsed(&app, &[("kwargs", r#"{"hotword": "mynah", "beam_size": 2, "vad_filter": true}"#)]).await;
    assert_eq!((options.hotwords, options.whisper.beam_size), (vec!["mynah".to_owned()], 2));
    assert!(options.vad.is_some());
    assert_eq!(
        parsed(&app, &[("beam_size", "3"), ("kwargs", r#"{"beam_size":2}"#)]).await.whisper.beam_size,
        3
    );
    let message = refused(&[("kwargs", r#"{"batch_size_s": 3}"#)], "kwargs").await;
    assert!(message.contains("batch_size_s") && message.contains("beam_size"), "{message}");
    for wrong in ["{bad", "[]", "null", "x"] {
        refused(&[("kwargs", wrong)], "kwargs").await;
    }
}

#[tokio::test]
async fn the_task_can_be_named() {
    let app = app();
    assert_eq!(parsed(&app, &[("task", "translate")]).await.task.as_str(), "translate");
    assert_eq!(parsed(&app, &[("task", "transcribe")]).await.task.as_str(), "transcribe");
    refused(&[("task", "diarize")], "task").await;
    assert_eq!(app.translate(&[("task", "transcribe")]).await.error(400)["param"], "task");
}

#[tokio::test]
async fn json_bodies_carry_the_audio_inside() {
    let app = app();
    let base64 = BASE64_STANDARD.encode(sound());
    for path in [TRANSCRIPTIONS, TRANSLATIONS] {
        for file in [base64.clone(), format!("data:audio/wav;base64,{base64}")] {
            let body = json!({
                "model": "scripted", "file": file, "language": "de", "temperature": 0.5,
                "timestamp_granularities": ["word"], "response_format": "verbose_json",
                "chunking_strategy": {"type": "server_vad", "threshold": 0.25}, "stream": false, "prompt": null,
            });
            let answer = app.send(json(path, body.to_string())).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(answer.json()["words"].as_array().unwrap().len(), 5);
            let options = app.seen.options();
            assert_eq!((options.language.as_deref(), options.whisper.temperatures), (Some("de"), vec![0.5]));
            assert_eq!(options.vad.unwrap().threshold, 0.25);
            assert_eq!(options.initial_prompt, None);
        }
    }
    // As printed in Xinference's document, with a comma before the bracket.
    let printed = format!("{{\n  \"model\": \"scripted\",\n  \"file\": \"{base64}\",\n}}");
    assert_eq!(app.send(json(TRANSCRIPTIONS, printed)).await.status, 200);
}

#[tokio::test]
async fn json_bodies_without_audio_are_refused() {
    let app = app();
    for (body, param) in [
        (json!({"model": "scripted"}).to_string(), json!("file")),
        (json!({"model": "scripted", "file": ""}).to_string(), json!("file")),
        (json!({"model": "scripted", "file": 7}).to_string(), json!("file")),
        (json!({"model": "scripted", "file": "<audio bytes>"}).to_string(), json!("file")),
        (json!({"model": "scripted", "file": "http://127.0.0.1/a.wav"}).to_string(), json!("file")),
        (json!({"model": "scripted", "file": "file:///etc/passwd"}).to_string(), json!("file")),
        (json!({"model": ["x"], "file": "AAAA"}).to_string(), json!("model")),
        ("[]".to_owned(), json!(null)),
        ("{\"model\":".to_owned(), json!(null)),
        (String::new(), json!(null)),
    ] {
        let error = app.send(json(TRANSCRIPTIONS, body.clone())).await.error(400);
        assert_eq!(error["param"], param, "{body}: {error}");
    }
    assert!(app.seen.nothing());
}
