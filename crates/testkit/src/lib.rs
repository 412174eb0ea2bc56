//! Random models, writers of weight files, a fake hub and the fuzz corpus, for tests and benchmarks. Not part of the program.

pub mod chattts;
pub mod corpus;
#[cfg(feature = "families")]
pub mod families;
pub mod hub;
mod normal;
pub mod onnx;
pub mod recording;
pub mod weight_files;
