//! Speech models: one folder a family. Weights are shared and immutable; all state lives in sessions.
//!
//! A model is loaded from a checkpoint on disk, runs synchronously on the thread that calls it (its kernels spread over the
//! pool of `mynah-kernels`) and knows nothing of queues, downloads or HTTP. It implements a trait of `mynah-core` itself.
//! [`registry`] is the table of all families. `longform` and `batching` serve any of them.

#![forbid(unsafe_code)]

mod batching;
pub mod chattts;
mod error;
pub mod hibari;
pub mod joiner;
pub mod longform;
pub mod whisper;

use std::sync::Arc;

use mynah_core::{ModelFamily, Registry};

/// All families, in the order in which they are asked whether a checkpoint is theirs.
pub fn registry() -> Registry {
    let families: [Arc<dyn ModelFamily>; 3] =
        [Arc::new(whisper::WhisperFamily), Arc::new(chattts::ChatTtsFamily), Arc::new(hibari::HibariFamily)];
    Registry::new(families)
}
