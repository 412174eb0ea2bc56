//! Interprets each format's files: canonical names, and the sizes and vocabulary that some formats include.

use std::path::{Path, PathBuf};

use mynah_core::ModelError;
use mynah_text::whisper_tokenizer::WhisperTokenizer;
use mynah_weights::torch::Root;
use mynah_weights::{Metadata, Tensors, Weights, ctranslate2, ggml, torch};

use super::names::{from_ctranslate2, from_hugging_face, from_openai};
use super::{Contents, Format};
use crate::error;

/// Maps opened files to canonical names.
pub(super) fn read(weights: Weights) -> Result<Contents, ModelError> {
    let Weights { path, metadata, tensors } = weights;
    match metadata {
        Metadata::Safetensors => Ok(Contents::new(Format::Safetensors, from_transformers(tensors))),
        Metadata::Torch(header) => read_torch(path, &header, tensors),
        Metadata::Ggml(header) => read_ggml(&path, &header, tensors),
        Metadata::CTranslate2(header) => read_ctranslate2(&path, &header, tensors),
    }
}

impl Contents {
    fn new(format: Format, tensors: Tensors) -> Self {
        Self { format, tensors, encoder_heads: None, decoder_heads: None, tokenizer: None }
    }
}

fn from_transformers(tensors: Tensors) -> Tensors {
    tensors.into_iter().map(|(name, tensor)| (from_hugging_face(&name), tensor)).collect()
}

/// Hugging Face's state dicts, and openai-whisper's files, which have a `model_state_dict` or OpenAI's names.
fn read_torch(path: PathBuf, header: &torch::Header, tensors: Tensors) -> Result<Contents, ModelError> {
    let is_openai = match header.root {
        Root::Tensor => return Err(error::malformed(path, "it has no dictionary of tensors")),
        Root::ModelStateDict => true,
        Root::StateDict => tensors.names().any(|name| name.starts_with("encoder.blocks.")),
    };
    let named = if is_openai {
        tensors.into_iter().filter_map(|(name, tensor)| Some((from_openai(&name)?, tensor))).collect()
    } else {
        from_transformers(tensors)
    };
    let heads = |name: &str| usize::try_from(*header.numbers.get(name)?).ok();
    Ok(Contents {
        encoder_heads: heads("dims.n_audio_head"),
        decoder_heads: heads("dims.n_text_head"),
        ..Contents::new(if is_openai { Format::OpenaiPt } else { Format::PytorchBin }, named)
    })
}

/// whisper.cpp's files have OpenAI's names and the vocabulary.
fn read_ggml(path: &Path, header: &ggml::Header, tensors: Tensors) -> Result<Contents, ModelError> {
    let [vocab_size, _, _, encoder_heads, _, _, _, decoder_heads, ..] =
        header.numbers.map(|number| number as usize);
    let tokens: Vec<&[u8]> = header.tokens.iter().map(Vec::as_slice).collect();
    let tokenizer = WhisperTokenizer::from_vocabulary_tokens(&tokens, vocab_size)
        .map_err(|error| error::malformed(path, error.to_string()))?;
    let named = tensors.into_iter().filter_map(|(name, tensor)| {
        let name = from_openai(&name)?;
        // The biases of the convolutions are stored as columns.
        match *tensor.shape() {
            [rows, 1] => Some((name, tensor.with_shape(vec![rows]))),
            _ => Some((name, tensor)),
        }
    });
    Ok(Contents {
        encoder_heads: Some(encoder_heads),
        decoder_heads: Some(decoder_heads),
        tokenizer: Some(tokenizer),
        ..Contents::new(Format::Ggml, named.collect())
    })
}

/// CTranslate2 fuses projections of the same input by stacking their rows.
fn read_ctranslate2(
    path: &Path,
    header: &ctranslate2::Header,
    tensors: Tensors,
) -> Result<Contents, ModelError> {
    const SPECIFICATION: &str = "WhisperSpec";
    if header.specification != SPECIFICATION {
        return Err(error::not_a_checkpoint(
            path,
            format!("it is a CTranslate2 model of kind {}, not {SPECIFICATION}", header.specification),
        ));
    }
    let malformed = |reason: String| error::malformed(path, reason);
    let mut named = Tensors::default();
    for (name, tensor) in tensors {
        let targets = from_ctranslate2(&name);
        if targets.is_empty() {
            continue;
        }
        let &[rows, ..] = tensor.shape() else {
            return Err(malformed(format!("{name} is a single number")));
        };
        let parts = tensor.split(targets.len());
        let parts = parts
            .ok_or_else(|| malformed(format!("{name} has {rows} rows for {} projections", targets.len())))?;
        let kept = targets.into_iter().zip(parts).filter_map(|(target, part)| Some((target?, part)));
        named.extend(kept);
    }
    let heads = |name: &str| usize::try_from(*header.numbers.get(name)?).ok();
    Ok(Contents {
        encoder_heads: heads("encoder/num_heads"),
        decoder_heads: heads("decoder/num_heads"),
        ..Contents::new(Format::CTranslate2, named)
    })
}
