//! What can go wrong between a request and its transcript or speech.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use mynah_core::ModelError;

/// Failure of the engine; the text is fit for the person who asked. Cloneable, because everybody who waits for a model
/// learns why it did not load.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// No model has this name.
    #[error("unknown model {}; `mynah models` lists all{}", quoted(.name), did_you_mean(.near))]
    UnknownModel {
        /// The name that was asked for.
        name: String,
        /// Names that look like it, nearest first.
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
    /// The model does other things than what was asked of it.
    #[error("{model} {does}; {instead}")]
    WrongAbility {
        /// Catalogue name of the model.
        model: String,
        /// What it does.
        does: &'static str,
        /// What to do.
        instead: &'static str,
    },
    /// The text to speak is in letters that the model cannot read.
    #[error("the text has {script} letters ({sample:?}), which {model} cannot read; {}", supported_by(.able))]
    Script {
        /// English name of the script.
        script: &'static str,
        /// A word of it.
        sample: String,
        /// The model that was asked.
        model: String,
        /// Models that can read it.
        able: Vec<String>,
    },
    /// No model runs under this uid.
    #[error("Model not found in the model list, uid: {}", shown(.0))]
    NotRunning(String),
    /// A model runs under this uid already.
    #[error("Model is already in the model list, uid: {}", shown(.0))]
    UidTaken(String),
    /// A launch asks for something that cannot be.
    #[error("{0}")]
    Launch(String),
    /// The model under this uid is being launched.
    #[error("Model is loading, please retry later: {} is {stage}", shown(.uid))]
    Loading {
        /// The uid.
        uid: String,
        /// What is being done: `downloading` or `loading`.
        stage: &'static str,
        /// When it is likely to be ready, whole seconds.
        retry_after_s: u64,
    },
    /// As many requests are under way on this uid as its launch allowed.
    #[error("Rate limit reached for the model. Request limit {limit} for the model: {}", shown(.uid))]
    InstanceLimit {
        /// The uid.
        uid: String,
        /// Requests at once.
        limit: u32,
    },
    /// The model does not fit into the memory for models beside those in use.
    #[error(
        "no memory for {model}: it needs about {}, and {} of {} (memory_budget_bytes) are taken by models in use or pinned",
        megabytes(*.needed_bytes), megabytes(*.taken_bytes), megabytes(*.budget_bytes)
    )]
    ModelMemoryBudget {
        /// Name of the model.
        model: String,
        /// What it needs.
        needed_bytes: u64,
        /// What the others take.
        taken_bytes: u64,
        /// The bound, [`Settings::memory_budget_bytes`](crate::Settings::memory_budget_bytes).
        budget_bytes: u64,
    },
    /// Requests under way leave too little memory for this one, or it would need more than all of them may have.
    #[error(
        "the request needs {} of memory; all requests together may take {} (max_request_memory_bytes), and others have {}",
        megabytes(*.needed_bytes), megabytes(*.bound_bytes), megabytes(*.others_bytes)
    )]
    RequestMemoryLimit {
        /// What it would have then.
        needed_bytes: u64,
        /// What others have.
        others_bytes: u64,
        /// The bound, [`RequestMemory::set_bound`](crate::RequestMemory::set_bound).
        bound_bytes: u64,
    },
    /// A description of a model cannot be registered.
    #[error("{0}")]
    Registration(String),
    /// The model is known, but nothing of it is on this disk.
    #[error("{0} is not on this disk")]
    NotOnDisk(String),
    /// The model's files belong to another program's cache and are left alone.
    #[error("{name} is in {path}, which belongs to another program's cache; delete it there")]
    NotOurs {
        /// Catalogue name.
        name: String,
        /// The folder.
        path: PathBuf,
    },
    /// As many jobs as are allowed are under way.
    #[error(
        "the server is busy: the limit of jobs is reached (queue_length); try again in {retry_after_s} s"
    )]
    QueueFull {
        /// When a place is likely to be free, whole seconds.
        retry_after_s: u64,
    },
    /// So much work is under way that the answer would be long in coming.
    #[error(
        "the server is busy: estimated wait {wait_s:.1} s exceeds the limit (max_queue_wait_s); \
         try again in {retry_after_s} s"
    )]
    QueueTimeExceeded {
        /// How long the job would wait, seconds.
        wait_s: f64,
        /// The same in whole seconds.
        retry_after_s: u64,
    },
    /// The model is not on disk and downloads are switched off.
    #[error(
        "{0} is not on this disk and downloads are off (HF_HUB_OFFLINE); run `mynah pull {0}` with a network"
    )]
    Offline(String),
    /// No source of the model answered.
    #[error("cannot get {model}, no source answered; is there a network?{}", lines(.attempts))]
    NoNetwork {
        /// Catalogue name.
        model: String,
        /// One line a source: its name and what happened.
        attempts: Vec<String>,
    },
    /// Sources answered, but none gave the model.
    #[error("cannot get {model}{}", lines(.attempts))]
    Download {
        /// Catalogue name.
        model: String,
        /// One line a source: its name and what happened.
        attempts: Vec<String>,
    },
    /// Our copy of the model is not what was fetched.
    #[error(
        "the weights of {model} are damaged: {reason}; `mynah rm {model}` and `mynah pull {model}` download them again"
    )]
    Damaged {
        /// Catalogue name.
        model: String,
        /// Which file, and what is wrong with it.
        reason: String,
    },
    /// The machine has too little memory for the model.
    #[error(
        "no memory for {model}: it needs about {}, and {} are left by {bound}",
        megabytes(*.needed_bytes), megabytes(*.available_bytes)
    )]
    SystemMemory {
        /// Name of the model.
        model: String,
        /// What it needs.
        needed_bytes: u64,
        /// What is left.
        available_bytes: u64,
        /// Who bounds it: the machine or the control group.
        bound: &'static str,
    },
    /// The disk is full, or would be.
    #[error("no space in {path}: {}", space(*.needed_bytes, *.available_bytes))]
    NoSpace {
        /// Folder that was written to.
        path: PathBuf,
        /// Bytes still to be written, where known.
        needed_bytes: Option<u64>,
        /// Bytes free, where known.
        available_bytes: Option<u64>,
    },
    /// A file or folder of the store cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: Arc<io::Error>,
    },
    /// A setting makes no sense.
    #[error("{0}")]
    Settings(String),
    /// The model could not be loaded or refused the request.
    #[error(transparent)]
    Model(ModelError),
    /// The recording cannot be decoded.
    #[error(transparent)]
    Audio(Arc<mynah_audio::DecodeError>),
    /// The speech cannot be written in the way that was asked for.
    #[error(transparent)]
    Encode(mynah_audio::EncodeError),
    /// A defect of ours; the details are in the log.
    #[error("internal error: {0}")]
    Internal(String),
    /// The job was cancelled.
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    /// The system has no thread left for a job.
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

/// The same in quotes.
fn quoted(name: &str) -> String {
    const LONGEST: usize = 80;
    if name.chars().count() <= LONGEST {
        return format!("{name:?}");
    }
    let head: String = name.chars().take(LONGEST).collect();
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

/// Bytes as people read them, e.g. `145.2 MB`.
fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_are_quoted_and_cut() {
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
    fn text_in_another_script_names_who_can_read_it() {
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
    fn a_full_disk_is_distinguished() {
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
