//! Running models. Each was launched under its own uid; several instances of one model share its weights.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use mynah_core::{CancelFlag, ComputeType};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::watch;

use crate::Error;
use crate::catalogue::Entry;
use crate::download::PullProgress;
use crate::lifecycle::event_log::{EventLog, Severity};
use crate::lifecycle::model_cache::LoadProgress;
use crate::model_info::CheckpointInfo;
use crate::model_ref::ModelRef;
use crate::settings::SourcePreference;
use crate::sync::lock;

/// Maximum failed launches that are kept.
const FAILED: usize = 100;

/// A request to [`Engine::launch`](crate::Engine::launch); also the record of the launch on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaunchRequest {
    /// Name of a catalogue or registered model. Empty: the checkpoint at `path`.
    pub model_name: String,
    /// Uid of the running model; `None`: its name, with eight random letters appended if that is taken.
    pub uid: Option<String>,
    /// A checkpoint on this disk instead of the model's own weights.
    #[serde(default)]
    pub path: Option<PathBuf>,
    /// Precision of the weights; `None`: the engine's.
    #[serde(default)]
    pub compute: Option<ComputeType>,
    /// Kind of source to try first; `None`: that of the settings.
    #[serde(skip)]
    pub source: Option<SourcePreference>,
    /// Number of replicas. They share weights; only `request_limit` depends on it.
    #[serde(default = "one")]
    pub replicas: u32,
    /// Maximum concurrent requests per replica; `None`: no limit.
    #[serde(default)]
    pub request_limit: Option<u32>,
    /// Name of the engine that the client requested; only reported back.
    #[serde(default)]
    pub engine_name: Option<String>,
    /// Idle time after which it is unloaded, seconds; `None`: that of the settings.
    #[serde(default)]
    pub unload_after_s: Option<f64>,
    /// Never evicted or unloaded when idle.
    #[serde(default)]
    pub pinned: bool,
    /// Options that only other servers support; kept and reported back.
    #[serde(default)]
    pub others: Map<String, Value>,
    /// The client waits for the result, so a failure is not kept in the list.
    #[serde(skip)]
    pub waits: bool,
    /// It was running when the last process ended. If it cannot be launched now, the next process tries again.
    #[serde(skip)]
    pub restored: bool,
}

fn one() -> u32 {
    1
}

impl LaunchRequest {
    /// A catalogue model under its own name, with default options.
    pub fn new(model_name: impl Into<String>) -> Self {
        Self {
            model_name: model_name.into(),
            uid: None,
            path: None,
            compute: None,
            source: None,
            replicas: 1,
            request_limit: None,
            engine_name: None,
            unload_after_s: None,
            pinned: false,
            others: Map::new(),
            waits: false,
            restored: false,
        }
    }

    /// Idle time after which it is unloaded, if the launch sets one.
    pub(crate) fn unload_after(&self) -> Option<Duration> {
        self.unload_after_s.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    }
}

/// Phase of a running model. Models that are only in the catalogue have none.
#[derive(Clone, Debug)]
pub enum Phase {
    /// Launched; no work has begun.
    Starting,
    /// Its weights are being downloaded.
    Downloading(PullProgress),
    /// Its weights are being loaded into memory.
    Loading,
    /// It serves requests. If its weights were unloaded since, the next request loads them.
    Ready,
    /// Its launch failed.
    Failed(Error),
    /// It was terminated, and is removed when its last request is done.
    Unloading,
}

impl Phase {
    pub(crate) fn is_launching(&self) -> bool {
        matches!(self, Phase::Starting | Phase::Downloading(_) | Phase::Loading)
    }

    /// The error of a request under `uid` while the model is being launched.
    pub fn loading(&self, uid: &str) -> Option<Error> {
        const LOADING_S: u64 = 2;
        const UNKNOWN_S: u64 = 30;
        let (stage, retry_after_s) = match self {
            Phase::Starting | Phase::Loading => ("loading", LOADING_S),
            Phase::Downloading(PullProgress::Bytes { done, total: Some(total), rate }) if *rate > 0.0 => {
                let left_s = total.saturating_sub(*done) as f64 / rate;
                ("downloading", left_s.ceil().clamp(LOADING_S as f64, 300.0) as u64)
            }
            Phase::Downloading(_) => ("downloading", UNKNOWN_S),
            Phase::Ready | Phase::Failed(_) | Phase::Unloading => return None,
        };
        Some(Error::Loading { uid: uid.to_owned(), stage, retry_after_s })
    }
}

impl From<LoadProgress> for Phase {
    fn from(progress: LoadProgress) -> Self {
        match progress {
            LoadProgress::Pulling(progress) => Phase::Downloading(progress),
            LoadProgress::Loading => Phase::Loading,
        }
    }
}

/// A snapshot of a running model.
#[derive(Clone, Debug)]
pub struct Running {
    /// Its uid.
    pub uid: String,
    /// Its catalogue entry; `None` for a checkpoint at a path.
    pub entry: Option<Arc<Entry>>,
    /// Information on its checkpoint, if it has no entry.
    pub checkpoint: Option<CheckpointInfo>,
    /// The launch request.
    pub request: LaunchRequest,
    /// The model for its jobs.
    pub model: ModelRef,
    /// Its phase.
    pub phase: Phase,
    /// Time of its launch.
    pub since: SystemTime,
    /// Whether its weights are in memory.
    pub in_memory: bool,
}

/// A launch in progress. Dropping it does not cancel the launch.
#[derive(Debug)]
pub struct Launch {
    /// Uid of the model.
    pub uid: String,
    pub(crate) phase: watch::Receiver<Phase>,
}

impl Launch {
    /// Waits until the model is ready.
    ///
    /// # Errors
    /// The error of the launch; [`Error::Cancelled`] if it was cancelled.
    pub async fn ready(mut self) -> Result<(), Error> {
        let settled = self.phase.wait_for(|phase| !phase.is_launching()).await;
        match settled.as_deref() {
            Ok(Phase::Failed(error)) => Err(error.clone()),
            Ok(_) => Ok(()),
            Err(_) => Err(Error::Internal("the launch ended without a result".to_owned())),
        }
    }
}

/// A request on a running model, until dropped.
#[derive(Debug)]
pub struct Lease {
    instance: Arc<Instance>,
    instances: Arc<Instances>,
}

impl Lease {
    /// Logs an event that the request failed.
    pub fn note_failure(&self, text: &str) {
        const MAX_CHARS: usize = 1000;
        let text: String = text.chars().take(MAX_CHARS).collect();
        self.instances.event_log.note(&self.instance.uid, Severity::Error, text);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.instance.leases.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.instances.remove_if_unloading(&self.instance);
        }
    }
}

#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) uid: String,
    pub(crate) entry: Option<Arc<Entry>>,
    pub(crate) request: LaunchRequest,
    /// Information on the checkpoint of a model without an entry, from its files at the time it was served.
    pub(crate) checkpoint: Option<CheckpointInfo>,
    pub(crate) model: ModelRef,
    pub(crate) since: SystemTime,
    pub(crate) phase: watch::Sender<Phase>,
    pub(crate) cancel: CancelFlag,
    pub(crate) replicas: AtomicU32,
    leases: AtomicU32,
}

impl Instance {
    pub(crate) fn new(
        uid: String,
        entry: Option<Arc<Entry>>,
        request: LaunchRequest,
        model: ModelRef,
        phase: Phase,
    ) -> Self {
        Self {
            uid,
            entry,
            replicas: AtomicU32::new(request.replicas),
            request,
            checkpoint: None,
            model,
            since: SystemTime::now(),
            phase: watch::Sender::new(phase),
            cancel: CancelFlag::new(),
            leases: AtomicU32::new(0),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase.borrow().clone()
    }
}

/// All running models, by uid.
#[derive(Debug, Default)]
pub(crate) struct Instances {
    pub(crate) event_log: EventLog,
    table: Mutex<BTreeMap<String, Arc<Instance>>>,
}

impl Instances {
    pub(crate) fn get(&self, uid: &str) -> Option<Arc<Instance>> {
        lock(&self.table).get(uid).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Instance>> {
        lock(&self.table).values().cloned().collect()
    }

    /// Inserts an instance under its uid; replaces one that failed or is unloading. If `uid` is
    /// taken and was not chosen by the client, `rename` returns another.
    pub(crate) fn add(
        &self,
        wanted: &str,
        rename: Option<&dyn Fn() -> String>,
        make: impl FnOnce(String) -> Instance,
    ) -> Result<Arc<Instance>, Error> {
        let mut table = lock(&self.table);
        let taken = |uid: &str| {
            let phase = table.get(uid).map(|instance| instance.phase());
            phase.is_some_and(|phase| !matches!(phase, Phase::Failed(_) | Phase::Unloading))
        };
        let mut uid = wanted.to_owned();
        while taken(&uid) {
            uid = rename.ok_or_else(|| Error::UidTaken(wanted.to_owned()))?();
        }
        let instance = Arc::new(make(uid.clone()));
        table.insert(uid, Arc::clone(&instance));
        forget_old_failures(&mut table);
        Ok(instance)
    }

    /// Removes an instance, if it is still the one under its uid.
    pub(crate) fn remove(&self, instance: &Arc<Instance>) {
        let mut table = lock(&self.table);
        if table.get(&instance.uid).is_some_and(|found| Arc::ptr_eq(found, instance)) {
            table.remove(&instance.uid);
        }
    }

    /// Begins a request on the model under `uid`; `None` if none is running.
    pub(crate) fn lease(self: &Arc<Self>, uid: &str) -> Result<Option<(ModelRef, Lease)>, Error> {
        let table = lock(&self.table);
        let Some(instance) = table.get(uid) else { return Ok(None) };
        let phase = instance.phase();
        if let Some(loading) = phase.loading(uid) {
            return Err(loading);
        }
        if !matches!(phase, Phase::Ready) {
            return Ok(None);
        }
        let replicas = instance.replicas.load(Ordering::Acquire);
        let limit = instance.request.request_limit.map(|limit| limit.saturating_mul(replicas));
        let more = |leases| (limit.is_none_or(|limit| leases < limit)).then_some(leases + 1);
        instance
            .leases
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more)
            .map_err(|_| Error::InstanceLimit { uid: uid.to_owned(), limit: limit.unwrap_or_default() })?;
        let lease = Lease { instance: Arc::clone(instance), instances: Arc::clone(self) };
        Ok(Some((instance.model.clone(), lease)))
    }

    /// Marks an instance as unloading; it is removed at once if no request uses it.
    pub(crate) fn unload(&self, instance: &Arc<Instance>) {
        instance.phase.send_replace(Phase::Unloading);
        if instance.leases.load(Ordering::Acquire) == 0 {
            self.remove_if_unloading(instance);
        }
    }

    /// The last request on an instance has ended.
    fn remove_if_unloading(&self, instance: &Arc<Instance>) {
        if matches!(*instance.phase.borrow(), Phase::Unloading) {
            self.remove(instance);
        }
    }
}

/// Keeps only the latest failures.
fn forget_old_failures(table: &mut BTreeMap<String, Arc<Instance>>) {
    let failed = |instance: &&Arc<Instance>| matches!(*instance.phase.borrow(), Phase::Failed(_));
    let mut failures: Vec<_> =
        table.values().filter(failed).map(|instance| (instance.since, instance.uid.clone())).collect();
    failures.sort();
    for (_, uid) in failures.iter().rev().skip(FAILED) {
        table.remove(uid);
    }
}
