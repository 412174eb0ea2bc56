//! Whisper checkpoints in all supported formats, under one set of names.
//!
//! `mynah_weights` reads the files; this module interprets them. Names and layouts are those of Hugging Face
//! (`model.encoder.layers.0.self_attn.q_proj.weight`, `[out, in]` row-major; convolutions `[out, in, width]`) for every
//! format: `formats` maps each format's names to those of `names`, and `settings` derives the configuration.
//!
//! Opening reads only names and shapes; a tensor is read when it is needed.

mod alignment_heads;
mod formats;
mod names;
mod positions;
mod settings;

use std::path::Path;

use mynah_core::ModelError;
use mynah_text::whisper_tokenizer::WhisperTokenizer;
use mynah_weights::{Tensors, Weights, has_weights, read_json};
use serde::Deserialize;

use super::Config;

/// The formats that Whisper models come in.
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

/// An opened checkpoint: configuration, vocabulary, and tensors that are read on demand. All tensors that the configuration
/// requires are present and have its shapes.
pub struct Checkpoint {
    /// The detected format.
    pub format: Format,
    /// Sizes and token lists.
    pub config: Config,
    /// Vocabulary.
    pub tokenizer: WhisperTokenizer,
    /// Tensors by their canonical names: `model.encoder.*` and `model.decoder.*`; `proj_out.weight` only if that differs
    /// from `model.decoder.embed_tokens.weight`, to which it is tied otherwise.
    pub tensors: Tensors,
}

/// Contents of a format's files, under canonical names.
struct Contents {
    format: Format,
    tensors: Tensors,
    encoder_heads: Option<usize>,
    decoder_heads: Option<usize>,
    tokenizer: Option<WhisperTokenizer>,
}

impl Checkpoint {
    /// Detects the format of a file or folder and opens it. Nothing in the file is executed.
    ///
    /// # Errors
    /// [`ModelError::Weights`] if no format is recognised or the checkpoint is damaged or incomplete, [`ModelError::Unsupported`] if
    /// its configuration differs from that of all published Whisper models.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let mut contents = formats::read(Weights::open(path)?)?;
        // A ggml or OpenAI file is self-contained; the files beside it may belong to another model.
        let folder = if path.is_dir() { Some(path) } else { path.parent() };
        let folder = folder.filter(|_| !matches!(contents.format, Format::Ggml | Format::OpenaiPt));
        untie(&mut contents.tensors)?;
        positions::add(&mut contents.tensors);
        let (config, tokenizer) = settings::configure(path, folder, &mut contents)?;
        Ok(Self { format: contents.format, config, tokenizer, tensors: contents.tensors })
    }
}

/// Whether the file or folder at `path` is a Whisper checkpoint, by the `model_type` of the `config.json` beside its weights, or,
/// without one, by the names of its tensors. A file in the format of OpenAI or whisper.cpp is self-contained; the files beside
/// it may belong to another model.
///
/// # Errors
/// [`ModelError::Weights`] if it has weights that cannot be read and no configuration that identifies them.
pub(super) fn is_at(path: &Path) -> Result<bool, ModelError> {
    #[derive(Deserialize)]
    struct Config {
        model_type: Option<String>,
    }
    let folder = if path.is_dir() { Some(path) } else { path.parent() };
    let config = folder.and_then(|folder| read_json::<Config>(&folder.join("config.json")).ok().flatten());
    let model_type = config.and_then(|config| config.model_type);
    if !has_weights(path) || model_type.as_deref() == Some("whisper") {
        return Ok(has_weights(path));
    }
    let contents = || formats::read(Weights::open(path)?);
    let is_whisper =
        |contents: &Contents| contents.tensors.shape("model.decoder.embed_tokens.weight").is_some();
    let is_self_contained =
        |contents: &Contents| matches!(contents.format, Format::Ggml | Format::OpenaiPt) && path.is_file();
    match model_type {
        None => contents().map(|contents| is_whisper(&contents)),
        Some(_) => Ok(contents().is_ok_and(|contents| is_self_contained(&contents) && is_whisper(&contents))),
    }
}

/// Drops an output projection that equals the embedding.
fn untie(tensors: &mut Tensors) -> Result<(), ModelError> {
    if tensors.same("proj_out.weight", "model.decoder.embed_tokens.weight")? {
        tensors.remove("proj_out.weight");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
