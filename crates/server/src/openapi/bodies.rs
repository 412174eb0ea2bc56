//! Schemas of request bodies. Requests are parsed leniently, not into types, so the schemas are written here.

use mynah_api as api;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

/// Parameters of transcription; JSON bodies contain the audio as base64 or as a data URL.
pub(super) fn transcription(_: &mut SchemaGenerator) -> Value {
    let names = |list: &[&str]| json!({"type": "array", "items": {"enum": list}});
    let texts = json!({"type": "array", "items": {"type": "string"}});
    let mut properties = json!({
        "model": {"type": "string", "description": "A uid, a catalogue name, or whisper-1"},
        "language": {"type": "string", "description": "Spoken language, as code or English name; detected if absent"},
        "languages[]": texts,
        "prompt": {"type": "string", "description": "Text that precedes the audio, or an example of its style and spelling"},
        "keywords[]": texts,
        "response_format": {"enum": api::ResponseFormat::ALL.map(api::ResponseFormat::as_str), "default": "json"},
        "temperature": {"type": "number", "minimum": 0, "maximum": 1},
        "timestamp_granularities[]": names(&["segment", "word"]),
        "include[]": names(&["logprobs"]),
        "stream": {"type": "boolean", "default": false},
        "chunking_strategy": {"description": "auto, or an object with type server_vad"},
        "kwargs": {"type": "string", "description": "Decoding options, the text of a JSON object"},
    });
    let mut body = |file: Value| {
        properties["file"] = file;
        json!({"schema": {"type": "object", "required": ["model", "file"], "properties": properties}})
    };
    let form = body(json!({"type": "string", "contentMediaType": "application/octet-stream"}));
    let json = body(json!({"type": "string", "contentEncoding": "base64"}));
    json!({"required": true, "content": {"multipart/form-data": form, "application/json": json}})
}

/// Parameters of speech synthesis.
pub(super) fn speech(_: &mut SchemaGenerator) -> Value {
    let properties = json!({
        "model": {"type": "string", "description": "A uid, a catalogue name, or tts-1"},
        "input": {"type": "string", "description": "The text to speak; alias: `text`"},
        "voice": {"description": "A name, or an object with the name as its id", "type": ["string", "object"]},
        "response_format": {"enum": ["mp3", "opus", "aac", "flac", "wav", "pcm"], "default": "mp3"},
        "speed": {"type": "number", "minimum": 0.25, "maximum": 4, "default": 1},
        "stream_format": {"enum": ["audio", "sse"], "default": "audio"},
        "instructions": {"type": "string", "description": "Tone and style, for models that follow instructions"},
        "prompt_speech": {"type": "string", "format": "binary", "description": "Reference audio of a voice to clone, at most a minute (ChatTTS); as a form part, or as base64"},
        "prompt_text": {"type": "string", "description": "Transcript of prompt_speech"},
        "refine_text": {"type": "boolean", "default": false, "description": "Let the model add pauses and laughter to the text (ChatTTS)"},
        "normalize_text": {"type": "boolean", "default": true, "description": "Normalize numbers, dates, money and units (ChatTTS)"},
        "sample_rate": {"type": "integer", "minimum": 8000, "maximum": 48000},
        "seed": {"type": "integer", "description": "Random seed; the same seed gives the same audio"},
        "timestamp_granularities[]": {"type": "array", "items": {"enum": ["word"]}},
        "kwargs": {"type": ["string", "object"], "description": "Instructions, sample_rate, seed and granularities, as Xinference's clients send them"},
    });
    let schema =
        json!({"schema": {"type": "object", "required": ["model", "input"], "properties": properties}});
    json!({"required": true, "content": {"application/json": schema, "multipart/form-data": schema}})
}

/// A launch request.
pub(super) fn launch(_: &mut SchemaGenerator) -> Value {
    let properties = json!({
        "model_name": {"type": "string", "description": "Catalogue name"},
        "model_type": {"const": "audio"},
        "model_uid": {"type": ["string", "null"], "description": "Uid; the name if absent"},
        "model_path": {"type": ["string", "null"], "description": "Checkpoint on the server's disk instead of a download"},
        "model_engine": {"type": ["string", "null"], "description": "Reported back; has no effect"},
        "quantization": {"enum": [null, "none", "auto", "f32", "f16", "int8"]},
        "replica": {"type": "integer", "minimum": 1, "default": 1, "description": "Replicas share weights"},
        "request_limits": {"type": ["integer", "null"], "minimum": 0, "description": "Maximum concurrent requests per replica"},
        "download_hub": {"enum": [null, "auto", "huggingface", "modelscope", "pip"]},
        "n_gpu": {"enum": ["auto", 0, null]},
        "unload_after_s": {"type": ["number", "null"], "description": "Idle time after which the model is unloaded, seconds"},
        "pin": {"type": "boolean", "default": false, "description": "Never evict or unload the model"},
    });
    object("Further keys are kept and reported back", &["model_name", "model_type"], &properties)
}

/// Number of replicas to add.
pub(super) fn more_replicas(_: &mut SchemaGenerator) -> Value {
    object(
        "Number of replicas to add",
        &[],
        &json!({"replica": {"type": "integer", "minimum": 1, "default": 1}}),
    )
}

/// A registration request.
pub(super) fn register(schemas: &mut SchemaGenerator) -> Value {
    let schema = schemas.subschema_for::<api::RegisterRequest>();
    json!({"required": true, "content": {"application/json": {"schema": schema}}})
}

/// A new key.
pub(super) fn new_key(_: &mut SchemaGenerator) -> Value {
    let scopes = crate::auth::Scope::ALL.map(crate::auth::Scope::as_str);
    let properties = json!({
        "name": {"type": "string", "maxLength": 100},
        "key": {"type": ["string", "null"], "minLength": 16, "description": "Your own key; generated if absent"},
        "scopes": {"type": ["array", "null"], "items": {"enum": scopes}, "default": ["list", "use"]},
        "expires_at": {"type": ["string", "integer", "null"], "description": "Date and time in UTC, or seconds since 1970"},
        "requests_per_minute": {"type": ["integer", "null"], "minimum": 1},
    });
    object("The new key", &["name"], &properties)
}

/// A name and a password.
pub(super) fn login(_: &mut SchemaGenerator) -> Value {
    let properties = json!({"username": {"type": "string"}, "password": {"type": "string"}});
    object("User name and password", &["username", "password"], &properties)
}

/// A refresh token.
pub(super) fn refresh(_: &mut SchemaGenerator) -> Value {
    object("The refresh token", &["refresh_token"], &json!({"refresh_token": {"type": "string"}}))
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
