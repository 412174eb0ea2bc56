//! The table of settings: how each is called, what kind of value it has and what it means.

use toml::Value;

use crate::exit::Failure;

/// A setting as it is explained. Its variable is `MYNAH_` and the last part of its name in capitals.
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
    entry(
        "auth",
        Kind::Text,
        "Whether keys are asked for: auto (as soon as there is a key or a user), on or off.",
    ),
    entry(
        "api_keys",
        Kind::Texts,
        "Keys with all rights, in clear or as `mynah keys hash` prints them. `mynah keys add` makes others. Reloaded.",
    ),
    entry(
        "auth_config",
        Kind::Text,
        "Users, passwords and keys in a JSON file of Xinference's --auth-config. Reloaded.",
    ),
    entry(
        "login_token_minutes",
        Kind::Number,
        "How long a token of a login is good for. Default: 30. Reloaded.",
    ),
    entry(
        "cors_origins",
        Kind::Texts,
        "Origins such as https://example.com whose pages may call; * is every origin. Default: none.",
    ),
    entry(
        "allowed_hosts",
        Kind::Texts,
        "Names that requests may call the server by (header Host), such as speech.example.com, beside addresses and localhost; \
         * is every name. Default: none on loopback while no key is asked for, every name otherwise.",
    ),
    entry("tls_cert", Kind::Text, "Chain of certificates for HTTPS, a PEM file. Its contents are reloaded."),
    entry("tls_key", Kind::Text, "The certificate's private key, a PEM file. Its contents are reloaded."),
    entry("compute", Kind::Text, "Precision of the weights at run time: auto, f32, f16 or int8."),
    entry("threads", Kind::Number, "Threads to compute with. Default: one per physical core."),
    entry("queue_length", Kind::Number, "Jobs at once in the engine, waiting ones included."),
    entry(
        "no_load_on_request",
        Kind::Switch,
        "Answer 404 for models that were not launched, in place of loading them.",
    ),
    entry(
        "no_wait",
        Kind::Switch,
        "Answer 503 with Retry-After while a model is fetched and loaded, in place of letting the request wait.",
    ),
    entry("restore", Kind::Switch, "Launch again the models that were running when the server ended."),
    entry(
        "unload_after_s",
        Kind::Number,
        "Seconds after which a model that is not used is unloaded; a launch can set its own. Default: never.",
    ),
    entry(
        "memory_budget_bytes",
        Kind::Number,
        "Weights in memory at once; models not in use make room, the longest unused first. Default: no bound.",
    ),
    entry(
        "speech_cache_bytes",
        Kind::Number,
        "Finished speech that is kept for those who ask for the same again; 0 keeps none.",
    ),
    entry("log_level", Kind::Text, "error, warn, info, debug or trace. Reloaded."),
    entry("log_format", Kind::Text, "text or json."),
    entry(
        "limits.max_upload_bytes",
        Kind::Number,
        "Largest audio upload. Reloaded, as all that follows but max_audio_s.",
    ),
    entry("limits.max_audio_s", Kind::Number, "Longest audio, seconds."),
    entry(
        "limits.upload_memory_threshold_bytes",
        Kind::Number,
        "Bytes of an upload that stay in memory; a larger one goes to a file.",
    ),
    entry(
        "limits.max_request_memory_bytes",
        Kind::Number,
        "Memory for uploads, decoded audio and texts of all requests together; what finds no room is answered 503.",
    ),
    entry(
        "limits.max_text_bytes",
        Kind::Number,
        "Bytes of all text parts of a form, and of a text to speak.",
    ),
    entry("limits.max_parts", Kind::Number, "Parts of one form."),
    entry("limits.max_requests", Kind::Number, "Audio requests under way, uploads included."),
    entry(
        "limits.max_queue_wait_s",
        Kind::Number,
        "Seconds that a request may have to wait for its first turn; who is expected to wait longer is answered 503.",
    ),
    entry("limits.max_connections", Kind::Number, "Connections at once; further ones wait to be taken."),
    entry(
        "limits.header_timeout_s",
        Kind::Number,
        "Seconds in which a request's head must have come, from its connection's opening or the answer before.",
    ),
    entry("limits.upload_stall_timeout_s", Kind::Number, "Longest pause in an upload, seconds."),
    entry("limits.upload_timeout_s", Kind::Number, "Longest time for an upload, seconds."),
    entry(
        "limits.min_upload_bytes_per_s",
        Kind::Number,
        "Slowest upload, bytes a second on the whole once twice upload_stall_timeout_s has passed; 0: as slow as it likes.",
    ),
    entry(
        "limits.write_timeout_s",
        Kind::Number,
        "Longest time in which a client takes nothing of its answer, seconds.",
    ),
    entry(
        "limits.request_timeout_s",
        Kind::Number,
        "Longest time from the upload's end to that of the answer, seconds.",
    ),
    entry(
        "limits.requests_per_minute_per_address",
        Kind::Number,
        "Requests a minute from one address; 0: as many as it likes.",
    ),
    entry(
        "limits.failed_logins_per_minute",
        Kind::Number,
        "Wrong keys and passwords a minute from one address before it is refused; 0: as many as it likes.",
    ),
    entry(
        "limits.shutdown_timeout_s",
        Kind::Number,
        "Seconds that requests get to finish after the signal to stop.",
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
                number().ok_or_else(|| Failure::Usage(format!("{}: {text:?} is no number", self.name)))
            }
        }
    }
}
