//! Families of models for tests: stand-ins that a test steers, and two scripted families that the program does not have.

pub mod scripted;
mod stand_in;

pub use stand_in::{StandIn, any_speech, any_transcription};
