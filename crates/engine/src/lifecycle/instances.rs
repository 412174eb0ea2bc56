//! Models that run: each was launched under a uid of its own. Several may be of one model; then they share its weights.

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

/// Failed launches that are remembered.
const FAILED: usize = 100;

/// What is asked of [`Engine::launch`](crate::Engine::launch), and what is written down of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaunchRequest {
    /// Name of a model of the catalogue or of a registered one. Empty: whatever `path` holds.
    pub model_name: String,
    /// The handle of the running model; `None`: its name, or the name and eight random letters where that is taken.
    pub uid: Option<String>,
    /// A checkpoint on this disk in place of the model's own weights.
    #[serde(default)]
    pub path: Option<PathBuf>,
    /// Precision of the weights; `None`: the engine's.
    #[serde(default)]
    pub compute: Option<ComputeType>,
    /// Which kind of source is tried first; `None`: as the settings say.
    #[serde(skip)]
    pub source: Option<SourcePreference>,
    /// Copies that Xinference would make. They share weights here, and count for `request_limit` alone.
    #[serde(default = "one")]
    pub replicas: u32,
    /// Requests at once on each replica; `None`: no bound.
    #[serde(default)]
    pub request_limit: Option<u32>,
    /// Name of the engine that the client asked for, reported back to it.
    #[serde(default)]
    pub engine_name: Option<String>,
    /// How long it stays in memory unused, seconds; `None`: as the settings say.
    #[serde(default)]
    pub unload_after_s: Option<f64>,
    /// Never unloaded to make room or for being unused.
    #[serde(default)]
    pub pinned: bool,
    /// Options that mean something to other servers only; kept and reported.
    #[serde(default)]
    pub others: Map<String, Value>,
    /// The client waits for the outcome, so it need not be kept for later.
    #[serde(skip)]
    pub waits: bool,
    /// It ran when the last process ended; where it cannot be launched now, the next process tries again.
    #[serde(skip)]
    pub restored: bool,
}

fn one() -> u32 {
    1
}

impl LaunchRequest {
    /// A model of the catalogue under its own name, with nothing special.
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

    /// How long it stays in memory unused, where the launch says so.
    pub(crate) fn unload_after(&self) -> Option<Duration> {
        self.unload_after_s.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    }
}

/// Where a running model is in its life. What is in the catalogue and does not run has no phase.
#[derive(Clone, Debug)]
pub enum Phase {
    /// Launched; nothing has happened yet.
    Starting,
    /// Its weights are being fetched.
    Downloading(PullProgress),
    /// Its weights are being read into memory.
    Loading,
    /// It answers requests. Its weights may have been unloaded since; then the next request loads them.
    Ready,
    /// It could not be launched.
    Failed(Error),
    /// It was terminated and goes when the requests that it still answers are done.
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

/// A running model as others see it.
#[derive(Clone, Debug)]
pub struct Running {
    /// Its handle.
    pub uid: String,
    /// Its entry of the catalogue; `None` for a checkpoint on disk without a name.
    pub entry: Option<Arc<Entry>>,
    /// What its checkpoint is, where it has no entry.
    pub checkpoint: Option<CheckpointInfo>,
    /// What was asked for.
    pub request: LaunchRequest,
    /// The model that jobs are given.
    pub model: ModelRef,
    /// Where it is in its life.
    pub phase: Phase,
    /// When it was launched.
    pub since: SystemTime,
    /// Whether its weights are in memory.
    pub in_memory: bool,
}

/// A launch under way. Dropping it does not stop the launch.
#[derive(Debug)]
pub struct Launch {
    /// The handle of the model.
    pub uid: String,
    pub(crate) phase: watch::Receiver<Phase>,
}

impl Launch {
    /// Waits until the model is ready.
    ///
    /// # Errors
    /// Why it failed; [`Error::Cancelled`] where the launch was cancelled.
    pub async fn ready(mut self) -> Result<(), Error> {
        let settled = self.phase.wait_for(|phase| !phase.is_launching()).await;
        match settled.as_deref() {
            Ok(Phase::Failed(error)) => Err(error.clone()),
            Ok(_) => Ok(()),
            Err(_) => Err(Error::Internal("the launch ended without a result".to_owned())),
        }
    }
}

/// One of the requests that a running model answers, until dropped.
#[derive(Debug)]
pub struct Lease {
    instance: Arc<Instance>,
    instances: Arc<Instances>,
}

impl Lease {
    /// Writes down that the request failed.
    pub fn note_failure(&self, text: &str) {
        const LONGEST: usize = 1000;
        let text: String = text.chars().take(LONGEST).collect();
        self.instances.event_log.note(&self.instance.uid, Severity::Error, text);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.instance.leases.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.instances.let_go(&self.instance);
        }
    }
}

#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) uid: String,
    pub(crate) entry: Option<Arc<Entry>>,
    pub(crate) request: LaunchRequest,
    /// What the checkpoint of a model without an entry is, as far as its files said when it was served.
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

    /// Inserts an instance under its uid; replaces one that failed or is unloading. Where `uid` was not
    /// chosen by the client and is taken, `rename` gives another.
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

    /// Takes an instance out, if it still is the one under its uid.
    pub(crate) fn remove(&self, instance: &Arc<Instance>) {
        let mut table = lock(&self.table);
        if table.get(&instance.uid).is_some_and(|found| Arc::ptr_eq(found, instance)) {
            table.remove(&instance.uid);
        }
    }

    /// Begins a request on the model under `uid`; `None` where none answers under it.
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

    /// Marks an instance as unloading; it goes at once if no request uses it.
    pub(crate) fn unload(&self, instance: &Arc<Instance>) {
        instance.phase.send_replace(Phase::Unloading);
        if instance.leases.load(Ordering::Acquire) == 0 {
            self.let_go(instance);
        }
    }

    /// The last request on an instance has ended.
    fn let_go(&self, instance: &Arc<Instance>) {
        if matches!(*instance.phase.borrow(), Phase::Unloading) {
            self.remove(instance);
        }
    }
}

/// Keeps the youngest failures only.
fn forget_old_failures(table: &mut BTreeMap<String, Arc<Instance>>) {
    let failed = |instance: &&Arc<Instance>| matches!(*instance.phase.borrow(), Phase::Failed(_));
    let mut failures: Vec<_> =
        table.values().filter(failed).map(|instance| (instance.since, instance.uid.clone())).collect();
    failures.sort();
    for (_, uid) in failures.iter().rev().skip(FAILED) {
        table.remove(uid);
    }
}
