//! Scheduling of a device, in three stages, from the outside in:
//!
//! 1. [`admission`]: which jobs are accepted, by queue length and estimated wait.
//! 2. [`batching`]: which sequences of the jobs in progress are computed together, fairly between clients.
//! 3. [`run_queue`]: which of those computes its next step.
//!
//! [`job`] is the interface to models: one [`StepScheduler`](mynah_core::StepScheduler) per thread of a job.

pub(crate) mod admission;
pub(crate) mod batching;
pub(crate) mod client_id;
pub(crate) mod job;
pub(crate) mod run_queue;
pub(crate) mod stats;
