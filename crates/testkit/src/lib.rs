//! Random models for tests and benchmarks. Never part of the program.

pub mod chattts;
mod normal;
