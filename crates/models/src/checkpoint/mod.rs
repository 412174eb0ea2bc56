//! Whisper checkpoints on disk, in every format people hold, behind one set of names.
//!
//! Names and layouts are those of Hugging Face (`model.encoder.layers.0.self_attn.q_proj.weight`, `[out, in]`
//! row-major; convolutions `[out, in, width]`), whatever the file says.

use std::path::Path;

use crate::Error;
use crate::whisper::Config;

/// How a tensor's numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// 32-bit float.
    F32,
    /// 16-bit IEEE float.
    F16,
    /// bfloat16.
    Bf16,
}

/// The formats we read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// CTranslate2 folder (`model.bin`).
    CTranslate2,
    /// Hugging Face folder with safetensors, sharded or not.
    Safetensors,
    /// Hugging Face folder with `pytorch_model.bin`, sharded or not.
    PytorchBin,
    /// whisper.cpp's ggml file.
    Ggml,
    /// openai-whisper's `.pt` file.
    OpenaiPt,
}

/// Where tensors come from. Implemented once a format.
pub trait TensorSource: Send + Sync {
    /// Shape of a tensor by its canonical name, `None` if the checkpoint lacks it.
    fn shape(&self, name: &str) -> Option<Vec<usize>>;

    /// How the tensor is stored (quantised formats report what they expand to).
    fn dtype(&self, name: &str) -> Option<Dtype>;

    /// The tensor's numbers as f32, row-major, in its canonical shape.
    fn read_f32(&self, name: &str) -> Result<Vec<f32>, Error>;
}

/// An opened checkpoint: configuration, vocabulary and tensors that are read when asked for.
pub struct Checkpoint {
    /// Which format was found.
    pub format: Format,
    /// Sizes and token lists.
    pub config: Config,
    /// Vocabulary.
    pub tokenizer: mynah_text::whisper_tokenizer::WhisperTokenizer,
    /// Tensors.
    pub tensors: Box<dyn TensorSource>,
}

impl Checkpoint {
    /// Looks at a file or folder, finds its format and opens it. Nothing in the file is executed.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let _ = path;
        unimplemented!()
    }
}
