//! Tests of the public readers.

mod formats;
mod hostile;
