//! CPU kernels: all code of Mynah that is bound by arithmetic or memory bandwidth, and all of its `unsafe`.
//!
//! Functions take and return slices; there are no files, models or async here. Matrices are row-major f32; weights are packed
//! once into a [`Matrix`] and read many times. Work is divided among one [`pool`] of threads. The instruction set is
//! chosen once ([`cpu::Isa`]); every variant is tested against the scalar one.
//!
//! Layout of packed operands: *panels* of [`PANEL`] columns, each panel `[depth][PANEL]`, so that a kernel reads one
//! stream of memory and keeps its sums in registers (Goto and van de Geijn, "Anatomy of high-performance matrix
//! multiplication", ACM TOMS 34(3), 2008).

mod arch;
pub mod attention;
pub mod cpu;
pub mod elementwise;
mod epilogue;
mod gemm;
mod logits_matrix;
pub mod malloc;
mod matrix;
#[cfg(test)]
mod noise;
mod norm;
mod panels;
pub mod pool;
mod quantized;
mod quantized_panels;
pub mod random;
pub mod roofline;
mod rotary;
pub mod vecmath;
mod vectorize;

pub use epilogue::Epilogue;
pub use gemm::Float;
pub use logits_matrix::LogitsMatrix;
pub use matrix::{Matrix, Precision};
pub use norm::{DepthwiseConv, LayerNorm, RmsNorm};
pub use panels::PANEL;
pub use quantized::{QuantEpilogue, QuantParams, QuantizedMatrix, ValueRange};
pub use rotary::Rotary;
