//! Every path and method.

use mynah_api as api;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use super::bodies;

/// Makes a schema and puts what it refers to among the definitions.
pub(super) type MakeSchema = fn(&mut SchemaGenerator) -> Schema;

/// A path with a method.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    /// Name, type and meaning of parameters in the address.
    pub(super) query: &'static [(&'static str, &'static str, &'static str)],
    pub(super) body: Option<fn(&mut SchemaGenerator) -> Value>,
    pub(super) answer: Answer,
}

/// What is answered where all is well.
pub(super) enum Answer {
    /// JSON of a type.
    Of(MakeSchema),
    /// JSON described in prose.
    Json(&'static str),
    /// JSON of a type, with status 201.
    Made(MakeSchema),
    /// Nothing but that it was done.
    Null,
    /// One of several content types.
    Kinds(&'static [(&'static str, MakeSchema)]),
}

pub(super) const TAGS: [(&str, &str); 6] = [
    ("Audio", "Listening and speaking"),
    ("Models", "Models that run: launched, described, terminated"),
    ("Catalogue", "Models that can be launched, and adding to them"),
    ("Disk", "Models on this machine's disk"),
    ("Keys", "Who may do what"),
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
    .body(bodies::listen),
    operation("post", "/v1/audio/translations", "Audio", "Speech to English text", TRANSCRIPT)
        .body(bodies::listen),
    operation("post", "/v1/audio/speech", "Audio", "Text to speech", SPOKEN).body(bodies::speak),
    operation("post", "/v1/audio/embeddings", "Audio", "Always refused: no model makes them", Answer::Null),
    operation("get", "/v1/audio/voices", "Audio", "The voices", Answer::Of(of::<api::VoiceList>)),
    operation("get", "/v1/audio/models", "Audio", "The models that speak", Answer::Json("Their names")),
    operation(
        "get",
        "/v1/models",
        "Models",
        "The models that run; OpenAI's clients get those too that a request may load",
        Answer::Of(of::<api::ModelList>),
    )
    .query(&[("all", "boolean", "Those too that a request may load")]),
    operation("post", "/v1/models", "Models", "Launch a model", Answer::Of(of::<api::Launched>))
        .query(&[("wait_ready", "boolean", "Answer when it is ready (the default), or at once")])
        .body(bodies::launch),
    operation("get", "/v1/models/{uid}", "Models", "Describe a model", Answer::Of(of::<api::Model>)),
    operation("delete", "/v1/models/{uid}", "Models", "Terminate a model", Answer::Null),
    operation(
        "get",
        "/v1/models/instances",
        "Models",
        "All launches, including failed ones",
        Answer::Of(of::<Vec<api::Instance>>),
    )
    .query(&[("model_uid", "string", "Only this one"), ("model_name", "string", "Only those of this model")]),
    operation(
        "get",
        "/v1/models/{uid}/progress",
        "Models",
        "How far a launch is",
        Answer::Of(of::<api::LaunchProgress>),
    ),
    operation(
        "post",
        "/v1/models/{uid}/cancel",
        "Models",
        "Stop a launch, or terminate a model that is ready",
        Answer::Null,
    ),
    operation(
        "get",
        "/v1/models/{uid}/events",
        "Models",
        "What happened to a model",
        Answer::Of(of::<Vec<api::Event>>),
    ),
    operation(
        "get",
        "/v1/models/{uid}/replicas",
        "Models",
        "Its replicas",
        Answer::Of(of::<Vec<api::Replica>>),
    ),
    operation(
        "post",
        "/v1/models/{uid}/replicas",
        "Models",
        "More replicas",
        Answer::Json("The new replica, or all"),
    )
    .body(bodies::more_replicas),
    operation(
        "delete",
        "/v1/models/{uid}/replicas/{id}",
        "Models",
        "One replica fewer",
        Answer::Json("remaining_replicas, a number"),
    ),
    operation(
        "post",
        "/v1/models/{uid}/requests/{id}/abort",
        "Models",
        "Does nothing: a request ends when its client leaves",
        Answer::Json("msg, always NO_OP"),
    ),
    operation(
        "get",
        "/v1/models/{uid}/reload",
        "Models",
        "Always refused: terminate and launch",
        Answer::Null,
    ),
    operation(
        "post",
        "/v1/models/{uid}/reload",
        "Models",
        "Always refused: terminate and launch",
        Answer::Null,
    ),
    operation("get", "/v1/models/{uid}/reload/config", "Models", "Always refused", Answer::Null),
    operation(
        "post",
        "/v1/models/instance",
        "Models",
        "Always refused: POST /v1/models launches",
        Answer::Null,
    ),
    operation(
        "get",
        "/v1/models/{type}/{name}/versions",
        "Catalogue",
        "Where a model is on disk",
        Answer::Of(of::<Vec<api::ModelVersion>>),
    ),
    operation(
        "get",
        "/v1/models/prompts",
        "Catalogue",
        "Of language models: none",
        Answer::Json("An empty object"),
    ),
    operation(
        "get",
        "/v1/models/families",
        "Catalogue",
        "Of language models: none",
        Answer::Json("Empty lists"),
    ),
    operation(
        "get",
        "/v1/models/vllm-supported",
        "Catalogue",
        "Of language models: none",
        Answer::Json("Empty lists"),
    ),
    operation("get", "/v1/engines/{name}", "Catalogue", "Of language models: none", Answer::Null),
    operation(
        "get",
        "/v1/engines/{type}/{name}",
        "Catalogue",
        "The engines that a launch may name; any runs the same code",
        Answer::Json("Lists by engine, or null where there is no choice"),
    ),
    operation(
        "get",
        "/v1/model_registrations/{type}",
        "Catalogue",
        "The catalogue",
        Answer::Kinds(&[("application/json", bodies::registrations)]),
    )
    .query(&[("detailed", "boolean", "All of each model, not its name alone")]),
    operation("post", "/v1/model_registrations/{type}", "Catalogue", "Add a model", Answer::Null)
        .body(bodies::register),
    operation(
        "get",
        "/v1/model_registrations/{type}/{name}",
        "Catalogue",
        "A model of the catalogue",
        Answer::Of(of::<api::RegistrationDetail>),
    ),
    operation(
        "delete",
        "/v1/model_registrations/{type}/{name}",
        "Catalogue",
        "Forget an added model",
        Answer::Null,
    ),
    operation("get", "/v1/cache/models", "Disk", "The models on disk", Answer::Of(of::<api::CachedModels>))
        .query(&[("model_name", "string", "Only this one")]),
    operation(
        "get",
        "/v1/cache/models/files",
        "Disk",
        "What removing a model deletes",
        Answer::Of(of::<api::CachedFiles>),
    )
    .query(&[("model_version", "string", "The model; must be there")]),
    operation("delete", "/v1/cache/models", "Disk", "Delete a model from disk", Answer::Of(of::<api::Done>))
        .query(&[("model_version", "string", "The model; must be there")]),
    operation("get", "/v1/admin/keys", "Keys", "All keys, none in clear", Answer::Of(of::<Vec<api::Key>>)),
    operation(
        "post",
        "/v1/admin/keys",
        "Keys",
        "Create a key; only this response contains it",
        Answer::Made(of::<api::NewKey>),
    )
    .body(bodies::new_key),
    operation("delete", "/v1/admin/keys/{id}", "Keys", "Revoke a key", Answer::Json("ok, always true")),
    operation("post", "/token", "Keys", "Tokens for a name and a password", Answer::Of(of::<api::TokenPair>))
        .body(bodies::login),
    operation("post", "/v1/auth/refresh", "Keys", "The next tokens, once", Answer::Of(of::<api::TokenPair>))
        .body(bodies::refresh),
    operation("post", "/v1/auth/logout", "Keys", "Forget a refresh token", Answer::Json("ok, always true"))
        .body(bodies::refresh),
    operation(
        "get",
        "/health/live",
        "Server",
        "Whether the server lives; needs no key",
        Answer::Json("status, always ok"),
    ),
    operation(
        "get",
        "/health/ready",
        "Server",
        "Whether an audio request would be taken now, else 429; needs no key",
        Answer::Json("status, always ok"),
    ),
    operation(
        "get",
        "/metrics",
        "Server",
        "Figures for Prometheus",
        Answer::Kinds(&[("text/plain", of::<String>)]),
    ),
    operation(
        "get",
        "/health",
        "Server",
        "Whether the server lives; needs no key",
        Answer::Json("status, always ok"),
    ),
    operation(
        "get",
        "/v1/cluster/auth",
        "Server",
        "Whether requests need a key; needs none itself",
        Answer::Of(of::<api::AuthProbe>),
    ),
    operation("get", "/status", "Server", "How the machine is", Answer::Of(of::<api::ClusterStatus>)),
    operation("get", "/v1/address", "Server", "The server's address", Answer::Of(of::<String>)),
    operation("get", "/v1/supervisor", "Server", "The server's address", Answer::Of(of::<api::Supervisor>)),
    operation(
        "get",
        "/v1/workers",
        "Server",
        "The models of this machine",
        Answer::Of(of::<Vec<api::Worker>>),
    ),
    operation("get", "/v1/cluster/info", "Server", "The machine", Answer::Of(of::<Vec<api::ClusterNode>>))
        .query(&[("detailed", "boolean", "Processors and memory too")]),
    operation(
        "get",
        "/v1/cluster/version",
        "Server",
        "The program's version",
        Answer::Of(of::<api::ClusterVersion>),
    ),
    operation("get", "/v1/cluster/devices", "Server", "Number of GPUs: 0", Answer::Of(of::<u32>)),
    operation(
        "get",
        "/v1/cluster/ui_config",
        "Server",
        "What web pages ask first",
        Answer::Json("Switches, all off"),
    ),
    operation(
        "get",
        "/v1/requests/{id}/progress",
        "Server",
        "Always refused: no request has any",
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
