//! A device that models compute on: its scheduling, its memory budget and its counters.

use std::sync::Arc;

use mynah_core::Device;

use crate::lifecycle::memory_budget::MemoryBudget;
use crate::scheduler::admission::AdmissionController;
use crate::scheduler::batching::BatchAdmission;
use crate::scheduler::run_queue::ComputeScheduler;
use crate::scheduler::stats::BatchStats;
use crate::settings::Settings;

/// Everything that belongs to one device. There is one today, the CPU; each further device gets its own.
pub(crate) struct DeviceRuntime {
    pub(crate) device: Device,
    pub(crate) admission: Arc<AdmissionController>,
    pub(crate) batches: Arc<BatchAdmission>,
    pub(crate) compute: Arc<ComputeScheduler>,
    pub(crate) memory: MemoryBudget,
    pub(crate) stats: BatchStats,
}

impl DeviceRuntime {
    pub(crate) fn new(device: Device, settings: &Settings) -> Self {
        Self {
            device,
            admission: Arc::new(AdmissionController::new(settings.queue_length)),
            batches: Arc::default(),
            compute: Arc::default(),
            memory: MemoryBudget::new(settings.memory_budget_bytes, settings.system_root.clone()),
            stats: BatchStats::default(),
        }
    }
}
