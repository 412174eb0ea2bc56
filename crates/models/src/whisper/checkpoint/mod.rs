//! Whisper checkpoints, in every format people hold, under one set of names.
//!
//! `mynah_weights` reads the files; here is what they mean. Names and layouts are those of Hugging Face
//! (`model.encoder.layers.0.self_attn.q_proj.weight`, `[out, in]` row-major; convolutions `[out, in, width]`), whatever
//! the file says: `formats` maps each format's to those of `names`, `settings` makes the configuration.
//!
//! Opening looks at names and shapes alone, and a tensor is read when it is asked for.

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

/// An opened checkpoint: configuration, vocabulary and tensors that are read when asked for. All tensors of the
/// configuration are there and have the shapes it says.
pub struct Checkpoint {
    /// Which format was found.
    pub format: Format,
    /// Sizes and token lists.
    pub config: Config,
    /// Vocabulary.
    pub tokenizer: WhisperTokenizer,
    /// Tensors by their canonical names: `model.encoder.*` and `model.decoder.*`; `proj_out.weight` only if that differs
    /// from `model.decoder.embed_tokens.weight`, to which it is tied otherwise.
    pub tensors: Tensors,
}

/// What a format's files hold, under canonical names.
struct Contents {
    format: Format,
    tensors: Tensors,
    encoder_heads: Option<usize>,
    decoder_heads: Option<usize>,
    tokenizer: Option<WhisperTokenizer>,
}

impl Checkpoint {
    /// Looks at a file or folder, finds its format and opens it. Nothing in the file is executed.
    ///
    /// # Errors
    /// [`ModelError::Weights`] if no format is recognised or the checkpoint is damaged or incomplete, [`ModelError::Unsupported`] if
    /// it asks for what no Whisper does.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let mut contents = formats::read(Weights::open(path)?)?;
        // A ggml or OpenAI file has all in itself; what lies beside it may belong to another model.
        let folder = if path.is_dir() { Some(path) } else { path.parent() };
        let folder = folder.filter(|_| !matches!(contents.format, Format::Ggml | Format::OpenaiPt));
        untie(&mut contents.tensors)?;
        positions::add(&mut contents.tensors);
        let (config, tokenizer) = settings::configure(path, folder, &mut contents)?;
        Ok(Self { format: contents.format, config, tokenizer, tensors: contents.tensors })
    }
}

/// Whether the file or folder at `path` is a Whisper checkpoint: the `config.json` beside its weights says so, or, where that
/// says nothing, the names of its tensors. A file in the format of OpenAI or whisper.cpp has all in itself; what lies beside it
/// may belong to another model.
///
/// # Errors
/// [`ModelError::Weights`] if it holds weights that cannot be read, and no configuration says what they are.
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

/// Drops an output projection that says the same as the embedding.
fn untie(tensors: &mut Tensors) -> Result<(), ModelError> {
    if tensors.same("proj_out.weight", "model.decoder.embed_tokens.weight")? {
        tensors.remove("proj_out.weight");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
