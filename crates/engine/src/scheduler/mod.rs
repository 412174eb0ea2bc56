//! Which jobs are taken, and which of them computes next.

pub(crate) mod admission;
pub(crate) mod batching;
pub(crate) mod compute;
pub(crate) mod stats;
