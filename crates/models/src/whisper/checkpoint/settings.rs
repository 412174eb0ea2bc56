//! The configuration: sizes come from the tensors' shapes, the rest from the files beside them or from the common values of
//! OpenAI's models.

use std::path::Path;

use mynah_core::ModelError;
use mynah_text::whisper_tokenizer::WhisperTokenizer;
use mynah_weights::{read_json, read_side_file};
use serde::Deserialize;

use super::{Contents, alignment_heads, names};
use crate::error;
use crate::whisper::Config;

/// Width of an attention head in all of OpenAI's models.
const HEAD_WIDTH: usize = 64;

/// The fields of `config.json` (Hugging Face's and CTranslate2's) and `generation_config.json` that are used.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Settings {
    model_type: Option<String>,
    activation_function: Option<String>,
    scale_embedding: Option<bool>,
    num_mel_bins: Option<usize>,
    vocab_size: Option<usize>,
    d_model: Option<usize>,
    encoder_layers: Option<usize>,
    decoder_layers: Option<usize>,
    encoder_attention_heads: Option<usize>,
    decoder_attention_heads: Option<usize>,
    #[serde(alias = "suppress_ids")]
    suppress_tokens: Option<Vec<i64>>,
    #[serde(alias = "suppress_ids_begin")]
    begin_suppress_tokens: Option<Vec<i64>>,
    alignment_heads: Option<Vec<(usize, usize)>>,
}

/// Sizes from the tensors' shapes, which must agree with each other. Token lists are still empty.
fn sizes(contents: &Contents, settings: &Settings) -> Result<Config, ModelError> {
    let shape = |name: &str, rank: usize| -> Result<&[usize], ModelError> {
        let refuse = |reason: String| error::tensor(name, reason);
        let shape =
            contents.tensors.shape(name).ok_or_else(|| refuse("the checkpoint has no such tensor".into()))?;
        if shape.len() != rank || shape.contains(&0) {
            return Err(refuse(format!("its shape is {shape:?}, but it needs {rank} sizes above 0")));
        }
        Ok(shape)
    };
    let layers = |side: &str| {
        let has = |layer: &usize| {
            contents.tensors.shape(&format!("model.{side}.layers.{layer}.fc1.weight")).is_some()
        };
        (0..).take_while(has).count()
    };
    let tokens = shape("model.decoder.embed_tokens.weight", 2)?;
    let width = tokens[1];
    let heads = |stated: Option<usize>| stated.unwrap_or((width / HEAD_WIDTH).max(1));
    let config = Config {
        n_mels: shape("model.encoder.conv1.weight", 3)?[1],
        vocab_size: tokens[0],
        width,
        ffn_width: shape("model.encoder.layers.0.fc1.weight", 2)?[0],
        encoder_layers: layers("encoder"),
        encoder_heads: heads(contents.encoder_heads.or(settings.encoder_attention_heads)),
        decoder_layers: layers("decoder"),
        decoder_heads: heads(contents.decoder_heads.or(settings.decoder_attention_heads)),
        audio_positions: shape("model.encoder.embed_positions.weight", 2)?[0],
        text_positions: shape("model.decoder.embed_positions.weight", 2)?[0],
        suppress_tokens: vec![],
        begin_suppress_tokens: vec![],
        alignment_heads: vec![],
    };
    for (name, expected) in names::expected(&config) {
        let found = shape(&name, expected.len())?;
        if found != expected {
            return Err(error::tensor(name, format!("its shape is {found:?} and should be {expected:?}")));
        }
        if let Some(what) = contents.tensors.unreadable(&name) {
            let reason = format!("its numbers are stored as {what}, not as floats");
            return Err(error::tensor(name, reason));
        }
    }
    Ok(config)
}

/// Checks that `config.json` agrees with the tensors.
fn check(path: &Path, config: &Config, settings: &Settings) -> Result<(), ModelError> {
    let malformed = |reason: String| Err(error::malformed(path, reason));
    for (what, stated, found) in [
        ("num_mel_bins", settings.num_mel_bins, config.n_mels),
        ("vocab_size", settings.vocab_size, config.vocab_size),
        ("d_model", settings.d_model, config.width),
        ("encoder_layers", settings.encoder_layers, config.encoder_layers),
        ("decoder_layers", settings.decoder_layers, config.decoder_layers),
    ] {
        if stated.is_some_and(|stated| stated != found) {
            return malformed(format!(
                "config.json says {what} {}, the tensors say {found}",
                stated.unwrap_or(0)
            ));
        }
    }
    for (side, heads) in [("encoder", config.encoder_heads), ("decoder", config.decoder_heads)] {
        if heads == 0 || !config.width.is_multiple_of(heads) {
            return malformed(format!("{heads} {side} heads do not divide the width {}", config.width));
        }
    }
    if settings.model_type.as_deref().is_some_and(|kind| kind != "whisper") {
        let reason =
            format!("config.json says model_type {:?}", settings.model_type.as_deref().unwrap_or_default());
        return Err(error::not_a_checkpoint(path, reason));
    }
    if settings.activation_function.as_deref().is_some_and(|function| function != "gelu")
        || settings.scale_embedding == Some(true)
    {
        return Err(ModelError::Unsupported(format!(
            "{}: config.json asks for an activation other than gelu or for scaled embeddings; no published Whisper does",
            path.display()
        )));
    }
    Ok(())
}

/// Configuration and vocabulary of a checkpoint at `path` whose side files lie in `folder`.
pub(super) fn configure(
    path: &Path,
    folder: Option<&Path>,
    contents: &mut Contents,
) -> Result<(Config, WhisperTokenizer), ModelError> {
    let read = |name| folder.map_or(Ok(None), |folder| read_json::<Settings>(&folder.join(name)));
    let settings = read("config.json")?.unwrap_or_default();
    let generation = read("generation_config.json")?.unwrap_or_default();

    let mut config = sizes(contents, &settings)?;
    check(path, &config, &settings)?;
    let tokenizer = match contents.tokenizer.take() {
        Some(tokenizer) => tokenizer,
        None => read_tokenizer(path, folder, config.vocab_size)?,
    };
    if tokenizer.vocab_size() > config.vocab_size {
        let (tokens, rows) = (tokenizer.vocab_size(), config.vocab_size);
        return Err(error::malformed(path, format!("the vocabulary has {tokens} tokens, the model {rows}")));
    }

    let ids = |list: Option<Vec<i64>>| -> Option<Vec<u32>> {
        let known = |&id: &u32| (id as usize) < config.vocab_size;
        Some(list?.into_iter().filter_map(|id| u32::try_from(id).ok()).filter(known).collect())
    };
    // large-v3 has an empty list although it writes brackets and music notes as the others do, hence the filter.
    let suppressed =
        ids(generation.suppress_tokens.or(settings.suppress_tokens)).filter(|list| !list.is_empty());
    let at_begin = ids(generation.begin_suppress_tokens.or(settings.begin_suppress_tokens));
    let mut suppress_tokens = suppressed.unwrap_or_else(|| tokenizer.non_speech_tokens());
    suppress_tokens.extend(tokenizer.prompt_only_tokens());
    // Rows that only pad the embedding.
    suppress_tokens.extend(tokenizer.vocab_size() as u32..config.vocab_size as u32);
    suppress_tokens.sort_unstable();
    suppress_tokens.dedup();
    config.suppress_tokens = suppress_tokens;
    config.begin_suppress_tokens = at_begin.unwrap_or_else(|| {
        let mut tokens = tokenizer.encode(" ");
        tokens.push(tokenizer.eot());
        tokens
    });
    // Distilled models may have the list of their teacher, which has more layers.
    let within = |heads: &Vec<(usize, usize)>| {
        !heads.is_empty()
            && heads.iter().all(|&(layer, head)| layer < config.decoder_layers && head < config.decoder_heads)
    };
    config.alignment_heads = generation
        .alignment_heads
        .or(settings.alignment_heads)
        .filter(within)
        .unwrap_or_else(|| alignment_heads::built_in(&config));
    Ok((config, tokenizer))
}

/// The vocabulary beside a checkpoint, or the built-in one if there is none.
fn read_tokenizer(
    path: &Path,
    folder: Option<&Path>,
    vocab_size: usize,
) -> Result<WhisperTokenizer, ModelError> {
    type Read = fn(&[u8], usize) -> Result<WhisperTokenizer, String>;
    let readers: [(&str, Read); 4] = [
        ("tokenizer.json", |bytes, _| {
            WhisperTokenizer::from_tokenizer_json(bytes).map_err(|error| error.to_string())
        }),
        ("vocabulary.json", |bytes, size| {
            let tokens: Vec<String> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
            WhisperTokenizer::from_printable_tokens(&tokens, size).map_err(|error| error.to_string())
        }),
        ("vocabulary.txt", |bytes, size| {
            let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
            let tokens: Vec<&str> = text.strip_suffix('\n').unwrap_or(text).split('\n').collect();
            WhisperTokenizer::from_printable_tokens(&tokens, size).map_err(|error| error.to_string())
        }),
        ("vocab.json", |bytes, size| {
            WhisperTokenizer::from_vocab_json(bytes, size).map_err(|error| error.to_string())
        }),
    ];
    if let Some(folder) = folder {
        for (name, read) in readers {
            let path = folder.join(name);
            if let Some(bytes) = read_side_file(&path)? {
                return read(&bytes, vocab_size).map_err(|reason| error::malformed(path, reason));
            }
        }
    }
    WhisperTokenizer::built_in(vocab_size).map_err(|error| error::malformed(path, error.to_string()))
}
