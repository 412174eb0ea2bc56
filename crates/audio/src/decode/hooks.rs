//! Callbacks of a decoder.

/// Callbacks during decoding, called before every block, at least several times per second. A closure that returns whether to stop
/// implements it.
pub trait DecodeHooks {
    /// Whether decoding should stop.
    fn is_cancelled(&self) -> bool;

    /// Requests `bytes` more memory for the samples; `false` refuses it. Called before the allocation.
    fn reserve(&self, bytes: usize) -> bool {
        let _ = bytes;
        true
    }
}

impl<F: Fn() -> bool> DecodeHooks for F {
    fn is_cancelled(&self) -> bool {
        self()
    }
}
