//! Signals that ask the program to stop.

use mynah_core::CancelFlag;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Failure;

/// SIGINT and SIGTERM from now on.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Takes over both signals; needs a Tokio runtime.
    pub(crate) fn new() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind).map_err(|error| Failure::Failed(Some(format!("cannot wait for signals: {error}"))))
        };
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Waits for either and returns its number.
    pub(crate) async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 2,
            _ = self.terminate.recv() => 15,
        }
    }
}

/// Runs blocking work on a thread of its own; a signal raises its flag and is then what the work ended by.
pub(crate) fn interruptible<T: Send + 'static>(
    work: impl FnOnce(&CancelFlag) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    runtime()?.block_on(async {
        let mut signals = Signals::new()?;
        let cancel = CancelFlag::new();
        let flag = cancel.clone();
        let mut work = tokio::task::spawn_blocking(move || work(&flag));
        let mut signal = None;
        loop {
            tokio::select! {
                outcome = &mut work => {
                    let outcome = outcome.map_err(|error| Failure::Failed(Some(error.to_string())))?;
                    return match signal {
                        Some(number) if outcome.is_err() => Err(Failure::Interrupted(number)),
                        _ => outcome,
                    };
                }
                number = signals.next() => {
                    signal = Some(number);
                    cancel.cancel();
                }
            }
        }
    })
}

/// A runtime that only waits; computing is done on other threads.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(Some(format!("cannot start: {error}"))))
}
