//! Every path and method.

use mynah_api as api;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use super::bodies;

/// Creates a schema and adds the types that it refers to to the definitions.
pub(super) type MakeSchema = fn(&mut SchemaGenerator) -> Schema;

/// A path with a method.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    /// Name, type and description of query parameters.
    pub(super) query: &'static [(&'static str, &'static str, &'static str)],
    pub(super) body: Option<fn(&mut SchemaGenerator) -> Value>,
    pub(super) answer: Answer,
}

/// The response of a successful request.
pub(super) enum Answer {
    /// JSON of a type.
    Of(MakeSchema),
    /// JSON with a description only.
    Json(&'static str),
    /// JSON of a type, with status 201.
    Made(MakeSchema),
    /// `null`.
    Null,
    /// One of several content types.
    Kinds(&'static [(&'static str, MakeSchema)]),
}

pub(super) const TAGS: [(&str, &str); 6] = [
    ("Audio", "Transcription and speech synthesis"),
    ("Models", "Running models: launch, list, terminate"),
    ("Catalogue", "Models that can be launched, and registration of models"),
    ("Disk", "Models on this machine's disk"),
    ("Keys", "API keys and logins"),
    ("Server", "The server and its machine"),
];

fn of<T: JsonSchema>(schemas: &mut SchemaGenerator) -> Schema {
    schemas.subschema_for::<T>()
}

const fn operation(
    method: &'static str,
    path: &'static str,
    tag: &'static str,
    summary: &'static str,
    answer: Answer,
) -> Operation {
    Operation { method, path, tag, summary, query: &[], body: None, answer }
}

impl Operation {
    const fn query(self, query: &'static [(&'static str, &'static str, &'static str)]) -> Self {
        Self { query, ..self }
    }

    const fn body(self, body: fn(&mut SchemaGenerator) -> Value) -> Self {
        Self { body: Some(body), ..self }
    }
}

const TRANSCRIPT: Answer = Answer::Kinds(&[
    ("application/json", bodies::transcript),
    ("text/plain", of::<String>),
    ("text/vtt", of::<String>),
    ("text/event-stream", of::<api::StreamEvent>),
]);
const SPOKEN: Answer = Answer::Kinds(&[
    ("audio/mpeg", bodies::bytes),
    ("audio/wav", bodies::bytes),
    ("audio/opus", bodies::bytes),
    ("audio/aac", bodies::bytes),
    ("audio/flac", bodies::bytes),
    ("audio/pcm", bodies::bytes),
    ("text/event-stream", of::<api::SpeechStreamEvent>),
]);

pub(super) const OPERATIONS: &[Operation] = &[
    operation(
        "post",
        "/v1/audio/transcriptions",
        "Audio",
        "Speech to text in the spoken language",
        TRANSCRIPT,
    )
    .body(bodies::transcription),
    operation("post", "/v1/audio/translations", "Audio", "Speech to English text", TRANSCRIPT)
        .body(bodies::transcription),
    operation("post", "/v1/audio/speech", "Audio", "Text to speech", SPOKEN).body(bodies::speech),
    operation("post", "/v1/audio/embeddings", "Audio", "Not supported: always an error", Answer::Null),
    operation("get", "/v1/audio/voices", "Audio", "List voices", Answer::Of(of::<api::VoiceList>)),
    operation("get", "/v1/audio/models", "Audio", "List text-to-speech models", Answer::Json("Their names")),
    operation(
        "get",
        "/v1/models",
        "Models",
        "List running models; for OpenAI's clients, also those that can be loaded on request",
        Answer::Of(of::<api::ModelList>),
    )
    .query(&[("all", "boolean", "Include models that can be loaded on request")]),
    operation("post", "/v1/models", "Models", "Launch a model", Answer::Of(of::<api::Launched>))
        .query(&[("wait_ready", "boolean", "Respond when the model is ready (default), or at once")])
        .body(bodies::launch),
    operation("get", "/v1/models/{uid}", "Models", "Describe a model", Answer::Of(of::<api::Model>)),
    operation("delete", "/v1/models/{uid}", "Models", "Terminate a model", Answer::Null),
    operation(
        "get",
        "/v1/models/instances",
        "Models",
        "List launches, including failed ones",
        Answer::Of(of::<Vec<api::Instance>>),
    )
    .query(&[
        ("model_uid", "string", "Only this one"),
        ("model_name", "string", "Only instances of this model"),
    ]),
    operation(
        "get",
        "/v1/models/{uid}/progress",
        "Models",
        "Progress of a launch",
        Answer::Of(of::<api::LaunchProgress>),
    ),
    operation(
        "post",
        "/v1/models/{uid}/cancel",
        "Models",
        "Cancel a launch, or terminate a model that is ready",
        Answer::Null,
    ),
    operation(
        "get",
        "/v1/models/{uid}/events",
        "Models",
        "Events of a model",
        Answer::Of(of::<Vec<api::Event>>),
    ),
    operation(
        "get",
        "/v1/models/{uid}/replicas",
        "Models",
        "List replicas",
        Answer::Of(of::<Vec<api::Replica>>),
    ),
    operation(
        "post",
        "/v1/models/{uid}/replicas",
        "Models",
        "Add replicas",
        Answer::Json("The new replica, or a list of several"),
    )
    .body(bodies::more_replicas),
    operation(
        "delete",
        "/v1/models/{uid}/replicas/{id}",
        "Models",
        "Remove a replica",
        Answer::Json("remaining_replicas, a number"),
    ),
    operation(
        "post",
        "/v1/models/{uid}/requests/{id}/abort",
        "Models",
        "No effect: a request ends when its client disconnects",
        Answer::Json("msg, always NO_OP"),
    ),
    operation(
        "get",
        "/v1/models/{uid}/reload",
        "Models",
        "Not supported: terminate and launch instead",
        Answer::Null,
    ),
    operation(
        "post",
        "/v1/models/{uid}/reload",
        "Models",
        "Not supported: terminate and launch instead",
        Answer::Null,
    ),
    operation("get", "/v1/models/{uid}/reload/config", "Models", "Not supported", Answer::Null),
    operation("post", "/v1/models/instance", "Models", "Not supported: use POST /v1/models", Answer::Null),
    operation(
        "get",
        "/v1/models/{type}/{name}/versions",
        "Catalogue",
        "Location of a model on disk",
        Answer::Of(of::<Vec<api::ModelVersion>>),
    ),
    operation(
        "get",
        "/v1/models/prompts",
        "Catalogue",
        "For language models: empty here",
        Answer::Json("An empty object"),
    ),
    operation(
        "get",
        "/v1/models/families",
        "Catalogue",
        "For language models: empty here",
        Answer::Json("Empty lists"),
    ),
    operation(
        "get",
        "/v1/models/vllm-supported",
        "Catalogue",
        "For language models: empty here",
        Answer::Json("Empty lists"),
    ),
    operation("get", "/v1/engines/{name}", "Catalogue", "For language models: empty here", Answer::Null),
    operation(
        "get",
        "/v1/engines/{type}/{name}",
        "Catalogue",
        "Engine names that a launch accepts; all run the same code",
        Answer::Json("Lists by engine, or null if there is no choice"),
    ),
    operation(
        "get",
        "/v1/model_registrations/{type}",
        "Catalogue",
        "List the catalogue",
        Answer::Kinds(&[("application/json", bodies::registrations)]),
    )
    .query(&[("detailed", "boolean", "All details, not only names")]),
    operation("post", "/v1/model_registrations/{type}", "Catalogue", "Register a custom model", Answer::Null)
        .body(bodies::register),
    operation(
        "get",
        "/v1/model_registrations/{type}/{name}",
        "Catalogue",
        "Describe a catalogue model",
        Answer::Of(of::<api::RegistrationDetail>),
    ),
    operation(
        "delete",
        "/v1/model_registrations/{type}/{name}",
        "Catalogue",
        "Unregister a custom model",
        Answer::Null,
    ),
    operation(
        "get",
        "/v1/cache/models",
        "Disk",
        "List downloaded models",
        Answer::Of(of::<api::CachedModels>),
    )
    .query(&[("model_name", "string", "Only this one")]),
    operation(
        "get",
        "/v1/cache/models/files",
        "Disk",
        "List the files that removing a model deletes",
        Answer::Of(of::<api::CachedFiles>),
    )
    .query(&[("model_version", "string", "The model; required")]),
    operation("delete", "/v1/cache/models", "Disk", "Delete a downloaded model", Answer::Of(of::<api::Done>))
        .query(&[("model_version", "string", "The model; required")]),
    operation(
        "get",
        "/v1/admin/keys",
        "Keys",
        "List keys, without the keys themselves",
        Answer::Of(of::<Vec<api::Key>>),
    ),
    operation(
        "post",
        "/v1/admin/keys",
        "Keys",
        "Create a key; only this response contains it",
        Answer::Made(of::<api::NewKey>),
    )
    .body(bodies::new_key),
    operation("delete", "/v1/admin/keys/{id}", "Keys", "Revoke a key", Answer::Json("ok, always true")),
    operation(
        "post",
        "/token",
        "Keys",
        "Log in with user name and password",
        Answer::Of(of::<api::TokenPair>),
    )
    .body(bodies::login),
    operation(
        "post",
        "/v1/auth/refresh",
        "Keys",
        "New tokens for a refresh token, which is then invalid",
        Answer::Of(of::<api::TokenPair>),
    )
    .body(bodies::refresh),
    operation(
        "post",
        "/v1/auth/logout",
        "Keys",
        "Invalidate a refresh token",
        Answer::Json("ok, always true"),
    )
    .body(bodies::refresh),
    operation(
        "get",
        "/health/live",
        "Server",
        "Liveness probe; needs no key",
        Answer::Json("status, always ok"),
    ),
    operation(
        "get",
        "/health/ready",
        "Server",
        "Readiness probe: 429 if an audio request would be refused now; needs no key",
        Answer::Json("status, always ok"),
    ),
    operation(
        "get",
        "/metrics",
        "Server",
        "Prometheus metrics",
        Answer::Kinds(&[("text/plain", of::<String>)]),
    ),
    operation("get", "/health", "Server", "Liveness probe; needs no key", Answer::Json("status, always ok")),
    operation(
        "get",
        "/v1/cluster/auth",
        "Server",
        "Whether requests need a key; needs no key itself",
        Answer::Of(of::<api::AuthProbe>),
    ),
    operation("get", "/status", "Server", "Status of the machine", Answer::Of(of::<api::ClusterStatus>)),
    operation("get", "/v1/address", "Server", "The server's address", Answer::Of(of::<String>)),
    operation("get", "/v1/supervisor", "Server", "The server's address", Answer::Of(of::<api::Supervisor>)),
    operation("get", "/v1/workers", "Server", "Models of this machine", Answer::Of(of::<Vec<api::Worker>>)),
    operation(
        "get",
        "/v1/cluster/info",
        "Server",
        "Describe the machine",
        Answer::Of(of::<Vec<api::ClusterNode>>),
    )
    .query(&[("detailed", "boolean", "Include CPUs and memory")]),
    operation(
        "get",
        "/v1/cluster/version",
        "Server",
        "Version of the server",
        Answer::Of(of::<api::ClusterVersion>),
    ),
    operation("get", "/v1/cluster/devices", "Server", "Number of GPUs: 0", Answer::Of(of::<u32>)),
    operation(
        "get",
        "/v1/cluster/ui_config",
        "Server",
        "Configuration of Xinference's web UI",
        Answer::Json("Feature flags, all false"),
    ),
    operation(
        "get",
        "/v1/requests/{id}/progress",
        "Server",
        "Not supported: no request has progress",
        Answer::Null,
    ),
    operation("delete", "/v1/clusters", "Server", "Stop the server", Answer::Of(of::<api::Done>)),
    operation("get", "/openapi.json", "Server", "This document", Answer::Json("OpenAPI 3.1")),
    operation(
        "get",
        "/docs",
        "Server",
        "This document as a page",
        Answer::Kinds(&[("text/html", of::<String>)]),
    ),
    operation("get", "/", "Server", "The same page", Answer::Kinds(&[("text/html", of::<String>)])),
];
