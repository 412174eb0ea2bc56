//! What requests carry. Requests are read leniently, not into types, so their schemas are written here.

use mynah_api as api;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

/// The parameters of listening; JSON bodies carry the audio as base64 or as a data URL.
pub(super) fn listen(_: &mut SchemaGenerator) -> Value {
    let names = |list: &[&str]| json!({"type": "array", "items": {"enum": list}});
    let texts = json!({"type": "array", "items": {"type": "string"}});
    let mut properties = json!({
        "model": {"type": "string", "description": "A uid, a name of the catalogue, or whisper-1"},
        "language": {"type": "string", "description": "Of the speech, as code or English name; detected where absent"},
        "languages[]": texts,
        "prompt": {"type": "string", "description": "Text before this audio, or a sample of its spelling"},
        "keywords[]": texts,
        "response_format": {"enum": api::ResponseFormat::ALL.map(api::ResponseFormat::as_str), "default": "json"},
        "temperature": {"type": "number", "minimum": 0, "maximum": 1},
        "timestamp_granularities[]": names(&["segment", "word"]),
        "include[]": names(&["logprobs"]),
        "stream": {"type": "boolean", "default": false},
        "chunking_strategy": {"description": "auto, or an object of the type server_vad"},
        "kwargs": {"type": "string", "description": "Decoding options as the text of a JSON object"},
    });
    let mut body = |file: Value| {
        properties["file"] = file;
        json!({"schema": {"type": "object", "required": ["model", "file"], "properties": properties}})
    };
    let form = body(json!({"type": "string", "contentMediaType": "application/octet-stream"}));
    let json = body(json!({"type": "string", "contentEncoding": "base64"}));
    json!({"required": true, "content": {"multipart/form-data": form, "application/json": json}})
}

/// The parameters of speaking.
pub(super) fn speak(_: &mut SchemaGenerator) -> Value {
    let properties = json!({
        "model": {"type": "string", "description": "A uid, a name of the catalogue, or tts-1"},
        "input": {"type": "string", "description": "The text; `text` means the same"},
        "voice": {"description": "A name, or an object with the name as its id", "type": ["string", "object"]},
        "response_format": {"enum": ["mp3", "opus", "aac", "flac", "wav", "pcm"], "default": "mp3"},
        "speed": {"type": "number", "minimum": 0.25, "maximum": 4, "default": 1},
        "stream_format": {"enum": ["audio", "sse"], "default": "audio"},
        "instructions": {"type": "string", "description": "Tone and manner, for models that follow them"},
        "prompt_speech": {"type": "string", "format": "binary", "description": "Reference audio of a voice to clone, at most a minute (ChatTTS); as a form part, or as base64"},
        "prompt_text": {"type": "string", "description": "What is said in prompt_speech"},
        "refine_text": {"type": "boolean", "default": false, "description": "Have the model put pauses and laughter into the text, for models that can"},
        "normalize_text": {"type": "boolean", "default": true, "description": "Read out numbers, dates, money and units"},
        "sample_rate": {"type": "integer", "minimum": 8000, "maximum": 48000},
        "seed": {"type": "integer", "description": "Equal seeds give equal audio"},
        "timestamp_granularities[]": {"type": "array", "items": {"enum": ["word"]}},
        "kwargs": {"type": ["string", "object"], "description": "Instructions, sample_rate, seed and granularities, as Xinference's clients send them"},
    });
    let schema =
        json!({"schema": {"type": "object", "required": ["model", "input"], "properties": properties}});
    json!({"required": true, "content": {"application/json": schema, "multipart/form-data": schema}})
}

/// What is launched.
pub(super) fn launch(_: &mut SchemaGenerator) -> Value {
    let properties = json!({
        "model_name": {"type": "string", "description": "Of the catalogue"},
        "model_type": {"const": "audio"},
        "model_uid": {"type": ["string", "null"], "description": "The handle; the name where absent"},
        "model_path": {"type": ["string", "null"], "description": "A checkpoint on the server's disk in place of a download"},
        "model_engine": {"type": ["string", "null"], "description": "Shown again; the same code runs"},
        "quantization": {"enum": [null, "none", "auto", "f32", "f16", "int8"]},
        "replica": {"type": "integer", "minimum": 1, "default": 1, "description": "Replicas share weights"},
        "request_limits": {"type": ["integer", "null"], "minimum": 0, "description": "Requests at once on each replica"},
        "download_hub": {"enum": [null, "auto", "huggingface", "modelscope", "pip"]},
        "n_gpu": {"enum": ["auto", 0, null]},
        "unload_after_s": {"type": ["number", "null"], "description": "Leave memory when unused for this time"},
        "pin": {"type": "boolean", "default": false, "description": "Never leave memory"},
    });
    object("Further keys are kept and shown again", &["model_name", "model_type"], &properties)
}

/// How many replicas are added.
pub(super) fn more_replicas(_: &mut SchemaGenerator) -> Value {
    object("How many", &[], &json!({"replica": {"type": "integer", "minimum": 1, "default": 1}}))
}

/// What is registered.
pub(super) fn register(schemas: &mut SchemaGenerator) -> Value {
    let schema = schemas.subschema_for::<api::RegisterRequest>();
    json!({"required": true, "content": {"application/json": {"schema": schema}}})
}

/// A key to be made.
pub(super) fn new_key(_: &mut SchemaGenerator) -> Value {
    let scopes = crate::auth::Scope::ALL.map(crate::auth::Scope::as_str);
    let properties = json!({
        "name": {"type": "string", "maxLength": 100},
        "key": {"type": ["string", "null"], "minLength": 16, "description": "One of your own; else one is made"},
        "scopes": {"type": ["array", "null"], "items": {"enum": scopes}, "default": ["list", "use"]},
        "expires_at": {"type": ["string", "integer", "null"], "description": "A date and a time in UTC, or seconds since 1970"},
        "requests_per_minute": {"type": ["integer", "null"], "minimum": 1},
    });
    object("The key", &["name"], &properties)
}

/// A name and a password.
pub(super) fn login(_: &mut SchemaGenerator) -> Value {
    let properties = json!({"username": {"type": "string"}, "password": {"type": "string"}});
    object("Who logs in", &["username", "password"], &properties)
}

/// A refresh token.
pub(super) fn refresh(_: &mut SchemaGenerator) -> Value {
    object("The token", &["refresh_token"], &json!({"refresh_token": {"type": "string"}}))
}

fn object(description: &str, required: &[&str], properties: &Value) -> Value {
    let schema = json!({"type": "object", "required": required, "properties": properties});
    json!({"required": true, "description": description, "content": {"application/json": {"schema": schema}}})
}

/// A transcript as JSON.
pub(super) fn transcript(schemas: &mut SchemaGenerator) -> Schema {
    let plain = schemas.subschema_for::<api::Transcription>();
    let verbose = schemas.subschema_for::<api::VerboseTranscription>();
    json_schema!({"anyOf": [plain, verbose]})
}

/// The catalogue.
pub(super) fn registrations(schemas: &mut SchemaGenerator) -> Schema {
    let name = schemas.subschema_for::<api::RegistrationName>();
    let detail = schemas.subschema_for::<api::RegistrationDetail>();
    json_schema!({"type": "array", "items": {"anyOf": [name, detail]}})
}

/// A file.
pub(super) fn bytes(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "contentMediaType": "application/octet-stream"})
}
