//! The memory for weights on a device.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};

use crate::Error;
use crate::lifecycle::available_memory::{Available, available};
use crate::lifecycle::model_cache::{ModelCache, ResidentModel};
use crate::model_ref::ModelRef;
use crate::sync::lock;

/// Limits the weights in memory, by a setting and by what the machine has left.
pub(crate) struct MemoryBudget {
    /// `None`: no limit but the machine's.
    limit_bytes: Option<u64>,
    /// Where `proc` and `sys` are; `/`, except for tests.
    system_root: PathBuf,
    /// Held while memory is freed and the model is loaded.
    loading: Mutex<()>,
}

/// What a model needs.
pub(crate) struct Needed {
    /// Its name, for messages.
    pub(crate) model: String,
    /// Bytes of its files. Weights need about as much memory at the same precision, less at a lower one.
    pub(crate) file_bytes: u64,
    /// Minimum bytes of its weights in memory.
    pub(crate) min_bytes: u64,
}

impl MemoryBudget {
    pub(crate) fn new(limit_bytes: Option<u64>, system_root: PathBuf) -> Self {
        Self { limit_bytes, system_root, loading: Mutex::default() }
    }

    /// Frees memory for a model: evicts models that are neither in use nor pinned, least recently used first. No other load
    /// can use the freed memory until the returned guard is dropped.
    ///
    /// # Errors
    /// [`Error::ModelMemoryBudget`] if models in use or pinned leave too little, [`Error::SystemMemory`] if the machine has
    /// too little.
    pub(crate) fn make_room(
        &self,
        needed: &Needed,
        cache: &ModelCache,
        is_pinned: &dyn Fn(&ModelRef) -> bool,
    ) -> Result<MutexGuard<'_, ()>, Error> {
        let guard = lock(&self.loading);
        self.make_room_on_machine(needed, cache, is_pinned)?;
        let Some(budget_bytes) = self.limit_bytes else { return Ok(guard) };
        let needed_bytes = needed.file_bytes;
        let residents = by_last_use(cache);
        let mut taken_bytes: u64 = residents.iter().map(|resident| resident.bytes).sum();
        for resident in residents {
            if taken_bytes.saturating_add(needed_bytes) <= budget_bytes {
                break;
            }
            if !is_pinned(&resident.model) && cache.evict(&resident.model) {
                tracing::info!(model = ?resident.model, "unloaded to make room");
                taken_bytes -= resident.bytes;
            }
        }
        if taken_bytes.saturating_add(needed_bytes) > budget_bytes {
            let model = needed.model.clone();
            return Err(Error::ModelMemoryBudget { model, needed_bytes, taken_bytes, budget_bytes });
        }
        Ok(guard)
    }

    /// Checks that the machine, or the control group of this process, has memory for a model; if not, evicts idle models.
    /// A process that exceeds these limits is killed by the kernel.
    fn make_room_on_machine(
        &self,
        needed: &Needed,
        cache: &ModelCache,
        is_pinned: &dyn Fn(&ModelRef) -> bool,
    ) -> Result<(), Error> {
        let needed_bytes = needed.min_bytes;
        let lacking = || available(&self.system_root).filter(|available| available.bytes < needed_bytes);
        if lacking().is_none() {
            return Ok(());
        }
        for resident in by_last_use(cache).iter().filter(|resident| !is_pinned(&resident.model)) {
            if cache.evict(&resident.model) {
                tracing::info!(model = ?resident.model, "unloaded to make room");
            }
        }
        lacking().map_or(Ok(()), |Available { bytes, limited_by }| {
            let model = needed.model.clone();
            Err(Error::SystemMemory { model, needed_bytes, available_bytes: bytes, limited_by })
        })
    }
}

/// The models in memory, least recently used first.
fn by_last_use(cache: &ModelCache) -> Vec<ResidentModel> {
    let mut residents = cache.residents();
    // Models in use count as used now.
    residents.sort_by_key(|resident| (resident.in_use, resident.used));
    residents
}
