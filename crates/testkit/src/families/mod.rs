//! Model families for tests: fakes controlled by a test, and two scripted families that are not part of the program.

pub mod scripted;
mod stand_in;

pub use stand_in::{StandIn, any_speech, any_transcription};
