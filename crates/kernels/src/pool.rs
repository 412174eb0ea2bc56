//! One pool of threads for all kernels of the process.
//!
//! A kernel's parallel part may last only ten microseconds, so distributing it must cost less than one: workers spin
//! briefly after each job before they sleep, and claim tasks by one compare-and-swap. The calling thread
//! works too. If the pool is busy with another caller's job, a second caller runs its job alone.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{OnceLock, PoisonError, TryLockError};

#[cfg(loom)]
use loom::{hint, sync, thread};
#[cfg(not(loom))]
use std::{hint, sync, thread};
use sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence};
use sync::{Condvar, Mutex};

/// Spins before a worker sleeps: some tens of microseconds, longer than the serial parts between two kernels.
/// A model has no time that could be saved by spinning.
const SPINS: u32 = if cfg!(loom) { 0 } else { 4_000 };

struct Pool {
    threads: usize,
    /// Held by the caller whose job is running.
    owner: Mutex<()>,
    /// Job number in the upper half, next task in the lower; the lower half is all ones while the job is being published.
    ticket: AtomicU64,
    /// Address of the caller's `Task` on its stack.
    task: AtomicPtr<Task<'static>>,
    tasks: AtomicUsize,
    finished: AtomicUsize,
    panicked: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    sleepers: AtomicUsize,
    sleep: Mutex<()>,
    wake: Condvar,
}

struct Task<'a>(&'a (dyn Fn(usize) + Sync));

// Loom's own may not be static.
#[cfg_attr(not(loom), expect(unused_qualifications, reason = "under loom the name is another type's"))]
static WANTED_THREADS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
static POOL: OnceLock<&'static Pool> = OnceLock::new();

/// Sets the number of threads, the caller's included, before the first kernel runs; later calls have no effect.
/// Returns whether it took effect.
pub fn set_threads(threads: usize) -> bool {
    WANTED_THREADS.store(threads.max(1), Ordering::Relaxed);
    POOL.get().is_none()
}

/// Number of threads that run a kernel.
pub fn threads() -> usize {
    pool().threads
}

fn pool() -> &'static Pool {
    POOL.get_or_init(|| {
        let threads = match WANTED_THREADS.load(Ordering::Relaxed) {
            0 => crate::cpu::physical_cores(),
            n => n,
        };
        let pool: &'static Pool = Box::leak(Box::new(Pool::new(threads)));
        for i in 1..threads {
            // If this worker cannot be started, the others do its share.
            let _ = thread::Builder::new().name(format!("kernel-{i}")).spawn(move || pool.work());
        }
        pool
    })
}

/// Calls `task(0)`, `task(1)`, ... `task(tasks - 1)` on the threads of the pool, and returns when all are done.
///
/// A panic in a task is propagated to the caller after the other tasks are done.
pub fn run(tasks: usize, task: impl Fn(usize) + Sync) {
    pool().run(tasks, task);
}

impl Pool {
    fn new(threads: usize) -> Self {
        Self {
            threads,
            owner: Mutex::new(()),
            ticket: AtomicU64::new(0),
            task: AtomicPtr::new(std::ptr::null_mut()),
            tasks: AtomicUsize::new(0),
            finished: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
            panic: Mutex::new(None),
            sleepers: AtomicUsize::new(0),
            sleep: Mutex::new(()),
            wake: Condvar::new(),
        }
    }

    fn run(&self, tasks: usize, task: impl Fn(usize) + Sync) {
        if tasks <= 1 || self.threads == 1 {
            return (0..tasks).for_each(task);
        }
        let _owner = match self.owner.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return (0..tasks).for_each(task),
        };
        let task = Task(&task);
        // Closed first, with its own number: a worker that still holds the last job's ticket must not claim a task with it
        // after it has read this job's fields. Acquire keeps the stores below from moving up.
        let closed = (self.ticket.load(Ordering::Relaxed) >> 32).wrapping_add(1) & 0xffff_ffff;
        self.ticket.swap(closed << 32 | 0xffff_ffff, Ordering::AcqRel);
        // The workers' type has a static lifetime; `run` does not return before the last worker is done with it.
        self.task.store(std::ptr::from_ref(&task).cast_mut().cast(), Ordering::Relaxed);
        self.tasks.store(tasks, Ordering::Relaxed);
        self.finished.store(0, Ordering::Relaxed);
        let job = closed.wrapping_add(1) & 0xffff_ffff;
        self.ticket.store(job << 32, Ordering::Release);
        // Either this thread sees the sleeper, or the sleeper, past its fence, sees the job. (Loom models fences of this order,
        // but not loads and stores.)
        fence(Ordering::SeqCst);
        if self.sleepers.load(Ordering::Relaxed) > 0 {
            drop(self.sleep.lock().unwrap_or_else(PoisonError::into_inner));
            self.wake.notify_all();
        }
        self.take_tasks();
        let mut spins = 0_u32;
        while self.finished.load(Ordering::Acquire) < tasks {
            spins += 1;
            if spins < SPINS { hint::spin_loop() } else { thread::yield_now() }
        }
        if self.panicked.swap(false, Ordering::Relaxed) {
            let payload = self.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
            resume_unwind(payload.unwrap_or_else(|| Box::new("a kernel task panicked")));
        }
    }

    /// Claims and runs tasks of the current job until none is left.
    fn take_tasks(&self) {
        let mut ticket = self.ticket.load(Ordering::Acquire);
        loop {
            let task = self.task.load(Ordering::Relaxed);
            let next = (ticket & 0xffff_ffff) as usize;
            if next >= self.tasks.load(Ordering::Relaxed) {
                return;
            }
            // Success proves that the job read above is still running: its number did not change and its
            // task `next` was not claimed, so its caller still waits.
            match self.ticket.compare_exchange_weak(ticket, ticket + 1, Ordering::AcqRel, Ordering::Acquire) {
                Err(now) => ticket = now,
                Ok(_) => {
                    // SAFETY: `task` points to the caller's `Task`, which lives until `finished` reaches the number
                    // of tasks; this claimed task is counted only below.
                    let run = unsafe { (*task).0 };
                    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| run(next))) {
                        *self.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(payload);
                        self.panicked.store(true, Ordering::Relaxed);
                    }
                    self.finished.fetch_add(1, Ordering::Release);
                    ticket = self.ticket.load(Ordering::Acquire);
                }
            }
        }
    }

    /// What a worker does all its life.
    fn work(&self) {
        let mut seen = 0;
        loop {
            seen = self.take_tasks_of_next_job(seen);
        }
    }

    /// Waits for a job with another number than `seen`, takes tasks of it, and returns its number.
    fn take_tasks_of_next_job(&self, seen: u64) -> u64 {
        let mut spins = 0;
        while self.ticket.load(Ordering::Acquire) >> 32 == seen {
            spins += 1;
            if spins < SPINS {
                hint::spin_loop();
                continue;
            }
            let mut guard = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
            self.sleepers.fetch_add(1, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            while self.ticket.load(Ordering::Acquire) >> 32 == seen {
                guard = self.wake.wait(guard).unwrap_or_else(PoisonError::into_inner);
            }
            self.sleepers.fetch_sub(1, Ordering::Relaxed);
        }
        let job = self.ticket.load(Ordering::Acquire) >> 32;
        self.take_tasks();
        job
    }
}

/// A mutable slice whose disjoint parts are written by several tasks.
pub(crate) struct SharedMut<T>(*mut T, usize);

// SAFETY: the pointer is only turned into references by `slice`, whose callers keep the parts disjoint.
unsafe impl<T: Send> Sync for SharedMut<T> {}

impl<T> SharedMut<T> {
    pub(crate) fn new(slice: &mut [T]) -> Self {
        Self(slice.as_mut_ptr(), slice.len())
    }

    pub(crate) fn as_mut_ptr(&self) -> *mut T {
        self.0
    }

    /// # Safety
    /// No two live slices may overlap, and `start + len` must not exceed the whole.
    #[expect(clippy::mut_from_ref, reason = "the purpose of the type")]
    pub(crate) unsafe fn slice(&self, start: usize, len: usize) -> &mut [T] {
        debug_assert!(start + len <= self.1);
        // SAFETY: in bounds and disjoint by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(start), len) }
    }
}

/// Runs `task` over consecutive chunks of `data` of `chunk` items each (the last may be shorter).
pub fn for_each_chunk<T: Send>(data: &mut [T], chunk: usize, task: impl Fn(usize, &mut [T]) + Sync) {
    let chunk = chunk.max(1);
    let len = data.len();
    let shared = SharedMut::new(data);
    run(len.div_ceil(chunk), |i| {
        let start = i * chunk;
        // SAFETY: chunk i is start..start + chunk, cut at the end: chunks are disjoint and in bounds.
        let part = unsafe { shared.slice(start, chunk.min(len - start)) };
        task(i, part);
    });
}

/// All interleavings of a small pool, within loom's bounds: `tools/miri.sh` runs it.
#[cfg(all(test, loom))]
mod model {
    use loom::sync::Arc;

    use super::*;

    /// Runs `jobs` jobs of two tasks in all interleavings with up to so many preemptions.
    fn check(jobs: u64, workers: usize, preemptions: usize) {
        // Each job takes two numbers, one while it is published.
        let last_job = 2 * jobs;
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(preemptions);
        model.check(move || {
            let pool = Arc::new(Pool::new(workers + 1));
            let workers: Vec<_> = (0..workers)
                .map(|_| {
                    let pool = Arc::clone(&pool);
                    thread::spawn(move || {
                        let mut seen = 0;
                        while seen < last_job {
                            seen = pool.take_tasks_of_next_job(seen);
                        }
                    })
                })
                .collect();
            for _ in 0..jobs {
                // Read and written by the tasks without synchronisation of their own: loom reports a task that runs twice, or
                // after `run` has returned.
                let done: Vec<_> = (0..2).map(|_| loom::cell::UnsafeCell::new(0)).collect();
                let done = SharedCells(&done);
                pool.run(2, |task| done.count(task));
                for count in done.0 {
                    // SAFETY: `run` has returned, so no task accesses the cells.
                    assert_eq!(count.with(|count| unsafe { *count }), 1);
                }
            }
            for worker in workers {
                worker.join().unwrap();
            }
        });
    }

    struct SharedCells<'a>(&'a [loom::cell::UnsafeCell<u32>]);

    // SAFETY: loom checks each access.
    unsafe impl Sync for SharedCells<'_> {}

    impl SharedCells<'_> {
        fn count(&self, task: usize) {
            // SAFETY: loom checks that no two accesses are concurrent.
            self.0[task].with_mut(|count| unsafe { *count += 1 });
        }
    }

    #[test]
    fn one_job() {
        check(1, 1, 3);
    }

    #[test]
    fn two_jobs() {
        check(2, 1, 1);
    }

    #[test]
    fn two_workers() {
        check(1, 2, 1);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn every_task_runs_once() {
        for tasks in [0, 1, 2, 7, 1000] {
            let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
            // Miri runs a thousand times slower.
            for round in 1..=if cfg!(miri) { 2 } else { 50 } {
                run(tasks, |i| {
                    counts[i].fetch_add(1, Ordering::Relaxed);
                });
                assert!(
                    counts.iter().all(|c| c.load(Ordering::Relaxed) == round),
                    "{tasks} tasks, round {round}"
                );
            }
        }
    }

    #[test]
    fn concurrent_and_nested_calls_finish() {
        const ROUNDS: usize = if cfg!(miri) { 5 } else { 200 };
        let total = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..ROUNDS {
                        run(5, |_| {
                            run(3, |_| {
                                total.fetch_add(1, Ordering::Relaxed);
                            });
                        });
                    }
                });
            }
        });
        assert_eq!(total.load(Ordering::Relaxed), 4 * ROUNDS * 15);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_keeps_working() {
        let caught = catch_unwind(|| run(8, |i| assert!(i != 5, "task five")));
        assert!(caught.is_err());
        let sum = AtomicUsize::new(0);
        run(8, |i| {
            sum.fetch_add(i, Ordering::Relaxed);
        });
        assert_eq!(sum.load(Ordering::Relaxed), 28);
    }

    #[test]
    fn chunks_cover_the_slice() {
        let mut data = vec![0_u32; 103];
        for_each_chunk(&mut data, 10, |i, part| part.fill(i as u32 + 1));
        assert!(data.iter().enumerate().all(|(at, &v)| v == at as u32 / 10 + 1));
    }
}
