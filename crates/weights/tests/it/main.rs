//! The readers, seen from outside.

mod formats;
mod hostile;
