//! Readers of checkpoint formats.
