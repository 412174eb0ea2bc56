//! What a model sees of the device's scheduling.

use std::cell::{Cell, RefCell};
use std::time::Instant;

use mynah_core::{BatchShare, CancelFlag, Priority, StepScheduler};

use crate::device::DeviceRuntime;
use crate::scheduler::admission::JobTicket;
use crate::scheduler::batching::BatchPermit;
use crate::scheduler::run_queue::{ComputePermit, PendingGuard};
use crate::scheduler::stats::SizeHistogram;

/// State that all threads of a job share.
#[derive(Clone, Copy)]
pub(crate) struct ScheduledJob<'a> {
    pub(crate) device: &'a DeviceRuntime,
    pub(crate) ticket: &'a JobTicket,
    pub(crate) cancel: &'a CancelFlag,
    /// Windows that start before this belong to the job's first result; seconds of audio.
    pub(crate) first_result_s: f64,
    /// Counts the rows of its steps.
    pub(crate) rows: &'a SizeHistogram,
    /// Called when the job's first step is about to be computed, with the time it waited, seconds.
    pub(crate) on_first_step: &'a (dyn Fn(f64) + Sync),
}

/// Schedules one thread of a job.
pub(crate) struct JobScheduler<'a> {
    job: ScheduledJob<'a>,
    /// Start of the wait for the first step, until the step is computed.
    waiting_since: Cell<Option<Instant>>,
    priority: Cell<Priority>,
    batch: RefCell<Option<(BatchPermit, PendingGuard)>>,
    step: RefCell<Option<ComputePermit>>,
}

impl<'a> JobScheduler<'a> {
    pub(crate) fn new(job: ScheduledJob<'a>) -> Self {
        Self {
            job,
            waiting_since: Cell::new(Some(Instant::now())),
            priority: Cell::new(Priority::Interactive),
            batch: RefCell::default(),
            step: RefCell::default(),
        }
    }

    /// The first result is done: the rest yields to other jobs.
    pub(crate) fn yield_priority(&self) {
        self.priority.set(Priority::Background);
        self.job.ticket.yield_priority();
    }

    /// Runs `work`, which may block, such as sending a result to a slow reader, without the compute permit.
    pub(crate) fn without_permit<T>(&self, work: impl FnOnce() -> T) -> T {
        let had_permit = self.step.borrow().is_some();
        self.release_step();
        let done = work();
        if had_permit {
            self.acquire_step(&|| false);
        }
        done
    }
}

impl StepScheduler for JobScheduler<'_> {
    fn fork(&self) -> Box<dyn StepScheduler + Send + '_> {
        let fork = Self::new(self.job);
        // The job's first step is reported once.
        fork.waiting_since.set(self.waiting_since.take());
        Box::new(fork)
    }

    fn enter_batch(&self, start_s: f64, share: BatchShare) {
        self.leave_batch();
        let ScheduledJob { device, ticket, cancel, first_result_s, .. } = self.job;
        if start_s < first_result_s {
            self.priority.set(Priority::Interactive);
        } else {
            self.yield_priority();
        }
        // A window that waits for room counts as pending: background work must not run between two windows either.
        let pending = device.compute.announce(self.priority.get());
        let permit = device.batches.enter(ticket.client, self.priority.get(), share, cancel);
        if let Some(permit) = &permit {
            device.stats.sequences.add(permit.batch_size);
        }
        self.batch.replace(permit.map(|permit| (permit, pending)));
    }

    fn leave_batch(&self) {
        self.batch.take();
    }

    fn priority(&self) -> Priority {
        self.priority.get()
    }

    fn acquire_step(&self, is_obsolete: &dyn Fn() -> bool) {
        self.release_step();
        let ScheduledJob { device, cancel, on_first_step, .. } = self.job;
        self.step.replace(device.compute.acquire(self.priority.get(), cancel, is_obsolete));
        if let Some(since) = self.waiting_since.take() {
            on_first_step(since.elapsed().as_secs_f64());
        }
    }

    fn release_step(&self) {
        if let Some(permit) = self.step.take() {
            self.job.ticket.record_compute(permit.elapsed_s());
        }
    }

    fn record_step(&self, rows: usize) {
        self.job.rows.add(rows);
    }
}
