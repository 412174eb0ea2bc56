//! Readers of checkpoint formats: named tensors, and what a file carries beside them, without the meaning that a model
//! gives to either.
//!
//! [`Weights::open`] finds the weights of a folder, recognises their format by content (safetensors, PyTorch, ggml,
//! CTranslate2) and reads the table of contents; [`open_state_dict`] takes only the formats that are nothing but tensors by name.
//! [`Tensors`] gives shapes at once and numbers when they are asked for. ONNX files are graphs: [`onnx`].
//!
//! Names and layouts are those of the file; renaming is up to the model. The one layout that belongs to a single family
//! of models is ggml's as whisper.cpp writes it: its header of eleven numbers, its filters and its vocabulary are given
//! as they are stored ([`ggml::Header`]).
//!
//! Files are not trusted: all lengths are checked before anything is allocated, tables of contents are bounded, and nothing
//! in a file is executed. Nothing is mapped either; a file that is cut short or written to after it was opened is an error.

#![forbid(unsafe_code)]

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
