//! Admission: which jobs are accepted. At most `queue_length`, and none whose estimated wait is too long.
//!
//! The wait until a job's first step is estimated: the compute time of each model per second of audio or character of text is
//! measured, and the work ahead of a client is added up in the order in which `batching` will admit it. A burst is accepted
//! up to the limit. A rejection means overload, and a standing queue only adds delay without more throughput (Nichols and
//! Jacobson, "Controlling queue delay", 2012). So after a rejection, until some time passes without one, clients that already
//! have a job in progress are admitted only if the new one can start almost immediately. Clients without one are admitted as
//! before, so that a client that sends too much does not exclude others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::Error;
use crate::model_ref::ModelRef;
use crate::scheduler::client_id::ClientId;
use crate::sync::lock;

/// Time without a rejection after which bursts are accepted again.
const CALM: Duration = Duration::from_secs(10);
/// Work ahead, in mean jobs, up to which a job counts as starting immediately: the rest of a job that is nearly done. With
/// half a job, the 95th percentile of accepted jobs was 2.2 times that of an idle server.
const AT_ONCE: f64 = 0.25;
/// Weight of the last job in running means.
const WEIGHT: f64 = 0.1;
/// Work of a job before the first measurement, seconds.
const FIRST_GUESS_S: f64 = 1.0;

/// The size of a job, to which its work is proportional: seconds of audio or characters of text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JobSize {
    units: f64,
    /// Units up to its first result, which precede later jobs. The rest yields to others.
    first_units: f64,
    /// Units that are assumed to take [`FIRST_GUESS_S`], until a job of the model was measured.
    guess_units: f64,
}

impl JobSize {
    /// Of a recording, with the model's [`first_result_s`](mynah_core::TranscriptionCapabilities::first_result_s).
    pub(crate) fn audio(duration_s: f64, first_result_s: f64) -> Self {
        Self { units: duration_s, first_units: duration_s.min(first_result_s), guess_units: 10.0 }
    }

    /// Of a text, with the model's [`first_result_chars`](mynah_core::SpeechCapabilities::first_result_chars).
    pub(crate) fn text(chars: usize, first_result_chars: usize) -> Self {
        Self { units: chars as f64, first_units: chars.min(first_result_chars) as f64, guess_units: 200.0 }
    }

    fn guess(self) -> JobCost {
        JobCost { work_s: FIRST_GUESS_S, units: self.guess_units }
    }
}

/// Measured work and size of the jobs of a model; recent jobs have the largest weight.
#[derive(Clone, Copy)]
struct JobCost {
    work_s: f64,
    units: f64,
}

impl JobCost {
    fn of(self, units: f64) -> f64 {
        self.work_s / self.units * units
    }

    fn add(&mut self, work_s: f64, units: f64) {
        self.work_s = (1.0 - WEIGHT) * self.work_s + work_s;
        self.units = (1.0 - WEIGHT) * self.units + units;
    }
}

/// Admits jobs, and estimates their cost.
pub(crate) struct AdmissionController(Mutex<Jobs>);

struct Jobs {
    max_jobs: usize,
    max_wait_s: f64,
    next_number: u64,
    /// In order of arrival.
    queued: Vec<QueuedJob>,
    costs: HashMap<ModelRef, JobCost>,
    /// Running mean of a job's work up to its first result.
    mean_job_s: f64,
    refused_at: Option<Instant>,
}

/// An admitted job, for the estimates of later ones.
struct QueuedJob {
    number: u64,
    client: ClientId,
    /// Remaining work that precedes theirs, seconds; 0 after its first result, and while it waits for its model.
    work_s: f64,
}

impl Jobs {
    fn new(max_jobs: usize) -> Self {
        Self {
            max_jobs,
            max_wait_s: f64::INFINITY,
            next_number: 0,
            queued: Vec::new(),
            costs: HashMap::new(),
            mean_job_s: FIRST_GUESS_S,
            refused_at: None,
        }
    }

    /// Work that precedes the next job of a client: all of its own jobs, and as many jobs of every other client.
    fn wait_s(&self, client: Option<ClientId>) -> f64 {
        let ahead = || self.queued.iter().filter(|ahead| ahead.work_s > 0.0);
        let own = ahead().filter(|ahead| Some(ahead.client) == client).count();
        let mut seen: HashMap<ClientId, usize> = HashMap::new();
        let goes_first = |ahead: &&QueuedJob| {
            let seen = seen.entry(ahead.client).or_default();
            *seen += 1;
            *seen <= own + 1
        };
        ahead().filter(goes_first).fold(0.0, |sum, ahead| sum + ahead.work_s)
    }

    fn check(&mut self, client: Option<ClientId>, now: Instant) -> Result<(), Error> {
        if self.queued.len() >= self.max_jobs {
            self.refused_at = Some(now);
            return Err(Error::QueueFull { retry_after_s: whole_seconds(self.mean_job_s).min(60) });
        }
        let wait_s = self.wait_s(client);
        let is_overloaded =
            self.refused_at.is_some_and(|refused_at| now.saturating_duration_since(refused_at) < CALM);
        let has_work = || self.queued.iter().any(|ahead| Some(ahead.client) == client);
        let max_wait_s = match is_overloaded && has_work() {
            true => self.max_wait_s.min(AT_ONCE * self.mean_job_s),
            false => self.max_wait_s,
        };
        if wait_s > max_wait_s {
            self.refused_at = Some(now);
            return Err(Error::QueueTimeExceeded { wait_s, retry_after_s: whole_seconds(wait_s) });
        }
        Ok(())
    }

    fn take(&mut self, client: ClientId, now: Instant) -> Result<u64, Error> {
        self.check(Some(client), now)?;
        self.next_number += 1;
        self.queued.push(QueuedJob { number: self.next_number, client, work_s: self.mean_job_s });
        Ok(self.next_number)
    }

    fn set_work(&mut self, number: u64, work_s: f64) {
        if let Some(ahead) = self.queued.iter_mut().find(|ahead| ahead.number == number) {
            ahead.work_s = work_s;
        }
    }

    fn work(&mut self, number: u64, seconds: f64) {
        if let Some(ahead) = self.queued.iter_mut().find(|ahead| ahead.number == number) {
            ahead.work_s = (ahead.work_s - seconds).max(0.0);
        }
    }

    fn set_size(&mut self, number: u64, model: &ModelRef, size: JobSize) {
        let cost = self.costs.get(model).copied().unwrap_or_else(|| size.guess());
        let work_s = cost.of(size.first_units);
        self.mean_job_s += WEIGHT * (work_s - self.mean_job_s);
        self.set_work(number, work_s);
    }

    fn update_estimate(&mut self, model: &ModelRef, work_s: f64, size: JobSize) {
        self.costs.entry(model.clone()).or_insert_with(|| size.guess()).add(work_s, size.units);
    }
}

/// For Retry-After: at least 1 s, at most an hour.
fn whole_seconds(seconds: f64) -> u64 {
    seconds.ceil().clamp(1.0, 3600.0) as u64
}

impl AdmissionController {
    /// Admits up to `max_jobs` jobs, with no limit of their wait.
    pub(crate) fn new(max_jobs: usize) -> Self {
        Self(Mutex::new(Jobs::new(max_jobs)))
    }

    /// Sets the maximum estimated wait of new jobs.
    pub(crate) fn set_max_wait(&self, max_wait: Duration) {
        lock(&self.0).max_wait_s = max_wait.as_secs_f64();
    }

    /// Jobs in progress.
    pub(crate) fn jobs(&self) -> usize {
        lock(&self.0).queued.len()
    }

    /// Estimated wait for the first step of a client without a job, seconds.
    pub(crate) fn wait_s(&self) -> f64 {
        lock(&self.0).wait_s(None)
    }

    /// Whether a job of this client would be admitted now.
    pub(crate) fn check(&self, client: Option<ClientId>) -> Result<(), Error> {
        lock(&self.0).check(client, Instant::now())
    }

    /// Admits a job.
    pub(crate) fn admit(self: &Arc<Self>, client: ClientId, model: &ModelRef) -> Result<JobTicket, Error> {
        let number = lock(&self.0).take(client, Instant::now())?;
        let computed_s = Mutex::default();
        Ok(JobTicket { controller: Arc::clone(self), number, model: model.clone(), client, computed_s })
    }
}

/// An admitted job, until dropped.
pub(crate) struct JobTicket {
    controller: Arc<AdmissionController>,
    number: u64,
    model: ModelRef,
    pub(crate) client: ClientId,
    /// Seconds that it has held the compute permit so far, for itself and for the jobs that shared its steps.
    computed_s: Mutex<f64>,
}

impl JobTicket {
    /// The job waits for its model; its work does not delay other jobs.
    pub(crate) fn wait_for_model(&self) {
        lock(&self.controller.0).set_work(self.number, 0.0);
    }

    /// The job is about to compute; its size is known.
    pub(crate) fn begin(&self, size: JobSize) {
        lock(&self.controller.0).set_size(self.number, &self.model, size);
    }

    /// The first result is done; the rest yields to other jobs.
    pub(crate) fn yield_priority(&self) {
        self.wait_for_model();
    }

    /// Adds time that it held the compute permit, seconds.
    pub(crate) fn record_compute(&self, seconds: f64) {
        *lock(&self.computed_s) += seconds;
        lock(&self.controller.0).work(self.number, seconds);
    }

    /// The job has finished: updates the estimate of the model's cost.
    pub(crate) fn update_estimate(&self, size: JobSize) {
        lock(&self.controller.0).update_estimate(&self.model, *lock(&self.computed_s), size);
    }
}

impl Drop for JobTicket {
    fn drop(&mut self) {
        lock(&self.controller.0).queued.retain(|ahead| ahead.number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> ModelRef {
        ModelRef::Named("whisper".to_owned())
    }

    /// A queue with a limit, of jobs that take one second each.
    fn queue(max_wait_s: f64) -> Jobs {
        Jobs { max_wait_s, ..Jobs::new(1000) }
    }

    fn take(jobs: &mut Jobs, client: u64, now: Instant) -> Result<u64, Error> {
        jobs.take(ClientId(client), now)
    }

    fn end_first(jobs: &mut Jobs) {
        jobs.queued.remove(0);
    }

    #[test]
    fn a_burst_is_admitted_up_to_the_limit_and_the_rest_is_refused_with_its_wait() {
        let (mut jobs, now) = (queue(30.0), Instant::now());
        for _ in 0..31 {
            take(&mut jobs, 1, now).unwrap();
        }
        let refused = take(&mut jobs, 1, now);
        assert!(matches!(refused, Err(Error::QueueTimeExceeded { retry_after_s: 31, .. })), "{refused:?}");
        // Many clients with one job each also wait for each other.
        let mut jobs = queue(30.0);
        for client in 0..31 {
            take(&mut jobs, client, now).unwrap();
        }
        assert!(take(&mut jobs, 31, now).is_err());
    }

    #[test]
    fn a_client_that_sends_too_much_does_not_exclude_others() {
        let (mut jobs, now) = (queue(5.0), Instant::now());
        while take(&mut jobs, 1, now).is_ok() {}
        assert_eq!(jobs.wait_s(Some(ClientId(1))), 6.0);
        // One job of the other client precedes it.
        assert_eq!(jobs.wait_s(Some(ClientId(2))), 1.0);
        take(&mut jobs, 2, now).unwrap();
        assert_eq!(jobs.wait_s(Some(ClientId(2))), 3.0, "its own and two of the other");
        assert!(take(&mut jobs, 2, now).is_err(), "after a rejection only one job per client is admitted");
        take(&mut jobs, 3, now).unwrap();
    }

    #[test]
    fn after_a_rejection_the_queue_stays_short_until_the_load_drops() {
        let mut now = Instant::now();
        let mut jobs = queue(10.0);
        while take(&mut jobs, 1, now).is_ok() {}
        // Ten times the capacity for a minute: one job ends per second.
        let mut longest_wait_s: f64 = 0.0;
        for second in 0..60 {
            for _ in 0..10 {
                now += Duration::from_millis(100);
                if let Some(first) = jobs.queued.first() {
                    jobs.work(first.number, 0.1);
                }
                let wait_s = jobs.wait_s(Some(ClientId(1)));
                if take(&mut jobs, 1, now).is_ok() && second > 10 {
                    longest_wait_s = longest_wait_s.max(wait_s);
                }
            }
            end_first(&mut jobs);
        }
        assert!((0.0..=AT_ONCE).contains(&longest_wait_s), "{longest_wait_s}: the rest of the current job");
        // Other clients are admitted as before.
        for client in 2..8 {
            take(&mut jobs, client, now).unwrap();
        }
        jobs.queued.clear();
        take(&mut jobs, 1, now).unwrap();
        assert!(take(&mut jobs, 1, now).is_err());
        now += CALM;
        for _ in 0..8 {
            take(&mut jobs, 1, now).unwrap();
        }
    }

    #[test]
    fn clients_with_one_request_at_a_time_are_all_served() {
        let (mut jobs, now) = (queue(12.0), Instant::now());
        for client in 0..10 {
            take(&mut jobs, client, now).unwrap();
        }
        for client in (0..10).cycle().take(1000) {
            end_first(&mut jobs);
            take(&mut jobs, client, now).unwrap();
        }
    }

    #[test]
    fn the_cost_of_a_model_is_measured() {
        let (mut jobs, now) = (queue(30.0), Instant::now());
        let number = take(&mut jobs, 1, now).unwrap();
        jobs.set_size(number, &model(), JobSize::audio(5.0, 30.0));
        assert_eq!(jobs.wait_s(None), 0.5);
        for _ in 0..100 {
            jobs.update_estimate(&model(), 0.2, JobSize::audio(5.0, 30.0));
            let number = take(&mut jobs, 1, now).unwrap();
            jobs.set_size(number, &model(), JobSize::audio(5.0, 30.0));
            end_first(&mut jobs);
        }
        assert!((jobs.wait_s(None) - 0.2).abs() < 0.01, "{}", jobs.wait_s(None));
        assert!((jobs.mean_job_s - 0.2).abs() < 0.01, "{}", jobs.mean_job_s);
        // Of an hour of audio, everything after the first window yields.
        let number = take(&mut jobs, 2, now).unwrap();
        jobs.set_size(number, &model(), JobSize::audio(3600.0, 30.0));
        assert!((jobs.wait_s(None) - 1.4).abs() < 0.02, "{}", jobs.wait_s(None));
        jobs.set_work(number, 0.0);
        assert!((jobs.wait_s(None) - 0.2).abs() < 0.01, "{}", jobs.wait_s(None));
        // Estimates of other models are unaffected.
        let number = take(&mut jobs, 2, now).unwrap();
        jobs.set_size(number, &ModelRef::Named("voice".to_owned()), JobSize::text(100, 200));
        assert!((jobs.wait_s(None) - 0.7).abs() < 0.01, "{}", jobs.wait_s(None));
    }

    #[test]
    fn a_ticket_is_free_when_it_is_dropped() {
        let queue = Arc::new(AdmissionController::new(1));
        queue.set_max_wait(Duration::from_secs(5));
        let place = queue.admit(ClientId(1), &model()).unwrap();
        place.begin(JobSize::audio(20.0, 30.0));
        assert_eq!((queue.jobs(), queue.wait_s()), (1, 2.0));
        assert!(matches!(queue.check(None), Err(Error::QueueFull { retry_after_s: 2 })));
        place.yield_priority();
        assert_eq!(queue.wait_s(), 0.0);
        drop(place);
        assert_eq!(queue.jobs(), 0);
        queue.check(None).unwrap();
    }
}
