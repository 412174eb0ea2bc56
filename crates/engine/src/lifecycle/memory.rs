//! Which models stay in memory: those in use and those that are pinned; the others while there is room, and no longer
//! unused than they may.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use mynah_models::whisper::Compute;

use crate::download::bytes_of;
use crate::engine::Inner;
use crate::lifecycle::available_memory::{Available, available};
use crate::lifecycle::instances::Phase;
use crate::lifecycle::model_cache::Resident;
use crate::sync::lock;
use crate::{Error, ModelRef, Synthesizer, Transcriber, Variant};

/// How often unused models are looked for, at most and at least.
const OFTEN: Duration = Duration::from_millis(50);
const SELDOM: Duration = Duration::from_secs(1);

impl Inner {
    /// All models in memory.
    pub(crate) fn residents(&self) -> Vec<Resident> {
        let mut residents = self.transcribers.residents(Transcriber::bytes);
        residents.extend(self.synthesizers.residents(Synthesizer::bytes));
        residents
    }

    /// Makes room for the model at `path`: those longest unused go first, those in use or pinned stay. Until what it returns
    /// is dropped, nobody else takes the room.
    ///
    /// # Errors
    /// [`Error::NoMemory`] where those that stay leave too little, [`Error::OutOfMemory`] where the machine has too little.
    pub(crate) fn make_room(
        &self,
        model: &ModelRef,
        path: &Path,
    ) -> Result<Option<MutexGuard<'_, ()>>, Error> {
        let guard = lock(&self.loading);
        self.make_room_on_machine(model, path)?;
        let Some(budget_bytes) = self.settings.memory_budget_bytes else { return Ok(None) };
        // Weights take about what they take on disk: as much at the same precision, less at a lower one.
        let needed_bytes = bytes_of(path);
        let mut residents = self.residents();
        residents.sort_by_key(|resident| resident.used);
        let mut taken_bytes: u64 = residents.iter().map(|resident| resident.bytes).sum();
        for resident in residents {
            if taken_bytes.saturating_add(needed_bytes) <= budget_bytes {
                break;
            }
            if !self.is_pinned(&resident.model) && self.evict(&resident.model) {
                tracing::info!(model = ?resident.model, "unloaded to make room");
                taken_bytes -= resident.bytes;
            }
        }
        if taken_bytes.saturating_add(needed_bytes) > budget_bytes {
            let model = model.to_string();
            return Err(Error::NoMemory { model, needed_bytes, taken_bytes, budget_bytes });
        }
        Ok(Some(guard))
    }

    /// Looks whether the machine, or the control group that bounds this process, has memory for a model; where it has
    /// not, models that nobody uses go. A process that takes more is killed by the system.
    fn make_room_on_machine(&self, model: &ModelRef, path: &Path) -> Result<(), Error> {
        let needed_bytes = self.least_bytes(model, path);
        let lacking =
            || available(&self.settings.system_root).filter(|available| available.bytes < needed_bytes);
        if lacking().is_none() {
            return Ok(());
        }
        let mut residents = self.residents();
        residents.sort_by_key(|resident| resident.used);
        for resident in residents.iter().filter(|resident| !self.is_pinned(&resident.model)) {
            if self.evict(&resident.model) {
                tracing::info!(model = ?resident.model, "unloaded to make room");
            }
        }
        lacking().map_or(Ok(()), |Available { bytes, bound }| {
            let model = model.to_string();
            Err(Error::OutOfMemory { model, needed_bytes, available_bytes: bytes, bound })
        })
    }

    /// What weights take in memory at least. Where the number of parameters is not known, the file is taken for one of
    /// 32-bit floats.
    fn least_bytes(&self, model: &ModelRef, path: &Path) -> u64 {
        let bytes_each = match self.settings_of(model).compute {
            Compute::F32 => 4,
            Compute::F16 => 2,
            Compute::Auto | Compute::Int8 => 1,
        };
        let own = match model {
            ModelRef::Named(_) | ModelRef::Variant(Variant { path: None, .. }) => {
                self.entry(model).ok().flatten()
            }
            _ => None,
        };
        match own.map_or(0, |entry| entry.parameters_m) {
            0 => bytes_of(path) / 4 * bytes_each,
            millions => u64::from(millions) * 1_000_000 * bytes_each,
        }
    }

    fn evict(&self, model: &ModelRef) -> bool {
        self.transcribers.evict(model) || self.synthesizers.evict(model)
    }

    fn is_pinned(&self, model: &ModelRef) -> bool {
        self.instances.all().iter().any(|instance| instance.model == *model && instance.request.pinned)
    }

    /// How long a model may stay unused: the longest that any of its launches allows.
    fn unload_after(&self, model: &ModelRef) -> Option<Duration> {
        let runs = |phase: &Phase| !matches!(phase, Phase::Failed(_) | Phase::Unloading);
        let instances = self.instances.all();
        let mut users = instances
            .iter()
            .filter(|instance| instance.model == *model && runs(&instance.phase.borrow()))
            .peekable();
        if users.peek().is_none() {
            return self.settings.unload_after;
        }
        // One that stays for ever outlasts all others.
        users
            .map(|user| user.request.unload_after().or(self.settings.unload_after))
            .reduce(|a, b| Some(a?.max(b?)))
            .flatten()
    }

    /// Starts the thread that unloads what is unused for too long, unless it runs already.
    pub(crate) fn watch_unused(self: &Arc<Self>) {
        if self.watches_unused.swap(true, Ordering::AcqRel) {
            return;
        }
        let engine = Arc::downgrade(self);
        let watch = move || {
            while let Some(inner) = engine.upgrade() {
                let pause = inner.unload_unused();
                drop(inner);
                thread::sleep(pause);
            }
        };
        if let Err(error) = thread::Builder::new().name("mynah-unload".to_owned()).spawn(watch) {
            tracing::warn!(%error, "unused models stay in memory");
            self.watches_unused.store(false, Ordering::Release);
        }
    }

    /// Unloads what is unused for too long; returns when to look again.
    fn unload_unused(&self) -> Duration {
        let now = Instant::now();
        let mut pause = SELDOM;
        for resident in self.residents() {
            let Some(after) = self.unload_after(&resident.model) else { continue };
            pause = pause.min(after / 4);
            if now.saturating_duration_since(resident.used) >= after
                && !self.is_pinned(&resident.model)
                && self.evict(&resident.model)
            {
                tracing::info!(model = ?resident.model, "unloaded, unused for {} s", after.as_secs());
            }
        }
        pause.max(OFTEN)
    }
}
