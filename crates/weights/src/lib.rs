//! Readers of checkpoint formats: named tensors and other metadata of a file, independent of any model.
//!
//! [`Weights::open`] finds the weights of a folder, detects their format by content (safetensors, PyTorch, ggml,
//! CTranslate2) and reads the table of contents; [`open_state_dict`] accepts only the formats of plain named tensors.
//! [`Tensors`] has all shapes and reads numbers on demand. ONNX files are graphs: [`onnx`].
//!
//! Names and layouts are those of the file; the model maps them to its own. The only layout of a single model family
//! is ggml's as written by whisper.cpp: its header of eleven numbers, its filters and its vocabulary are returned
//! as stored ([`ggml::Header`]).
//!
//! Files are untrusted: all lengths are checked before anything is allocated, tables of contents are bounded, and nothing
//! in a file is executed. Files are not memory-mapped either; a file that is truncated or modified after it was opened is an
//! error.

mod archive;
mod blocks;
mod chunks;
pub mod ctranslate2;
mod cursor;
mod error;
pub mod ggml;
pub mod onnx;
mod opened;
mod pickle;
mod safetensors;
mod side_file;
mod state_dict;
mod tensors;
pub mod torch;
mod weights;

pub use error::Error;
pub use side_file::{read_json, read_side_file};
pub use state_dict::{open_state_dict, read_state_dict};
pub use tensors::{Dtype, Raw, Tensor, Tensors};
pub use weights::{Metadata, Weights, has_weights};
