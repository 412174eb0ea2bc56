//! Who is taken: as many jobs as `queue_length` allows, and nobody who would wait too long.
//!
//! How long somebody would wait for a turn is estimated: what each model takes for a second of audio or a character of text
//! is measured as it works, and what is ahead of a client is added up as `windows` will let it in. A burst is taken up to
//! the bound. Once somebody had to be refused there is more to do than can be done, and a queue that stays long makes
//! everybody wait and gets no more done (Nichols and Jacobson, "Controlling queue delay", 2012): until nobody was refused
//! for a while, who has something under way already is taken only to start about at once. Who has nothing under way
//! is taken as ever, so that a client that asks for too much keeps nobody else out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::scheduler::batching::ClientId;
use crate::sync::lock;
use crate::{Error, ModelRef};

/// After so long without a refusal, bursts are taken again.
const CALM: Duration = Duration::from_secs(10);
/// Work ahead, in usual jobs, that counts as starting at once: what is left of one that is nearly done. Half of one made the
/// 95th percentile of those taken 2.2 times that of an idle server.
const AT_ONCE: f64 = 0.25;
/// How much the last job counts in what is usual.
const WEIGHT: f64 = 0.1;
/// What a job takes before any was seen, seconds.
const FIRST_GUESS_S: f64 = 1.0;

/// What a job's work grows with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Size {
    /// Seconds of audio to listen to.
    Audio(f64),
    /// Characters to speak.
    Text(usize),
}

impl Size {
    fn units(self) -> f64 {
        match self {
            Self::Audio(seconds) => seconds,
            Self::Text(characters) => characters as f64,
        }
    }

    /// How much of it goes before what comes later: a recording's first window, a text's first sentence or two. The
    /// rest gives way to others.
    fn first(self) -> f64 {
        match self {
            Self::Audio(seconds) => seconds.min(30.0),
            Self::Text(characters) => characters.min(200) as f64,
        }
    }

    /// What a model is taken to need before any job has told.
    fn guess(self) -> Cost {
        match self {
            Self::Audio(_) => Cost { work_s: FIRST_GUESS_S, units: 10.0 },
            Self::Text(_) => Cost { work_s: FIRST_GUESS_S, units: 200.0 },
        }
    }
}

/// Work and its size, the last jobs' most.
#[derive(Clone, Copy)]
struct Cost {
    work_s: f64,
    units: f64,
}

impl Cost {
    fn of(self, units: f64) -> f64 {
        self.work_s / self.units * units
    }

    fn add(&mut self, work_s: f64, units: f64) {
        self.work_s = (1.0 - WEIGHT) * self.work_s + work_s;
        self.units = (1.0 - WEIGHT) * self.units + units;
    }
}

/// Jobs under way.
pub(crate) struct Queue(Mutex<Jobs>);

struct Jobs {
    longest: usize,
    bound_s: f64,
    next_number: u64,
    /// In the order in which they came.
    under_way: Vec<Ahead>,
    costs: HashMap<ModelRef, Cost>,
    /// Running mean of the work of a job that goes before others.
    usual_s: f64,
    refused_at: Option<Instant>,
}

/// A job as those behind it see it.
struct Ahead {
    number: u64,
    client: ClientId,
    /// Work left that goes before theirs; none once it has given its first answer, or while it waits for its model.
    work_s: f64,
}

impl Jobs {
    fn new(longest: usize) -> Self {
        Self {
            longest,
            bound_s: f64::INFINITY,
            next_number: 0,
            under_way: Vec::new(),
            costs: HashMap::new(),
            usual_s: FIRST_GUESS_S,
            refused_at: None,
        }
    }

    /// Work that goes before the next job of a client: all of its own, and of every other client as many jobs.
    fn wait_s(&self, client: Option<ClientId>) -> f64 {
        let ahead = || self.under_way.iter().filter(|ahead| ahead.work_s > 0.0);
        let own = ahead().filter(|ahead| Some(ahead.client) == client).count();
        let mut seen: HashMap<ClientId, usize> = HashMap::new();
        let goes_first = |ahead: &&Ahead| {
            let seen = seen.entry(ahead.client).or_default();
            *seen += 1;
            *seen <= own + 1
        };
        ahead().filter(goes_first).fold(0.0, |sum, ahead| sum + ahead.work_s)
    }

    fn check(&mut self, client: Option<ClientId>, now: Instant) -> Result<(), Error> {
        if self.under_way.len() >= self.longest {
            self.refused_at = Some(now);
            return Err(Error::Busy { retry_after_s: whole_seconds(self.usual_s).min(60) });
        }
        let wait_s = self.wait_s(client);
        let is_rushed =
            self.refused_at.is_some_and(|refused_at| now.saturating_duration_since(refused_at) < CALM);
        let has_work = || self.under_way.iter().any(|ahead| Some(ahead.client) == client);
        let bound_s = match is_rushed && has_work() {
            true => self.bound_s.min(AT_ONCE * self.usual_s),
            false => self.bound_s,
        };
        if wait_s > bound_s {
            self.refused_at = Some(now);
            return Err(Error::Overloaded { wait_s, retry_after_s: whole_seconds(wait_s) });
        }
        Ok(())
    }

    fn take(&mut self, client: ClientId, now: Instant) -> Result<u64, Error> {
        self.check(Some(client), now)?;
        self.next_number += 1;
        self.under_way.push(Ahead { number: self.next_number, client, work_s: self.usual_s });
        Ok(self.next_number)
    }

    fn set_work(&mut self, number: u64, work_s: f64) {
        if let Some(ahead) = self.under_way.iter_mut().find(|ahead| ahead.number == number) {
            ahead.work_s = work_s;
        }
    }

    fn work(&mut self, number: u64, seconds: f64) {
        if let Some(ahead) = self.under_way.iter_mut().find(|ahead| ahead.number == number) {
            ahead.work_s = (ahead.work_s - seconds).max(0.0);
        }
    }

    fn set_size(&mut self, number: u64, model: &ModelRef, size: Size) {
        let cost = self.costs.get(model).copied().unwrap_or_else(|| size.guess());
        let work_s = cost.of(size.first());
        self.usual_s += WEIGHT * (work_s - self.usual_s);
        self.set_work(number, work_s);
    }

    fn learn(&mut self, model: &ModelRef, work_s: f64, size: Size) {
        self.costs.entry(model.clone()).or_insert_with(|| size.guess()).add(work_s, size.units());
    }
}

/// Told to clients, who should not come again at once nor never.
fn whole_seconds(seconds: f64) -> u64 {
    seconds.ceil().clamp(1.0, 3600.0) as u64
}

impl Queue {
    /// For so many jobs, however long the last one waits.
    pub(crate) fn new(longest: usize) -> Self {
        Self(Mutex::new(Jobs::new(longest)))
    }

    /// Nobody is taken who would wait longer, from now on.
    pub(crate) fn set_bound(&self, longest_wait: Duration) {
        lock(&self.0).bound_s = longest_wait.as_secs_f64();
    }

    /// Jobs under way.
    pub(crate) fn jobs(&self) -> usize {
        lock(&self.0).under_way.len()
    }

    /// How long somebody with nothing under way would wait for a turn, seconds.
    pub(crate) fn wait_s(&self) -> f64 {
        lock(&self.0).wait_s(None)
    }

    /// Whether a job of this client would be taken.
    pub(crate) fn check(&self, client: Option<ClientId>) -> Result<(), Error> {
        lock(&self.0).check(client, Instant::now())
    }

    /// A place for a job.
    pub(crate) fn take(self: &Arc<Self>, client: ClientId, model: &ModelRef) -> Result<Place, Error> {
        let number = lock(&self.0).take(client, Instant::now())?;
        let worked_s = Mutex::default();
        Ok(Place { queue: Arc::clone(self), number, model: model.clone(), client, worked_s })
    }
}

/// One of the places for jobs, until dropped.
pub(crate) struct Place {
    queue: Arc<Queue>,
    number: u64,
    model: ModelRef,
    pub(crate) client: ClientId,
    /// Seconds of its turns so far, in which it computed for itself and for those who shared its steps.
    worked_s: Mutex<f64>,
}

impl Place {
    /// The job waits for its model, and nobody for the job.
    pub(crate) fn waits(&self) {
        lock(&self.queue.0).set_work(self.number, 0.0);
    }

    /// The job is about to compute, and it is known how much.
    pub(crate) fn begins(&self, size: Size) {
        lock(&self.queue.0).set_size(self.number, &self.model, size);
    }

    /// Its first answer is there, and what follows gives way to others.
    pub(crate) fn gives_way(&self) {
        self.waits();
    }

    /// It had a turn of so many seconds.
    pub(crate) fn works(&self, seconds: f64) {
        *lock(&self.worked_s) += seconds;
        lock(&self.queue.0).work(self.number, seconds);
    }

    /// All was computed.
    pub(crate) fn learn(&self, size: Size) {
        lock(&self.queue.0).learn(&self.model, *lock(&self.worked_s), size);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.queue.0).under_way.retain(|ahead| ahead.number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> ModelRef {
        ModelRef::Named("whisper".to_owned())
    }

    /// A queue of jobs of a second each, with a bound.
    fn queue(bound_s: f64) -> Jobs {
        Jobs { bound_s, ..Jobs::new(1000) }
    }

    fn take(jobs: &mut Jobs, client: u64, now: Instant) -> Result<u64, Error> {
        jobs.take(ClientId(client), now)
    }

    fn end_first(jobs: &mut Jobs) {
        jobs.under_way.remove(0);
    }

    #[test]
    fn a_burst_is_taken_up_to_the_bound_and_the_rest_told_how_long_it_would_wait() {
        let (mut jobs, now) = (queue(30.0), Instant::now());
        for _ in 0..31 {
            take(&mut jobs, 1, now).unwrap();
        }
        let refused = take(&mut jobs, 1, now);
        assert!(matches!(refused, Err(Error::Overloaded { retry_after_s: 31, .. })), "{refused:?}");
        // Many clients with a job each wait for each other as well.
        let mut jobs = queue(30.0);
        for client in 0..31 {
            take(&mut jobs, client, now).unwrap();
        }
        assert!(take(&mut jobs, 31, now).is_err());
    }

    #[test]
    fn who_asks_for_too_much_keeps_nobody_else_out() {
        let (mut jobs, now) = (queue(5.0), Instant::now());
        while take(&mut jobs, 1, now).is_ok() {}
        assert_eq!(jobs.wait_s(Some(ClientId(1))), 6.0);
        // One job of the other goes first.
        assert_eq!(jobs.wait_s(Some(ClientId(2))), 1.0);
        take(&mut jobs, 2, now).unwrap();
        assert_eq!(jobs.wait_s(Some(ClientId(2))), 3.0, "its own and two of the other");
        assert!(take(&mut jobs, 2, now).is_err(), "while somebody is refused, one has to do");
        take(&mut jobs, 3, now).unwrap();
    }

    #[test]
    fn a_queue_that_had_to_refuse_is_kept_short_until_calm_returns() {
        let mut now = Instant::now();
        let mut jobs = queue(10.0);
        while take(&mut jobs, 1, now).is_ok() {}
        // Ten times as many as can be done, for a minute: a job a second ends.
        let mut longest_wait_s: f64 = 0.0;
        for second in 0..60 {
            for _ in 0..10 {
                now += Duration::from_millis(100);
                if let Some(first) = jobs.under_way.first() {
                    jobs.work(first.number, 0.1);
                }
                let wait_s = jobs.wait_s(Some(ClientId(1)));
                if take(&mut jobs, 1, now).is_ok() && second > 10 {
                    longest_wait_s = longest_wait_s.max(wait_s);
                }
            }
            end_first(&mut jobs);
        }
        assert!(
            (0.0..=AT_ONCE).contains(&longest_wait_s),
            "{longest_wait_s}: what is left of the one under way"
        );
        // Others are taken as before.
        for client in 2..8 {
            take(&mut jobs, client, now).unwrap();
        }
        jobs.under_way.clear();
        take(&mut jobs, 1, now).unwrap();
        assert!(take(&mut jobs, 1, now).is_err());
        now += CALM;
        for _ in 0..8 {
            take(&mut jobs, 1, now).unwrap();
        }
    }

    #[test]
    fn clients_that_wait_for_their_answers_are_all_served() {
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
    fn what_a_model_takes_is_learned() {
        let (mut jobs, now) = (queue(30.0), Instant::now());
        let number = take(&mut jobs, 1, now).unwrap();
        jobs.set_size(number, &model(), Size::Audio(5.0));
        assert_eq!(jobs.wait_s(None), 0.5);
        for _ in 0..100 {
            jobs.learn(&model(), 0.2, Size::Audio(5.0));
            let number = take(&mut jobs, 1, now).unwrap();
            jobs.set_size(number, &model(), Size::Audio(5.0));
            end_first(&mut jobs);
        }
        assert!((jobs.wait_s(None) - 0.2).abs() < 0.01, "{}", jobs.wait_s(None));
        assert!((jobs.usual_s - 0.2).abs() < 0.01, "{}", jobs.usual_s);
        // Of an hour, what comes after the first window gives way.
        let number = take(&mut jobs, 2, now).unwrap();
        jobs.set_size(number, &model(), Size::Audio(3600.0));
        assert!((jobs.wait_s(None) - 1.4).abs() < 0.02, "{}", jobs.wait_s(None));
        jobs.set_work(number, 0.0);
        assert!((jobs.wait_s(None) - 0.2).abs() < 0.01, "{}", jobs.wait_s(None));
        // Other models are not judged by this one.
        let number = take(&mut jobs, 2, now).unwrap();
        jobs.set_size(number, &ModelRef::Named("voice".to_owned()), Size::Text(100));
        assert!((jobs.wait_s(None) - 0.7).abs() < 0.01, "{}", jobs.wait_s(None));
    }

    #[test]
    fn a_place_is_free_when_it_is_dropped() {
        let queue = Arc::new(Queue::new(1));
        queue.set_bound(Duration::from_secs(5));
        let place = queue.take(ClientId(1), &model()).unwrap();
        place.begins(Size::Audio(20.0));
        assert_eq!((queue.jobs(), queue.wait_s()), (1, 2.0));
        assert!(matches!(queue.check(None), Err(Error::Busy { retry_after_s: 2 })));
        place.gives_way();
        assert_eq!(queue.wait_s(), 0.0);
        drop(place);
        assert_eq!(queue.jobs(), 0);
        queue.check(None).unwrap();
    }
}
