//! The table of settings: name, kind of value and description.

use toml::Value;

use crate::exit::Failure;

/// A setting and its description. Its variable is `MYNAH_` and the last part of its name in capitals.
pub(super) struct Entry {
    pub(super) name: &'static str,
    kind: Kind,
    pub(super) what: &'static str,
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Number,
    /// true or false.
    Switch,
    /// Comma-separated where it is one text.
    Texts,
}

const fn entry(name: &'static str, kind: Kind, what: &'static str) -> Entry {
    Entry { name, kind, what }
}

/// All but `[models]`, in the order of the file.
pub(super) const ENTRIES: [Entry; 39] = [
    entry("host", Kind::Text, "Address or name to listen on."),
    entry("port", Kind::Number, "Port to listen on; 0 takes a free one."),
    entry("auth", Kind::Text, "Require keys: auto (once there is a key or a user), on or off."),
    entry(
        "api_keys",
        Kind::Texts,
        "Keys with all scopes, in clear or as hashes from `mynah keys hash`. See `mynah keys add` for limited ones. Reloaded.",
    ),
    entry("auth_config", Kind::Text, "Users, passwords and keys in Xinference's JSON format. Reloaded."),
    entry("login_token_minutes", Kind::Number, "Lifetime of a login token, minutes. Default: 30. Reloaded."),
    entry(
        "cors_origins",
        Kind::Texts,
        "Allowed CORS origins, such as https://example.com; * allows all. Default: none.",
    ),
    entry(
        "allowed_hosts",
        Kind::Texts,
        "Allowed host names (Host header) besides IP addresses and localhost, such as speech.example.com; * allows all. \
         Default: none on loopback while no key is required, otherwise all.",
    ),
    entry("tls_cert", Kind::Text, "Certificate chain for HTTPS, a PEM file. Its contents are reloaded."),
    entry("tls_key", Kind::Text, "Private key of the certificate, a PEM file. Its contents are reloaded."),
    entry("compute", Kind::Text, "Precision of the weights at run time: auto, f32, f16 or int8."),
    entry("threads", Kind::Number, "Threads to compute with. Default: one per physical core."),
    entry("queue_length", Kind::Number, "Maximum jobs in the engine, including waiting ones."),
    entry(
        "load_on_request",
        Kind::Switch,
        "Load models on the first request. Otherwise requests for models that were not launched get 404.",
    ),
    entry(
        "wait_for_load",
        Kind::Switch,
        "Let requests wait while a model is downloaded or loaded. Otherwise they get 503 with Retry-After.",
    ),
    entry("restore", Kind::Switch, "Relaunch the models that were running when the server stopped."),
    entry(
        "unload_after_s",
        Kind::Number,
        "Idle time after which a model is unloaded, seconds; a launch can set its own. Default: never.",
    ),
    entry(
        "memory_budget_bytes",
        Kind::Number,
        "Memory for weights, bytes; idle models are evicted, least recently used first. Default: no limit.",
    ),
    entry("speech_cache_bytes", Kind::Number, "Cache of synthesized speech, bytes; 0 disables it."),
    entry("log_level", Kind::Text, "Log level: error, warn, info, debug or trace. Reloaded."),
    entry("log_format", Kind::Text, "Log format: text or json."),
    entry(
        "limits.max_upload_bytes",
        Kind::Number,
        "Maximum upload size, bytes. Reloaded, as are all the limits below except max_audio_s.",
    ),
    entry("limits.max_audio_s", Kind::Number, "Maximum audio length, seconds."),
    entry(
        "limits.upload_memory_threshold_bytes",
        Kind::Number,
        "Uploads up to this size stay in memory, bytes; larger ones go to a temporary file.",
    ),
    entry(
        "limits.max_request_memory_bytes",
        Kind::Number,
        "Memory for uploads, decoded audio and texts of all requests together, bytes; requests beyond it get 503.",
    ),
    entry("limits.max_text_bytes", Kind::Number, "Maximum text of a form or of a speech request, bytes."),
    entry("limits.max_parts", Kind::Number, "Maximum parts of a form."),
    entry("limits.max_requests", Kind::Number, "Maximum concurrent audio requests, including uploads."),
    entry(
        "limits.max_queue_wait_s",
        Kind::Number,
        "Maximum estimated wait before a request is computed, seconds; requests beyond it get 503.",
    ),
    entry("limits.max_connections", Kind::Number, "Maximum connections; further ones wait to be accepted."),
    entry(
        "limits.header_timeout_s",
        Kind::Number,
        "Time to receive the headers of a request, seconds, from when the connection opened or the previous response ended.",
    ),
    entry("limits.upload_stall_timeout_s", Kind::Number, "Maximum pause in an upload, seconds."),
    entry("limits.upload_timeout_s", Kind::Number, "Maximum time for an upload, seconds."),
    entry(
        "limits.min_upload_bytes_per_s",
        Kind::Number,
        "Minimum mean upload rate, bytes per second, checked after twice upload_stall_timeout_s; 0 disables the check.",
    ),
    entry(
        "limits.write_timeout_s",
        Kind::Number,
        "Maximum time in which a client reads nothing of a response, seconds.",
    ),
    entry(
        "limits.request_timeout_s",
        Kind::Number,
        "Maximum time from the end of the upload to the end of the response, seconds.",
    ),
    entry(
        "limits.requests_per_minute_per_address",
        Kind::Number,
        "Maximum requests per minute and client address; 0 disables the limit.",
    ),
    entry(
        "limits.failed_logins_per_minute",
        Kind::Number,
        "Maximum wrong keys and passwords per minute and client address; 0 disables the limit.",
    ),
    entry(
        "limits.shutdown_timeout_s",
        Kind::Number,
        "Time that requests get to finish after a signal to stop, seconds.",
    ),
];

impl Entry {
    /// Its variable.
    pub(super) fn variable(&self) -> String {
        match self.name {
            "api_keys" => "MYNAH_API_KEY".to_owned(),
            name => format!("MYNAH_{}", name.rsplit('.').next().unwrap_or(name).to_ascii_uppercase()),
        }
    }

    /// A value that came as text.
    pub(super) fn value(&self, text: &str) -> Result<Value, Failure> {
        let number = || -> Option<Value> {
            let text = text.trim();
            text.parse().map(Value::Integer).or_else(|_| text.parse().map(Value::Float)).ok()
        };
        match self.kind {
            Kind::Text => Ok(Value::String(text.to_owned())),
            Kind::Texts => {
                Ok(Value::Array(text.split(',').map(|part| Value::String(part.trim().to_owned())).collect()))
            }
            Kind::Switch => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Ok(Value::Boolean(true)),
                "false" | "0" | "no" | "off" => Ok(Value::Boolean(false)),
                _ => Err(Failure::Usage(format!("{}: {text:?} is neither true nor false", self.name))),
            },
            Kind::Number => {
                number().ok_or_else(|| Failure::Usage(format!("{}: {text:?} is not a number", self.name)))
            }
        }
    }
}
