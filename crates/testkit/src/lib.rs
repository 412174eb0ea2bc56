//! Random models and a stand-in hub for tests and benchmarks. Never part of the program.

pub mod chattts;
pub mod hub;
mod normal;
