//! Models in memory: each is loaded once, by the first job that needs it, and shared. Others that need it meanwhile wait
//! and are told the same progress and the same failure.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Instant, SystemTime};

use mynah_models::CancelFlag;

use crate::sync::{lock, wait};
use crate::{Error, ModelRef, PullProgress};

/// What happens before a model can be used.
#[derive(Clone, Debug, PartialEq)]
pub enum LoadProgress {
    /// Its weights are being fetched.
    Pulling(PullProgress),
    /// Its weights are being read into memory.
    Loading,
}

/// A model in memory.
#[derive(Clone, Debug)]
pub(crate) struct Resident {
    pub(crate) model: ModelRef,
    pub(crate) bytes: u64,
    /// When it was last in use.
    pub(crate) used: Instant,
    /// When it was loaded.
    pub(crate) since: SystemTime,
}

/// The models of one kind in memory; `M` is what the engine asks of that kind.
pub(crate) struct Loaded<M: ?Sized> {
    slots: Mutex<HashMap<ModelRef, Arc<Slot<M>>>>,
}

struct Slot<M: ?Sized> {
    state: Mutex<State<M>>,
    changed: Condvar,
}

struct State<M: ?Sized> {
    model: Option<Arc<M>>,
    /// When it was last asked for, or seen in use.
    used: Instant,
    /// When it was loaded.
    since: SystemTime,
    /// Somebody is loading.
    busy: bool,
    /// Counts the attempts to load, so that who waited for one can tell its failure from an older one.
    attempt: u64,
    failure: Option<Error>,
    /// Counts the steps of progress of this attempt.
    steps: u64,
    progress: Option<LoadProgress>,
}

// Derived, these would ask the same of `M`.
impl<M: ?Sized> Default for Loaded<M> {
    fn default() -> Self {
        Self { slots: Mutex::default() }
    }
}

impl<M: ?Sized> Default for Slot<M> {
    fn default() -> Self {
        Self { state: Mutex::default(), changed: Condvar::new() }
    }
}

impl<M: ?Sized> Default for State<M> {
    fn default() -> Self {
        Self {
            model: None,
            used: Instant::now(),
            since: SystemTime::now(),
            busy: false,
            attempt: 0,
            failure: None,
            steps: 0,
            progress: None,
        }
    }
}

impl<M: ?Sized> Loaded<M> {
    /// Whether the model is in memory.
    pub(crate) fn contains(&self, model: &ModelRef) -> bool {
        let slot = lock(&self.slots).get(model).cloned();
        slot.is_some_and(|slot| lock(&slot.state).model.is_some())
    }

    /// Forgets the model; jobs that use it keep it until they end.
    pub(crate) fn forget(&self, model: &ModelRef) {
        lock(&self.slots).remove(model);
    }

    /// All models in memory, with their size by `bytes`.
    pub(crate) fn residents(&self, bytes: impl Fn(&M) -> u64) -> Vec<Resident> {
        let slots: Vec<_> =
            lock(&self.slots).iter().map(|(model, slot)| (model.clone(), Arc::clone(slot))).collect();
        let resident = |(model, slot): (ModelRef, Arc<Slot<M>>)| {
            let mut state = lock(&slot.state);
            let resident = Arc::clone(state.model.as_ref()?);
            // Ours and the clone above; every job has another.
            if Arc::strong_count(&resident) > 2 {
                state.used = Instant::now();
            }
            Some(Resident { model, bytes: bytes(&resident), used: state.used, since: state.since })
        };
        slots.into_iter().filter_map(resident).collect()
    }

    /// Drops a model that no job uses; whether it did.
    pub(crate) fn evict(&self, model: &ModelRef) -> bool {
        let Some(slot) = lock(&self.slots).get(model).cloned() else { return false };
        let mut state = lock(&slot.state);
        // A job that comes now waits for this lock and loads the model anew.
        let idle = state.model.as_ref().is_some_and(|model| Arc::strong_count(model) == 1);
        if idle {
            state.model = None;
        }
        idle
    }

    /// The model, made by `load` unless somebody has made it or is about to.
    pub(crate) fn get(
        &self,
        model: &ModelRef,
        cancel: &CancelFlag,
        on_progress: &mut dyn FnMut(LoadProgress),
        load: impl FnOnce(&mut dyn FnMut(LoadProgress)) -> Result<Arc<M>, Error>,
    ) -> Result<Arc<M>, Error> {
        let slot = Arc::clone(lock(&self.slots).entry(model.clone()).or_default());
        if let Some(model) = slot.wait_for_others(cancel, on_progress)? {
            return Ok(model);
        }
        let mut attempt =
            Attempt { slot: &slot, outcome: Err(Error::Internal("loading the model failed".into())) };
        attempt.outcome = load(&mut |progress| {
            {
                let mut state = lock(&slot.state);
                state.progress = Some(progress.clone());
                state.steps += 1;
            }
            slot.changed.notify_all();
            on_progress(progress);
        });
        attempt.outcome.clone()
    }
}

impl<M: ?Sized> Slot<M> {
    /// The model or the failure of whoever is loading now, or `None` where it falls to the caller to load.
    fn wait_for_others(
        &self,
        cancel: &CancelFlag,
        on_progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<Option<Arc<M>>, Error> {
        let mut waited_for = None;
        let mut told = 0;
        let mut state = lock(&self.state);
        loop {
            if let Some(model) = &state.model {
                let model = Arc::clone(model);
                state.used = Instant::now();
                return Ok(Some(model));
            }
            if !state.busy {
                // A loader who was merely cancelled says nothing about the model.
                if waited_for == Some(state.attempt)
                    && let Some(error) = &state.failure
                    && !matches!(error, Error::Cancelled)
                {
                    return Err(error.clone());
                }
                *state = State { busy: true, attempt: state.attempt + 1, ..State::default() };
                return Ok(None);
            }
            if waited_for != Some(state.attempt) {
                waited_for = Some(state.attempt);
                told = 0;
            }
            if told != state.steps {
                told = state.steps;
                if let Some(progress) = &state.progress {
                    on_progress(progress.clone());
                }
            }
            if cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            state = wait(&self.changed, state);
        }
    }
}

/// Tells the outcome to everybody who waits, also when loading panics.
struct Attempt<'a, M: ?Sized> {
    slot: &'a Slot<M>,
    outcome: Result<Arc<M>, Error>,
}

impl<M: ?Sized> Drop for Attempt<'_, M> {
    fn drop(&mut self) {
        let mut state = lock(&self.slot.state);
        state.busy = false;
        match &self.outcome {
            Ok(model) => {
                state.model = Some(Arc::clone(model));
                (state.used, state.since) = (Instant::now(), SystemTime::now());
            }
            Err(error) => state.failure = Some(error.clone()),
        }
        drop(state);
        self.slot.changed.notify_all();
    }
}
