//! What can go wrong between a request and its transcript or speech.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use mynah_core::ModelError;

/// Error of the engine; the text can be shown to the user. Cloneable, because all jobs that wait for a model get the reason
/// why it did not load.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// No model has this name.
    #[error("unknown model {}; `mynah models` lists all{}", quoted(.name), did_you_mean(.near))]
    UnknownModel {
        /// The name that was asked for.
        name: String,
        /// Similar names, most similar first.
        near: Vec<String>,
    },
    /// The model has no voice of this name.
    #[error("{model} has no voice {}; use one of {}", quoted(.name), .known.join(", "))]
    UnknownVoice {
        /// The name that was asked for.
        name: String,
        /// Catalogue name of the model.
        model: String,
        /// Names of its voices.
        known: Vec<String>,
    },
    /// The model has another task than the one requested.
    #[error("{model} {does}; {instead}")]
    WrongTask {
        /// Catalogue name of the model.
        model: String,
        /// What it does.
        does: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
    /// The text has letters of a script that the model does not support.
    #[error("the text has {script} letters ({sample:?}), which {model} cannot read; {}", supported_by(.able))]
    Script {
        /// English name of the script.
        script: &'static str,
        /// A word in that script.
        sample: String,
        /// The requested model.
        model: String,
        /// Models that support it.
        able: Vec<String>,
    },
    /// No model runs under this uid.
    #[error("Model not found in the model list, uid: {}", shown(.0))]
    NotRunning(String),
    /// A model already runs under this uid.
    #[error("Model is already in the model list, uid: {}", shown(.0))]
    UidTaken(String),
    /// A launch request is invalid.
    #[error("{0}")]
    Launch(String),
    /// The model under this uid is being launched.
    #[error("Model is loading, please retry later: {} is {stage}", shown(.uid))]
    Loading {
        /// The uid.
        uid: String,
        /// `downloading` or `loading`.
        stage: &'static str,
        /// Estimated time until it is ready, whole seconds.
        retry_after_s: u64,
    },
    /// The limit of concurrent requests on this uid, set by its launch, is reached.
    #[error("Rate limit reached for the model. Request limit {limit} for the model: {}", shown(.uid))]
    InstanceLimit {
        /// The uid.
        uid: String,
        /// Maximum concurrent requests.
        limit: u32,
    },
    /// The memory budget for models has too little left beside those in use.
    #[error(
        "no memory for {model}: it needs about {}, and {} of {} (memory_budget_bytes) are used by models in use or pinned",
        megabytes(*.needed_bytes), megabytes(*.taken_bytes), megabytes(*.budget_bytes)
    )]
    ModelMemoryBudget {
        /// Name of the model.
        model: String,
        /// Bytes it needs.
        needed_bytes: u64,
        /// Bytes of the other models.
        taken_bytes: u64,
        /// The limit, [`Settings::memory_budget_bytes`](crate::Settings::memory_budget_bytes).
        budget_bytes: u64,
    },
    /// The memory limit of all requests has too little left for this one, or is smaller than what it needs.
    #[error(
        "the request needs {} of memory; all requests together may take {} (max_request_memory_bytes), and others have {}",
        megabytes(*.needed_bytes), megabytes(*.limit_bytes), megabytes(*.others_bytes)
    )]
    RequestMemoryLimit {
        /// Bytes it would have in total.
        needed_bytes: u64,
        /// Bytes of other requests.
        others_bytes: u64,
        /// The limit, [`RequestMemory::set_limit`](crate::RequestMemory::set_limit).
        limit_bytes: u64,
    },
    /// A description of a model cannot be registered.
    #[error("{0}")]
    Registration(String),
    /// The model is known, but not on this disk.
    #[error("{0} is not on this disk")]
    NotOnDisk(String),
    /// The model's files are in another program's cache, which is never changed.
    #[error("{name} is in {path}, which belongs to another program's cache; delete it there")]
    NotOurs {
        /// Catalogue name.
        name: String,
        /// The folder.
        path: PathBuf,
    },
    /// The limit of jobs in progress is reached.
    #[error(
        "the server is busy: the limit of jobs (queue_length) is reached; try again in {retry_after_s} s"
    )]
    QueueFull {
        /// When to retry, whole seconds.
        retry_after_s: u64,
    },
    /// The estimated wait of the job exceeds the limit.
    #[error(
        "the server is busy: estimated wait {wait_s:.1} s exceeds the limit (max_queue_wait_s); \
         try again in {retry_after_s} s"
    )]
    QueueTimeExceeded {
        /// Estimated wait, seconds.
        wait_s: f64,
        /// When to retry, whole seconds.
        retry_after_s: u64,
    },
    /// The model is not on disk and downloads are disabled.
    #[error(
        "{0} is not on this disk and downloads are off (HF_HUB_OFFLINE); run `mynah pull {0}` with a network"
    )]
    Offline(String),
    /// No source of the model answered.
    #[error("cannot get {model}, no source answered; is there a network?{}", lines(.attempts))]
    NoNetwork {
        /// Catalogue name.
        model: String,
        /// One line per source: its name and what happened.
        attempts: Vec<String>,
    },
    /// Sources responded, but none with the model.
    #[error("cannot get {model}{}", lines(.attempts))]
    Download {
        /// Catalogue name.
        model: String,
        /// One line per source: its name and what happened.
        attempts: Vec<String>,
    },
    /// The model on disk differs from what was downloaded.
    #[error(
        "the weights of {model} are damaged: {reason}; `mynah rm {model}` and `mynah pull {model}` download them again"
    )]
    Damaged {
        /// Catalogue name.
        model: String,
        /// The file, and what is wrong with it.
        reason: String,
    },
    /// The machine or the control group has too little memory for the model.
    #[error(
        "no memory for {model}: it needs about {}, and {} are left by {limited_by}",
        megabytes(*.needed_bytes), megabytes(*.available_bytes)
    )]
    SystemMemory {
        /// Name of the model.
        model: String,
        /// Bytes it needs.
        needed_bytes: u64,
        /// Bytes left.
        available_bytes: u64,
        /// What limits it: the machine or the control group.
        limited_by: &'static str,
    },
    /// The disk is full, or would be.
    #[error("no space in {path}: {}", space(*.needed_bytes, *.available_bytes))]
    NoSpace {
        /// Folder that was written to.
        path: PathBuf,
        /// Bytes still to be written, if known.
        needed_bytes: Option<u64>,
        /// Bytes free, if known.
        available_bytes: Option<u64>,
    },
    /// A file or folder of the store cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: Arc<io::Error>,
    },
    /// A setting is invalid.
    #[error("{0}")]
    Settings(String),
    /// The model could not be loaded or refused the request.
    #[error(transparent)]
    Model(ModelError),
    /// The audio cannot be decoded.
    #[error(transparent)]
    Audio(Arc<mynah_audio::DecodeError>),
    /// The speech cannot be encoded with the requested options.
    #[error(transparent)]
    Encode(mynah_audio::EncodeError),
    /// A bug; the details are in the log.
    #[error("internal error: {0}")]
    Internal(String),
    /// The job was cancelled.
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    /// The operating system cannot create a thread for a job.
    pub(crate) fn no_thread() -> Self {
        Error::QueueFull { retry_after_s: 1 }
    }

    /// An error of the file system at `path`; a full disk becomes [`Error::NoSpace`].
    pub(crate) fn io(path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Error::NoSpace { path, needed_bytes: None, available_bytes: None }
            }
            _ => Error::Io { path, source: Arc::new(source) },
        }
    }
}

impl From<ModelError> for Error {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Cancelled => Error::Cancelled,
            ModelError::Internal(reason) => Error::Internal(reason),
            other => Error::Model(other),
        }
    }
}

/// A name from a request, shortened and without control characters.
fn shown(name: &str) -> String {
    name.chars().take(100).flat_map(char::escape_debug).collect()
}

/// A name from a request in quotes, shortened.
fn quoted(name: &str) -> String {
    const MAX_CHARS: usize = 80;
    if name.chars().count() <= MAX_CHARS {
        return format!("{name:?}");
    }
    let head: String = name.chars().take(MAX_CHARS).collect();
    format!("{head:?}...")
}

fn did_you_mean(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!("\nhint: did you mean {}?", near.join(" or ")) }
}

fn supported_by(models: &[String]) -> String {
    if models.is_empty() {
        "no model of the catalogue supports it".to_owned()
    } else {
        format!("supported by: {}", models.join(", "))
    }
}

fn lines(attempts: &[String]) -> String {
    attempts.iter().fold(String::new(), |mut text, line| {
        let _ = write!(text, "\n  {line}");
        text
    })
}

fn space(needed: Option<u64>, available: Option<u64>) -> String {
    match (needed, available) {
        (Some(needed), Some(available)) => {
            format!("{} needed, {} free", megabytes(needed), megabytes(available))
        }
        _ => "the disk is full".to_owned(),
    }
}

/// Bytes in readable form, e.g. `145.2 MB`.
fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_are_quoted_and_shortened() {
        let near = vec!["whisper-base".to_owned()];
        let error = Error::UnknownModel { name: "whisper-bse\n".into(), near };
        assert_eq!(
            error.to_string(),
            "unknown model \"whisper-bse\\n\"; `mynah models` lists all\nhint: did you mean whisper-base?"
        );
        let long = Error::UnknownModel { name: "x".repeat(1_000_000), near: Vec::new() };
        assert!(long.to_string().len() < 200);
    }

    #[test]
    fn unsupported_scripts_are_reported_with_the_models_that_support_them() {
        let error = |able: &[&str]| Error::Script {
            script: "Chinese",
            sample: "你好".into(),
            model: "hibari".into(),
            able: able.iter().map(|name| (*name).to_owned()).collect(),
        };
        let head = "the text has Chinese letters (\"你好\"), which hibari cannot read; ";
        assert_eq!(error(&["ChatTTS"]).to_string(), format!("{head}supported by: ChatTTS"));
        assert_eq!(error(&[]).to_string(), format!("{head}no model of the catalogue supports it"));
    }

    #[test]
    fn a_full_disk_is_a_separate_error() {
        let error = Error::io("/models", io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(error.to_string(), "no space in /models: the disk is full");
        let error = Error::NoSpace {
            path: "/models".into(),
            needed_bytes: Some(2_000_000),
            available_bytes: Some(1_500_000),
        };
        assert_eq!(error.to_string(), "no space in /models: 2.0 MB needed, 1.5 MB free");
    }
}
