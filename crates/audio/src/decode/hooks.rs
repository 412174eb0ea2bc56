//! What a decoder asks its caller while it works.

/// Asked before every block, several times a second of work at least. A closure that says whether to stop is one.
pub trait DecodeHooks {
    /// Whether the caller wants no sound any more.
    fn is_cancelled(&self) -> bool;

    /// Whether the samples may take `bytes` more than before; asked before they do.
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
