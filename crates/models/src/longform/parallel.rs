//! Transcribes parts of a recording in parallel. The result does not depend on the number of workers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use mynah_core::{JobContext, ModelError};

/// Maximum number of parallel parts: each needs some megabytes and a thread.
const MAX_WORKERS: usize = 4;

/// Transcribes `parts` parts with up to `workers` threads. `transcribe` gets a part's index and the context of its thread;
/// `on_part` gets the results in the order of the parts, on this thread.
///
/// # Errors
/// The first error of `transcribe`.
pub(crate) fn transcribe_parts<T: Send>(
    parts: usize,
    workers: usize,
    context: JobContext<'_>,
    transcribe: &(dyn Fn(usize, JobContext<'_>) -> Result<T, ModelError> + Sync),
    on_part: &mut dyn FnMut(usize, T),
) -> Result<(), ModelError> {
    let workers = workers.clamp(1, MAX_WORKERS).min(parts.max(1));
    let next = &AtomicUsize::new(0);
    let (sender, receiver) = mpsc::sync_channel(workers);
    thread::scope(|scope| {
        for _ in 0..workers {
            let (sender, scheduler, cancel) = (sender.clone(), context.scheduler.fork(), context.cancel);
            scope.spawn(move || {
                let context = JobContext { cancel, scheduler: &*scheduler };
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= parts {
                        break;
                    }
                    let made = transcribe(number, context);
                    if made.is_err() {
                        next.store(parts, Ordering::Relaxed);
                    }
                    if sender.send((number, made)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        // Dropped when this returns, so that no worker blocks on it.
        let receiver = receiver;
        let (mut early, mut reported) = (BTreeMap::new(), 0);
        for (number, made) in &receiver {
            early.insert(number, made?);
            while let Some(made) = early.remove(&reported) {
                on_part(reported, made);
                reported += 1;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mynah_core::CancelFlag;

    use super::*;

    #[test]
    fn parts_are_reported_in_order() {
        let cancel = CancelFlag::new();
        let transcribe = |number: usize, _: JobContext<'_>| {
            // The first ones of each round take longer.
            thread::sleep(Duration::from_millis(4 - number as u64 % 4));
            Ok(10 * number)
        };
        let mut reported = Vec::new();
        let context = JobContext::unscheduled(&cancel);
        transcribe_parts(20, 9, context, &transcribe, &mut |number, made| reported.push((number, made)))
            .unwrap();
        assert_eq!(reported, (0..20).map(|number| (number, 10 * number)).collect::<Vec<_>>());
        transcribe_parts(0, 2, context, &transcribe, &mut |_, _| panic!("there is no part")).unwrap();
    }

    #[test]
    fn an_error_ends_all() {
        let cancel = CancelFlag::new();
        let transcribe = |number: usize, _: JobContext<'_>| match number {
            3 => Err(ModelError::InvalidInput("no".into())),
            _ => Ok(()),
        };
        let context = JobContext::unscheduled(&cancel);
        let failed = transcribe_parts(100, 2, context, &transcribe, &mut |_, ()| ());
        assert!(matches!(failed, Err(ModelError::InvalidInput(_))));
    }
}
