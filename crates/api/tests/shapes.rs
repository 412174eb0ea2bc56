//! The bodies that OpenAI documents can be read, and written again without a change.

use mynah_api::{
    ErrorBody, ErrorObject, Instance, LaunchProgress, ModelList, SpeechStreamEvent, StreamEvent,
    Transcription, VerboseTranscription, VoiceList,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

#[track_caller]
fn unchanged<T: Serialize + DeserializeOwned>(body: &Value) {
    let read: T = serde_json::from_value(body.clone()).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), *body);
}

#[test]
fn transcriptions() {
    unchanged::<Transcription>(&json!({"text": "Hello.", "usage": {"type": "duration", "seconds": 9}}));
    unchanged::<Transcription>(&json!({
        "text": "Hi",
        "logprobs": [{"token": "Hi", "logprob": -0.25, "bytes": [72, 105]}],
        "languages": [{"code": "en"}],
    }));
    unchanged::<VerboseTranscription>(&json!({
        "task": "transcribe", "language": "english", "duration": 8.47, "text": "The beach was",
        "segments": [{
            "id": 0, "seek": 0, "start": 0.0, "end": 3.32, "text": " The beach was", "tokens": [50364, 440, 7534],
            "temperature": 0.0, "avg_logprob": -0.286, "compression_ratio": 1.236, "no_speech_prob": 0.0099,
        }],
        "words": [{"word": "The", "start": 0.0, "end": 0.24}],
        "usage": {"type": "duration", "seconds": 9},
    }));
}

#[test]
fn events() {
    unchanged::<StreamEvent>(&json!({"type": "transcript.text.delta", "delta": " see"}));
    unchanged::<StreamEvent>(&json!({
        "type": "transcript.text.done", "text": "I see", "usage": {"type": "duration", "seconds": 1},
    }));
}

#[test]
fn speech_events() {
    unchanged::<SpeechStreamEvent>(&json!({"type": "speech.audio.delta", "audio": "SUQzBAAAAAAA"}));
    let usage = json!({"input_tokens": 14, "output_tokens": 101, "total_tokens": 115});
    unchanged::<SpeechStreamEvent>(&json!({"type": "speech.audio.done", "usage": usage}));
    let words = json!([{"word": "Hi", "start": 0.25, "end": 0.5}]);
    unchanged::<SpeechStreamEvent>(&json!({"type": "speech.audio.done", "usage": usage, "words": words}));
}

#[test]
fn voices() {
    let voice = json!({
        "id": "emma", "name": "emma", "model": "hibari", "language": "en-GB", "gender": "female",
        "aliases": ["sage"], "default": false, "on_disk": true,
    });
    unchanged::<VoiceList>(&json!({"object": "list", "voices": [voice], "data": [voice]}));
}

#[test]
fn models() {
    unchanged::<ModelList>(&json!({"object": "list", "data": [{
        "id": "whisper-1", "object": "model", "created": 0, "owned_by": "xinference", "model_type": "audio",
        "address": "127.0.0.1:9997", "accelerators": [], "model_name": "whisper-base", "model_lang": ["en", "fr"],
        "model_family": "whisper", "model_revision": null, "model_ability": ["audio2text"], "model_engine": "transformers",
        "quantization": "none", "replica": 1, "multilingual": true, "on_disk": false,
    }]}));
}

#[test]
fn instances() {
    let replica = json!({
        "replica_id": 0, "replica_model_uid": "a-rep0", "worker_address": "127.0.0.1:9997", "status": "ERROR",
        "model_state": "error", "created_ts": 1, "error_message": "no network", "replica_uid": null, "gpu_idx": null,
    });
    unchanged::<Vec<Instance>>(&json!([{
        "model_name": "whisper-base", "model_uid": "a", "model_version": null, "model_ability": [], "replica": 1,
        "status": "ERROR", "instance_created_ts": 1, "n_worker": 1, "replica_statuses": [replica],
    }]));
    unchanged::<LaunchProgress>(&json!({
        "progress": 0.25, "stage": "downloading",
        "download_files": [{"name": "whisper-base", "downloaded": 1, "total": 4}], "replicas": [],
    }));
}

#[test]
fn faults_are_a_list() {
    unchanged::<ErrorBody>(&json!({
        "error": {"message": "m", "type": "invalid_request_error", "param": null, "code": "invalid_value"},
        "detail": [{"type": "missing", "loc": ["query", "model_version"], "msg": "Field required", "input": null}],
    }));
}

#[test]
fn errors_have_four_keys_and_the_detail() {
    let body = ErrorBody::new(ErrorObject {
        message: "file is empty".into(),
        kind: "invalid_request_error".into(),
        param: Some("file".into()),
        code: None,
    });
    let expected = json!({
        "error": {"message": "file is empty", "type": "invalid_request_error", "param": "file", "code": null},
        "detail": "file is empty",
    });
    assert_eq!(serde_json::to_value(&body).unwrap(), expected);
    unchanged::<ErrorBody>(&expected);
}
