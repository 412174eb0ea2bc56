//! Every response format, on both routes.

use serde_json::json;

use crate::support::{TRANSCRIPTIONS, TRANSLATIONS, app, multipart, part, sound};

const TEXT: &str = "Hello, world. It's (really) \"me\"!";

#[tokio::test]
async fn json_is_the_default() {
    let app = app();
    for fields in [&[][..], &[("response_format", "json")], &[("response_format", "")]] {
        let answer = app.transcribe(fields).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "application/json");
        let usage = json!({"type": "duration", "seconds": 2});
        assert_eq!(answer.json(), json!({"text": TEXT, "languages": [{"code": "en"}], "usage": usage}));
    }
    let answer = app.transcribe(&[("language", "en")]).await;
    assert_eq!(answer.json(), json!({"text": TEXT, "usage": {"type": "duration", "seconds": 2}}));
}

#[tokio::test]
async fn json_with_log_probabilities() {
    let answer = app().transcribe(&[("include[]", "logprobs"), ("language", "en")]).await;
    let first = " Hello, world.";
    let tokens = answer.json()["logprobs"].clone();
    assert_eq!(tokens.as_array().unwrap().len(), 2);
    assert_eq!(tokens[0], json!({"token": first, "logprob": -0.25, "bytes": first.as_bytes()}));
}

#[tokio::test]
async fn text_is_the_transcript_alone() {
    let answer = app().transcribe(&[("response_format", "text")]).await;
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(answer.text(), format!("{TEXT}\n"));
}

#[tokio::test]
async fn subtitles() {
    let app = app();
    let srt = app.transcribe(&[("response_format", "srt")]).await;
    assert_eq!(srt.header("content-type"), "text/plain; charset=utf-8");
    let expected = "1\n00:00:00,000 --> 00:00:01,000\nHello, world.\n\n\
                    2\n00:00:01,000 --> 00:00:02,000\nIt's (really) \"me\"!\n\n";
    assert_eq!(srt.text(), expected);
    let vtt = app.transcribe(&[("response_format", "vtt")]).await;
    assert_eq!(vtt.header("content-type"), "text/vtt; charset=utf-8");
    let expected = "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nHello, world.\n\n\
                    00:00:01.000 --> 00:00:02.000\nIt's (really) \"me\"!\n\n";
    assert_eq!(vtt.text(), expected);
}

#[tokio::test]
async fn verbose_json_has_segments_with_all_ten_keys() {
    let answer = app().transcribe(&[("response_format", "verbose_json")]).await;
    let segment = |id: u32, start: f64, text: &str| {
        json!({
            "id": id, "seek": 0, "start": start, "end": start + 1.0, "text": text, "tokens": [50364, 15947, 50414],
            "temperature": 0.2, "avg_logprob": -0.3, "compression_ratio": 1.25, "no_speech_prob": 0.01,
        })
    };
    let expected = json!({
        "task": "transcribe", "language": "english", "duration": 2.0, "text": TEXT,
        "segments": [segment(0, 0.0, " Hello, world."), segment(1, 1.0, " It's (really) \"me\"! ")],
        "usage": {"type": "duration", "seconds": 2},
    });
    assert_eq!(answer.json(), expected);
    // Clients of typed languages want a number with a point.
    assert!(answer.text().contains("\"duration\":2.0"));
}

#[tokio::test]
async fn words_come_where_they_are_asked_for() {
    let app = app();
    let verbose = ("response_format", "verbose_json");
    let word = ("timestamp_granularities[]", "word");
    let segment = ("timestamp_granularities[]", "segment");
    for (fields, words, segments) in [
        (&[verbose][..], false, true),
        (&[verbose, segment], false, true),
        (&[verbose, word], true, false),
        (&[verbose, word, segment], true, true),
        (&[verbose, segment, word], true, true),
        (&[verbose, ("timestamp_granularities", "word,segment")], true, true),
        (&[verbose, ("timestamp_granularities", r#"["word", "segment"]"#)], true, true),
        (&[verbose, ("timestamp_granularities[]", "")], false, true),
        (&[verbose, ("word_timestamps", "true")], true, true),
    ] {
        let body = app.transcribe(fields).await.json();
        assert_eq!(body.get("words").is_some(), words, "{fields:?}");
        assert_eq!(body.get("segments").is_some(), segments, "{fields:?}");
        assert_eq!(app.seen.options().word_timestamps, words, "aligned only if asked for: {fields:?}");
    }
    // Without verbose_json there is no place for words.
    assert_eq!(app.transcribe(&[word]).await.status, 200);
    assert!(!app.seen.options().word_timestamps);
}

#[tokio::test]
async fn subtitles_can_be_cut_between_words() {
    let answer = app().transcribe(&[("response_format", "srt"), ("timestamp_granularities[]", "word")]).await;
    let expected = "1\n00:00:00,000 --> 00:00:01,300\nHello, world. It's (really) \"me\"!\n\n";
    assert_eq!(answer.text(), expected);
}

#[tokio::test]
async fn words_are_bare() {
    let fields = [("response_format", "verbose_json"), ("timestamp_granularities[]", "word")];
    let body = app().transcribe(&fields).await.json();
    let words: Vec<_> =
        body["words"].as_array().unwrap().iter().map(|word| word["word"].as_str().unwrap()).collect();
    assert_eq!(words, ["Hello", "world", "It's", "really", "me"]);
    assert_eq!(body["words"][1], json!({"word": "world", "start": 0.1, "end": 0.2, "probability": 0.5}));
}

#[tokio::test]
async fn translations_are_english() {
    let app = app();
    let answer = app.translate(&[]).await;
    assert_eq!(answer.json()["text"], TEXT);
    assert_eq!(answer.json().get("usage"), None);
    assert_eq!(app.seen.options().task.as_str(), "translate");
    let body = app.translate(&[("response_format", "verbose_json"), ("language", "de")]).await.json();
    assert_eq!(body["task"], "translate");
    assert_eq!(body["language"], "english", "the language of the text");
    assert_eq!(body["segments"].as_array().unwrap().len(), 2);
    assert_eq!(app.seen.options().language.as_deref(), Some("de"), "the language of the speech");
    for (format, start) in [("text", "Hello"), ("srt", "1\n"), ("vtt", "WEBVTT")] {
        assert!(app.translate(&[("response_format", format)]).await.text().starts_with(start));
    }
}

#[tokio::test]
async fn silence_is_an_empty_text() {
    let app = app();
    let body = app.transcribe(&[("model", "silent"), ("language", "en")]).await.json();
    assert_eq!(body, json!({"text": "", "usage": {"type": "duration", "seconds": 2}}));
    assert_eq!(app.transcribe(&[("model", "silent"), ("response_format", "text")]).await.text(), "\n");
}

#[tokio::test]
async fn parts_come_in_any_order_and_unknown_ones_do_no_harm() {
    let app = app();
    let model = part("model", None) + "scripted\r\n";
    let user = part("user", None) + "me\r\n";
    let logo = part("logo", Some("logo.png")) + &"x".repeat(2 << 20) + "\r\n";
    let file = [part("file", Some("a.wav")).as_bytes(), &sound(), b"\r\n"].concat();
    for path in [TRANSCRIPTIONS, TRANSLATIONS] {
        for parts in [
            [&file[..], model.as_bytes(), user.as_bytes(), logo.as_bytes()],
            [logo.as_bytes(), user.as_bytes(), &file, model.as_bytes()],
        ] {
            let body = [parts.concat().as_slice(), b"--a-boundary--\r\n"].concat();
            assert_eq!(app.send(multipart(path, body.into())).await.json()["text"], TEXT);
        }
    }
}
