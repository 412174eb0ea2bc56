//! Models in memory. Each is loaded once, by the first job that needs it, and shared. Other jobs that need it wait, and get
//! the same progress and the same error.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, Thread};
use std::time::{Duration, Instant, SystemTime};

use mynah_core::{CancelFlag, Model};

use crate::Error;
use crate::download::PullProgress;
use crate::model_ref::ModelRef;
use crate::sync::lock;

/// Progress until a model can be used.
#[derive(Clone, Debug, PartialEq)]
pub enum LoadProgress {
    /// Its weights are being downloaded.
    Pulling(PullProgress),
    /// Its weights are being loaded into memory.
    Loading,
}

/// A model in memory.
#[derive(Clone, Debug)]
pub(crate) struct ResidentModel {
    pub(crate) model: ModelRef,
    pub(crate) bytes: u64,
    /// Whether jobs use it now.
    pub(crate) in_use: bool,
    /// When it was last used.
    pub(crate) used: Instant,
    /// When it was loaded.
    pub(crate) since: SystemTime,
}

/// The models in memory.
#[derive(Default)]
pub(crate) struct ModelCache {
    entries: Mutex<HashMap<ModelRef, Arc<CacheEntry>>>,
    activity: Arc<Activity>,
}

/// Notifies the task that unloads idle models that one has become idle.
#[derive(Default)]
struct Activity {
    count: Mutex<u64>,
    changed: Condvar,
}

impl Activity {
    fn notify(&self) {
        *lock(&self.count) += 1;
        self.changed.notify_all();
    }
}

/// A model that is in memory, being loaded, or unloaded.
#[derive(Default)]
struct CacheEntry(Mutex<State>);

struct State {
    model: Option<Model>,
    /// Jobs that use it.
    leases: usize,
    /// When a lease was last taken or returned.
    used: Instant,
    /// When it was loaded.
    since: SystemTime,
    /// A job is loading it.
    loading: bool,
    /// Number of attempts to load, so that jobs that wait for one can distinguish its error from an older one.
    attempt: u64,
    failure: Option<Error>,
    /// Number of progress reports of this attempt.
    steps: u64,
    progress: Option<LoadProgress>,
    /// Threads that wait for the attempt.
    waiting: Vec<Thread>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            model: None,
            leases: 0,
            used: Instant::now(),
            since: SystemTime::now(),
            loading: false,
            attempt: 0,
            failure: None,
            steps: 0,
            progress: None,
            waiting: Vec::new(),
        }
    }
}

impl State {
    fn wake_all(&self) {
        self.waiting.iter().for_each(Thread::unpark);
    }
}

/// A model in use, until dropped.
pub(crate) struct ModelLease {
    model: Model,
    entry: Arc<CacheEntry>,
    activity: Arc<Activity>,
}

impl Deref for ModelLease {
    type Target = Model;

    fn deref(&self) -> &Model {
        &self.model
    }
}

impl Drop for ModelLease {
    fn drop(&mut self) {
        let mut state = lock(&self.entry.0);
        state.leases -= 1;
        state.used = Instant::now();
        drop(state);
        self.activity.notify();
    }
}

impl ModelCache {
    /// Whether the model is in memory.
    pub(crate) fn contains(&self, model: &ModelRef) -> bool {
        let entry = lock(&self.entries).get(model).cloned();
        entry.is_some_and(|entry| lock(&entry.0).model.is_some())
    }

    /// Removes the model; jobs that use it keep it until they end.
    pub(crate) fn forget(&self, model: &ModelRef) {
        lock(&self.entries).remove(model);
    }

    /// All models in memory.
    pub(crate) fn residents(&self) -> Vec<ResidentModel> {
        let entries: Vec<_> =
            lock(&self.entries).iter().map(|(model, entry)| (model.clone(), Arc::clone(entry))).collect();
        let resident = |(model, entry): (ModelRef, Arc<CacheEntry>)| {
            let state = lock(&entry.0);
            let bytes = state.model.as_ref()?.weight_bytes();
            let State { used, since, leases, .. } = *state;
            Some(ResidentModel { model, bytes, in_use: leases > 0, used, since })
        };
        entries.into_iter().filter_map(resident).collect()
    }

    /// Drops a model if no job uses it; returns whether it did.
    pub(crate) fn evict(&self, model: &ModelRef) -> bool {
        let Some(entry) = lock(&self.entries).get(model).cloned() else { return false };
        let mut state = lock(&entry.0);
        // A new job waits for this lock and then loads the model again.
        state.leases == 0 && state.model.take().is_some()
    }

    /// The model; loaded by `load` unless another job has loaded or is loading it.
    pub(crate) fn get(
        &self,
        model: &ModelRef,
        cancel: &CancelFlag,
        on_progress: &mut dyn FnMut(LoadProgress),
        load: impl FnOnce(&mut dyn FnMut(LoadProgress)) -> Result<Model, Error>,
    ) -> Result<ModelLease, Error> {
        let entry = Arc::clone(lock(&self.entries).entry(model.clone()).or_default());
        let lease = |model, entry| ModelLease { model, entry, activity: Arc::clone(&self.activity) };
        if let Some(model) = entry.wait_for_others(cancel, on_progress)? {
            return Ok(lease(model, entry));
        }
        let mut attempt =
            Attempt { entry: &entry, outcome: Err(Error::Internal("loading the model failed".into())) };
        attempt.outcome = load(&mut |progress| {
            {
                let mut state = lock(&entry.0);
                state.progress = Some(progress.clone());
                state.steps += 1;
                state.wake_all();
            }
            on_progress(progress);
        });
        let outcome = attempt.outcome.clone();
        drop(attempt);
        outcome.map(|model| lease(model, entry))
    }

    /// Waits until a model has become idle since `seen`, at most for `at_most`; returns the next `seen`.
    pub(crate) fn wait_for_activity(watch: &ActivityWatch, seen: u64, at_most: Option<Duration>) -> u64 {
        let activity = &watch.0;
        // A time that the clock cannot represent is no limit.
        let deadline = at_most.and_then(|at_most| Instant::now().checked_add(at_most));
        let mut count = lock(&activity.count);
        while *count == seen {
            count = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                None => activity.changed.wait(count).unwrap_or_else(std::sync::PoisonError::into_inner),
                Some(left) if left.is_zero() => break,
                Some(left) => {
                    let waited = activity.changed.wait_timeout(count, left);
                    waited.unwrap_or_else(std::sync::PoisonError::into_inner).0
                }
            };
        }
        *count
    }

    /// A handle for [`ModelCache::wait_for_activity`] that does not keep the cache alive.
    pub(crate) fn watch(&self) -> ActivityWatch {
        ActivityWatch(Arc::clone(&self.activity))
    }

    /// Wakes the tasks that wait for activity.
    pub(crate) fn notify(&self) {
        self.activity.notify();
    }
}

impl Drop for ModelCache {
    fn drop(&mut self) {
        self.activity.notify();
    }
}

/// See [`ModelCache::watch`].
pub(crate) struct ActivityWatch(Arc<Activity>);

impl CacheEntry {
    /// Waits for the job that is loading the model; returns its model or its error, or `None` if the caller must load. A
    /// returned model has one more lease.
    fn wait_for_others(
        &self,
        cancel: &CancelFlag,
        on_progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<Option<Model>, Error> {
        let _wake = cancel.wake_on_cancel();
        let mut waited_for = None;
        let mut reported = 0;
        loop {
            let mut state = lock(&self.0);
            if let Some(model) = &state.model {
                let model = model.clone();
                state.used = Instant::now();
                state.leases += 1;
                return Ok(Some(model));
            }
            if !state.loading {
                // If the loading job was cancelled, that is no error of the model.
                if waited_for == Some(state.attempt)
                    && let Some(error) = &state.failure
                    && !matches!(error, Error::Cancelled)
                {
                    return Err(error.clone());
                }
                let waiting = std::mem::take(&mut state.waiting);
                *state = State {
                    loading: true,
                    attempt: state.attempt + 1,
                    leases: state.leases,
                    waiting,
                    ..State::default()
                };
                return Ok(None);
            }
            if waited_for != Some(state.attempt) {
                waited_for = Some(state.attempt);
                reported = 0;
            }
            let progress = (reported != state.steps).then(|| state.progress.clone()).flatten();
            reported = state.steps;
            if progress.is_none() {
                if cancel.is_cancelled() {
                    return Err(Error::Cancelled);
                }
                state.waiting.push(thread::current());
            }
            drop(state);
            match progress {
                // Outside of the lock, as it can block; then check again.
                Some(progress) => on_progress(progress),
                None => {
                    thread::park();
                    let me = thread::current().id();
                    lock(&self.0).waiting.retain(|thread| thread.id() != me);
                }
            }
        }
    }
}

/// Ends an attempt to load, also when loading panics.
struct Attempt<'a> {
    entry: &'a CacheEntry,
    outcome: Result<Model, Error>,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.entry.0);
        state.loading = false;
        match &self.outcome {
            Ok(model) => {
                state.model = Some(model.clone());
                // The lease of the caller.
                state.leases += 1;
                (state.used, state.since) = (Instant::now(), SystemTime::now());
            }
            Err(error) => state.failure = Some(error.clone()),
        }
        state.wake_all();
    }
}
