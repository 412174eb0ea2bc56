//! Which models stay in memory: models in use and pinned ones; the others while there is room and until their idle
//! time is over.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use crate::Error;
use crate::disk::bytes_of;
use crate::engine::Inner;
use crate::lifecycle::instances::{Instance, Phase};
use crate::lifecycle::memory_budget::Needed;
use crate::lifecycle::model_cache::ModelCache;
use crate::model_ref::{ModelRef, Variant};

/// Whether a launch in this phase uses its model.
fn runs(phase: &Phase) -> bool {
    !matches!(phase, Phase::Failed(_) | Phase::Unloading)
}

impl Inner {
    /// Frees memory for the model at `path`: evicts the least recently used first; models in use or pinned stay. No other
    /// load can use the freed memory until the returned guard is dropped.
    ///
    /// # Errors
    /// [`Error::ModelMemoryBudget`] if models in use or pinned leave too little, [`Error::SystemMemory`] if the machine has
    /// too little.
    pub(crate) fn make_room(&self, model: &ModelRef, path: &Path) -> Result<MutexGuard<'_, ()>, Error> {
        let file_bytes = bytes_of(path);
        let needed =
            Needed { model: model.to_string(), file_bytes, min_bytes: self.min_bytes(model, file_bytes) };
        let budget = &self.device(model).memory;
        budget.make_room(&needed, &self.cache, &|model| self.is_pinned(model))
    }

    /// Minimum bytes of the weights in memory. If the number of parameters is unknown, the file is assumed to hold 32-bit
    /// floats.
    fn min_bytes(&self, model: &ModelRef, file_bytes: u64) -> u64 {
        let bytes_each = self.compute_of(model).min_bytes_per_parameter();
        let own = match model {
            ModelRef::Named(_) | ModelRef::Variant(Variant { path: None, .. }) => {
                self.entry(model).ok().flatten()
            }
            _ => None,
        };
        match own.map_or(0, |entry| entry.parameters_m) {
            0 => file_bytes / 4 * bytes_each,
            millions => u64::from(millions) * 1_000_000 * bytes_each,
        }
    }

    fn is_pinned(&self, model: &ModelRef) -> bool {
        let pins = |instance: &Instance| instance.request.pinned && runs(&instance.phase.borrow());
        self.instances.all().iter().any(|instance| instance.model == *model && pins(instance))
    }

    /// Idle time after which a model is unloaded: the longest that any of its launches allows.
    fn unload_after(&self, model: &ModelRef) -> Option<Duration> {
        let instances = self.instances.all();
        let mut users = instances
            .iter()
            .filter(|instance| instance.model == *model && runs(&instance.phase.borrow()))
            .peekable();
        if users.peek().is_none() {
            return self.settings.unload_after;
        }
        // No limit is the longest of all.
        users
            .map(|user| user.request.unload_after().or(self.settings.unload_after))
            .reduce(|a, b| Some(a?.max(b?)))
            .flatten()
    }

    /// Starts the thread that unloads idle models, unless it is running. It sleeps until the first of them is due, or another
    /// becomes idle.
    pub(crate) fn unload_when_idle(self: &Arc<Self>) {
        self.cache.notify();
        if self.unloads_idle.swap(true, Ordering::AcqRel) {
            return;
        }
        let engine = Arc::downgrade(self);
        let watch = self.cache.watch();
        let unload = move || {
            let mut seen = 0;
            while let Some(inner) = engine.upgrade() {
                let due = inner.unload_idle();
                drop(inner);
                seen = ModelCache::wait_for_activity(&watch, seen, due);
            }
        };
        if let Err(error) = thread::Builder::new().name("mynah-unload".to_owned()).spawn(unload) {
            tracing::warn!(%error, "idle models will not be unloaded");
            self.unloads_idle.store(false, Ordering::Release);
        }
    }

    /// Unloads models that are idle for too long; returns when the next is due, if any.
    fn unload_idle(&self) -> Option<Duration> {
        let now = Instant::now();
        let mut next: Option<Duration> = None;
        for resident in self.cache.residents() {
            let Some(after) = self.unload_after(&resident.model) else { continue };
            // The thread is notified when one in use or pinned becomes idle, or its launch ends.
            if resident.in_use || self.is_pinned(&resident.model) {
                continue;
            }
            let left = after.saturating_sub(now.saturating_duration_since(resident.used));
            if !left.is_zero() {
                next = Some(next.map_or(left, |next| next.min(left)));
            } else if self.cache.evict(&resident.model) {
                tracing::info!(model = ?resident.model, "unloaded, idle for {} s", after.as_secs());
            }
        }
        next
    }
}
