//! A window's stretch of computation, announced to the observer.

use crate::Observer;

/// Between [`Observer::window_begins`] and [`Observer::window_ends`]; the latter is told however the turn ends.
pub(super) struct Turn<'a>(&'a mut dyn Observer);

impl<'a> Turn<'a> {
    pub(super) fn begin(observer: &'a mut dyn Observer) -> Self {
        observer.window_begins();
        Self(observer)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.window_ends();
    }
}
