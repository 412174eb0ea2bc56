//! Every setting of `mynah serve`: its name in the settings file, what it means, and where its value comes from. The
//! command line goes before the environment, that before the file, and that before the default.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mynah_engine::Settings as EngineSettings;
use mynah_server::Limits;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::entries::ENTRIES;
use crate::exit::Failure;
use crate::logging::LogFormat;

/// All settings with their values.
#[derive(Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Settings {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) auth: AuthMode,
    pub(super) api_keys: Vec<String>,
    pub(super) auth_config: Option<PathBuf>,
    pub(super) login_token_minutes: Option<f64>,
    pub(super) cors_origins: Vec<String>,
    pub(super) allowed_hosts: Vec<String>,
    pub(super) tls_cert: Option<PathBuf>,
    pub(super) tls_key: Option<PathBuf>,
    pub(super) compute: String,
    pub(super) threads: Option<u16>,
    pub(super) queue_length: usize,
    pub(super) load_on_request: bool,
    pub(super) wait_for_load: bool,
    pub(super) restore: bool,
    pub(super) unload_after_s: Option<f64>,
    pub(super) memory_budget_bytes: Option<u64>,
    pub(super) speech_cache_bytes: usize,
    pub(super) log_level: String,
    pub(super) log_format: LogFormat,
    pub(super) limits: LimitSettings,
    pub(super) models: BTreeMap<String, PathBuf>,
}

/// Whether keys are asked for.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum AuthMode {
    Auto,
    On,
    Off,
}

/// [`Limits`] as the file has them, and the longest audio; durations are seconds.
#[derive(Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LimitSettings {
    pub(super) max_upload_bytes: u64,
    pub(super) max_audio_s: f64,
    upload_memory_threshold_bytes: usize,
    max_request_memory_bytes: u64,
    max_text_bytes: usize,
    max_parts: usize,
    max_requests: usize,
    max_queue_wait_s: f64,
    pub(super) max_connections: usize,
    pub(super) header_timeout_s: f64,
    upload_stall_timeout_s: f64,
    upload_timeout_s: f64,
    min_upload_bytes_per_s: u32,
    write_timeout_s: f64,
    request_timeout_s: f64,
    requests_per_minute_per_address: Option<u32>,
    failed_logins_per_minute: Option<u32>,
    shutdown_timeout_s: f64,
}

impl Default for Settings {
    fn default() -> Self {
        let engine = EngineSettings::new("");
        Self {
            host: "127.0.0.1".to_owned(),
            port: 9997,
            auth: AuthMode::Auto,
            api_keys: Vec::new(),
            auth_config: None,
            login_token_minutes: None,
            cors_origins: Vec::new(),
            allowed_hosts: Vec::new(),
            tls_cert: None,
            tls_key: None,
            compute: "auto".to_owned(),
            threads: None,
            queue_length: engine.queue_length,
            load_on_request: true,
            wait_for_load: true,
            restore: false,
            unload_after_s: None,
            memory_budget_bytes: None,
            speech_cache_bytes: engine.speech_cache_bytes,
            log_level: "info".to_owned(),
            log_format: LogFormat::Text,
            limits: LimitSettings::default(),
            models: BTreeMap::new(),
        }
    }
}

impl Default for LimitSettings {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            max_upload_bytes: limits.max_upload_bytes,
            max_audio_s: EngineSettings::new("").decode_limits.max_duration_s,
            upload_memory_threshold_bytes: limits.upload_memory_threshold_bytes,
            max_request_memory_bytes: limits.max_request_memory_bytes,
            max_text_bytes: limits.max_text_bytes,
            max_parts: limits.max_parts,
            max_requests: limits.max_requests,
            max_queue_wait_s: limits.max_queue_wait.as_secs_f64(),
            max_connections: limits.max_connections,
            header_timeout_s: limits.header_timeout.as_secs_f64(),
            upload_stall_timeout_s: limits.upload_stall_timeout.as_secs_f64(),
            upload_timeout_s: limits.upload_timeout.as_secs_f64(),
            min_upload_bytes_per_s: limits.min_upload_bytes_per_s,
            write_timeout_s: limits.write_timeout.as_secs_f64(),
            request_timeout_s: limits.request_timeout.as_secs_f64(),
            requests_per_minute_per_address: limits.requests_per_minute_per_address,
            failed_logins_per_minute: limits.failed_logins_per_minute,
            shutdown_timeout_s: limits.shutdown_timeout.as_secs_f64(),
        }
    }
}

impl LimitSettings {
    /// For the server; a rate limit of 0 is none.
    pub(super) fn limits(&self) -> Result<Limits, Failure> {
        let duration = |name: &str, seconds: f64| {
            // Ten years stand for no limit; clocks still represent them.
            Duration::try_from_secs_f64(seconds.min(3600.0 * 24.0 * 3650.0))
                .map_err(|_| Failure::Usage(format!("limits.{name}: {seconds} is not a number of seconds")))
        };
        Ok(Limits {
            max_upload_bytes: self.max_upload_bytes,
            upload_memory_threshold_bytes: self.upload_memory_threshold_bytes,
            max_request_memory_bytes: self.max_request_memory_bytes,
            max_text_bytes: self.max_text_bytes,
            max_parts: self.max_parts,
            max_requests: self.max_requests,
            max_queue_wait: duration("max_queue_wait_s", self.max_queue_wait_s)?,
            max_connections: self.max_connections,
            header_timeout: duration("header_timeout_s", self.header_timeout_s)?,
            upload_stall_timeout: duration("upload_stall_timeout_s", self.upload_stall_timeout_s)?,
            upload_timeout: duration("upload_timeout_s", self.upload_timeout_s)?,
            min_upload_bytes_per_s: self.min_upload_bytes_per_s,
            write_timeout: duration("write_timeout_s", self.write_timeout_s)?,
            request_timeout: duration("request_timeout_s", self.request_timeout_s)?,
            requests_per_minute_per_address: self.requests_per_minute_per_address.filter(|n| *n > 0),
            failed_logins_per_minute: self.failed_logins_per_minute.filter(|n| *n > 0),
            shutdown_timeout: duration("shutdown_timeout_s", self.shutdown_timeout_s)?,
        })
    }
}

/// Merges settings from their sources.
pub(super) struct Sources(Table);

impl Sources {
    /// What the file says, if there is one, and over it what the environment says.
    pub(super) fn new(file: Option<&Path>) -> Result<Self, Failure> {
        let table = match file {
            None => Table::new(),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| Failure::Usage(format!("cannot read {}: {error}", path.display())))?;
                // Read whole once, so that mistakes are shown where they are.
                toml::from_str::<Settings>(&text)
                    .and_then(|_| toml::from_str(&text))
                    .map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?
            }
        };
        let mut sources = Self(table);
        for entry in &ENTRIES {
            let text = env::var(entry.variable()).ok().filter(|text| !text.is_empty());
            if let Some(text) = text {
                sources.put(entry.name, entry.value(&text)?);
            }
        }
        Ok(sources)
    }

    /// One value of the command line.
    pub(super) fn put(&mut self, name: &str, value: impl Into<Value>) {
        let (table, name) = match name.split_once('.') {
            None => (Some(&mut self.0), name),
            Some((section, name)) => {
                let section = self.0.entry(section).or_insert_with(|| Value::Table(Table::new()));
                (section.as_table_mut(), name)
            }
        };
        if let Some(table) = table {
            table.insert(name.to_owned(), value.into());
        }
    }

    /// `NAME=VALUE` of the command line.
    pub(super) fn set(&mut self, text: &str) -> Result<(), Failure> {
        let (name, value) =
            text.split_once('=').ok_or_else(|| Failure::Usage(format!("--set {text}: write NAME=VALUE")))?;
        let entry = ENTRIES.iter().find(|entry| entry.name == name.trim());
        let entry = entry.ok_or_else(|| {
            Failure::Usage(format!("--set: unknown setting `{name}`; --print-config lists all"))
        })?;
        self.put(entry.name, entry.value(value)?);
        Ok(())
    }

    /// The settings.
    pub(super) fn settings(self) -> Result<Settings, Failure> {
        self.0
            .try_into()
            .map_err(|error: toml::de::Error| Failure::Usage(format!("settings: {}", error.message())))
    }
}

/// The settings file that would give these settings, every line explained.
pub(super) fn print(settings: &Settings) -> Result<String, Failure> {
    let table = Table::try_from(settings).map_err(|error| Failure::Failed(Some(error.to_string())))?;
    let mut text = "# Settings of `mynah serve`; give this file with --config.\n\
                    # A setting's variable goes before the file, --set NAME=VALUE before both.\n\
                    # On SIGHUP a running server reloads the settings marked \"Reloaded\".\n"
        .to_owned();
    let mut section = "";
    for entry in &ENTRIES {
        let (wanted, name) = entry.name.split_once('.').unwrap_or(("", entry.name));
        if wanted != section {
            section = wanted;
            text += &format!("\n[{section}]\n");
        }
        let values =
            if section.is_empty() { Some(&table) } else { table.get(section).and_then(Value::as_table) };
        let line = match values.and_then(|values| values.get(name)) {
            Some(Value::Array(keys)) if name == "api_keys" => format!("{name} = {}", hidden(keys)),
            Some(value) => format!("{name} = {value}"),
            None => format!("# {name} ="),
        };
        text += &format!("\n# {} {}\n{line}\n", entry.what, entry.variable());
    }
    text += "\n# Checkpoints on disk to serve, by the name that requests give. --model-path NAME=PATH\n[models]\n";
    for (name, path) in &settings.models {
        text += &format!("{} = {}\n", Value::from(name.as_str()), Value::from(path.display().to_string()));
    }
    Ok(text)
}

/// Keys as their hashes: what is printed may be kept, and is as good.
fn hidden(keys: &[Value]) -> Value {
    let keys = keys.iter().filter_map(Value::as_str);
    let hashes = keys.map(|key| match key.starts_with("sha256:") {
        true => key.to_owned(),
        false => format!("sha256:{}", mynah_server::auth::KeyHash::of(key.trim().as_bytes())),
    });
    Value::Array(hashes.map(Value::String).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_explained_and_what_is_printed_is_read_back() {
        let mut settings = Settings { api_keys: vec!["sk-secret".to_owned()], ..Settings::default() };
        settings.models.insert("a name".to_owned(), "/a/path".into());
        let text = print(&settings).unwrap();
        assert!(!text.contains("sk-secret"), "{text}");
        let back: Settings = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(print(&back).unwrap(), text);

        let full = Settings {
            auth_config: Some("a".into()),
            tls_cert: Some("a".into()),
            tls_key: Some("a".into()),
            login_token_minutes: Some(1.0),
            threads: Some(1),
            unload_after_s: Some(1.0),
            memory_budget_bytes: Some(1),
            limits: LimitSettings { requests_per_minute_per_address: Some(1), ..LimitSettings::default() },
            ..Settings::default()
        };
        let table = Table::try_from(&full).unwrap();
        let names = table.iter().flat_map(|(name, value)| match value {
            Value::Table(section) if name == "limits" => {
                section.keys().map(|name| format!("limits.{name}")).collect()
            }
            Value::Table(_) => Vec::new(),
            _ => vec![name.clone()],
        });
        let names: Vec<_> = names.collect();
        assert_eq!(names.len(), ENTRIES.len());
        for name in names {
            assert!(ENTRIES.iter().any(|entry| entry.name == name), "{name} is not explained");
        }
    }

    #[test]
    fn what_is_set_goes_before_the_file() {
        let mut sources = Sources(toml::from_str("port = 1\n[limits]\nmax_parts = 2\n").unwrap());
        sources.set("port=3").unwrap();
        sources.set("limits.header_timeout_s=1.5").unwrap();
        sources.set("api_keys=a, b").unwrap();
        let settings = sources.settings().unwrap();
        assert_eq!((settings.port, settings.limits.max_parts, settings.limits.header_timeout_s), (3, 2, 1.5));
        assert_eq!(settings.api_keys, ["a", "b"]);
        for wrong in ["port", "port=x", "ports=1"] {
            assert!(matches!(Sources(Table::new()).set(wrong), Err(Failure::Usage(_))), "{wrong}");
        }
        let mut sources = Sources(Table::new());
        sources.set("port=70000").unwrap();
        assert!(matches!(sources.settings(), Err(Failure::Usage(_))));
    }
}
