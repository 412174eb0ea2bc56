//! Whisper (arXiv:2212.04356): speech recognition and translation to English.
//!
//! `config` and `weights` load, `encoder` and `decoder` compute, `session` holds one window's state,
//! `decode` chooses tokens, `transcribe` walks through a recording window by window, `align` finds word times.

pub mod config;
pub mod step;

pub use config::Config;
pub use step::WindowDecoder;
