//! Running models: launched under a uid, found by requests, kept in memory while there is room, terminated.

pub(crate) mod available_memory;
pub(crate) mod event_log;
mod eviction;
pub(crate) mod instances;
mod launch;
pub(crate) mod memory_budget;
pub(crate) mod model_cache;
pub(crate) mod running;
