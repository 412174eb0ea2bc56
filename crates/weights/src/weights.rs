//! Finds the weights at a path and reads them in any supported format.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::discriminant;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::opened::Opened;
use crate::{Error, Tensors, ctranslate2, ggml, read_json, safetensors, torch};

/// Open weights, from one file or several shards.
pub struct Weights {
    /// The file, or the index of the shards.
    pub path: PathBuf,
    /// The detected format and the file's metadata; of shards, that of the first.
    pub metadata: Metadata,
    /// All tensors, under the names in the files.
    pub tensors: Tensors,
}

/// A format and its metadata.
#[derive(Clone, Debug, PartialEq)]
pub enum Metadata {
    /// safetensors, whose metadata are not read.
    Safetensors,
    /// A file saved by PyTorch.
    Torch(torch::Header),
    /// ggml as written by whisper.cpp.
    Ggml(ggml::Header),
    /// CTranslate2's `model.bin`.
    CTranslate2(ctranslate2::Header),
}

impl Weights {
    /// Opens a file of weights, or those of a folder: CTranslate2's `model.bin`, Hugging Face's `model.safetensors` or
    /// `pytorch_model.bin`, sharded or not, or the only file with a usual extension. Formats are detected by content.
    ///
    /// # Errors
    /// [`Error::NotACheckpoint`] if there are none or the format is unknown, [`Error::Malformed`] if a file is damaged,
    /// [`Error::Unsupported`] for an unsupported part of a format, [`Error::Io`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let found = if path.is_dir() { find(path)? } else { Found::File(path.to_owned()) };
        match found {
            Found::File(file) => {
                let (metadata, tensors) = read_file(&file)?;
                Ok(Self { path: file, metadata, tensors })
            }
            Found::Shards(index) => read_shards(index),
        }
    }
}

/// Whether there are weights at a path, judged by file names and first bytes. Whether they are valid is checked when they
/// are opened.
pub fn has_weights(path: &Path) -> bool {
    let is_recognised =
        |file: &Path| Opened::open(file).and_then(|file| file.head().map(is_known_format)).unwrap_or(false);
    match path.is_dir() {
        false => path.is_file() && (has_weights_extension(path) || is_recognised(path)),
        true => path.read_dir().is_ok_and(|mut entries| {
            entries.any(|entry| entry.is_ok_and(|entry| has_weights_extension(&entry.path())))
        }),
    }
}

fn is_known_format(head: &[u8]) -> bool {
    safetensors::is_safetensors(head)
        || ctranslate2::is_ctranslate2(head)
        || ggml::is_ggml(head)
        || torch::is_torch(head)
}

fn has_weights_extension(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("safetensors" | "bin" | "pt")) && path.is_file()
}

enum Found {
    File(PathBuf),
    /// Path of the index of a sharded checkpoint.
    Shards(PathBuf),
}

/// Finds the weights of a folder.
fn find(folder: &Path) -> Result<Found, Error> {
    for name in ["model.bin", "model.safetensors", "model.safetensors.index.json"]
        .into_iter()
        .chain(["pytorch_model.bin", "pytorch_model.bin.index.json"])
    {
        let path = folder.join(name);
        if path.is_file() {
            return Ok(if name.ends_with(".json") { Found::Shards(path) } else { Found::File(path) });
        }
    }
    // Without a usual name: the only file with a usual extension.
    let entries = folder.read_dir().map_err(|source| Error::Io { path: folder.to_owned(), source })?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<PathBuf> = paths.filter(|path| has_weights_extension(path)).collect();
    match (files.pop(), files.len()) {
        (Some(file), 0) => Ok(Found::File(file)),
        (None, _) => Err(not_a_checkpoint(
            folder,
            "the folder has no model.bin, model.safetensors or pytorch_model.bin (with .index.json if sharded), no ggml .bin \
             and no .pt file",
        )),
        _ => Err(not_a_checkpoint(
            folder,
            "the folder has several files that could be weights; name one of them",
        )),
    }
}

pub(crate) fn not_a_checkpoint(path: &Path, reason: impl Into<String>) -> Error {
    Error::NotACheckpoint { path: path.to_owned(), reason: reason.into() }
}

/// Detects a file's format by its first bytes and reads its table of contents.
fn read_file(path: &Path) -> Result<(Metadata, Tensors), Error> {
    let file = Opened::open(path)?;
    let head = file.head()?;
    if safetensors::is_safetensors(head) {
        Ok((Metadata::Safetensors, safetensors::read(&file)?))
    } else if ctranslate2::is_ctranslate2(head) {
        let (header, tensors) = ctranslate2::read(&file)?;
        Ok((Metadata::CTranslate2(header), tensors))
    } else if ggml::is_ggml(head) {
        let (header, tensors) = ggml::read(&file)?;
        Ok((Metadata::Ggml(header), tensors))
    } else if torch::is_torch(head) {
        let (header, tensors) = torch::read(&file)?;
        Ok((Metadata::Torch(header), tensors))
    } else {
        Err(not_a_checkpoint(
            path,
            "it has none of the formats safetensors, CTranslate2, ggml, PyTorch and OpenAI .pt",
        ))
    }
}

/// The index of a sharded checkpoint: the file of each tensor.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

fn read_shards(path: PathBuf) -> Result<Weights, Error> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let malformed = |reason: String| Error::Malformed { path: path.clone(), reason };
    let map = read_json::<Index>(&path)?.ok_or_else(|| malformed("it no longer exists".into()))?.weight_map;
    let mut all = Tensors::default();
    let mut first: Option<Metadata> = None;
    for shard in map.values().collect::<BTreeSet<_>>() {
        if Path::new(shard).file_name() != Some(shard.as_ref()) {
            return Err(malformed(format!("shard {shard:?} is not a plain file name")));
        }
        let (metadata, tensors) = read_file(&folder.join(shard))?;
        match &first {
            None => first = Some(metadata),
            Some(first) if discriminant(first) == discriminant(&metadata) => {}
            Some(_) => {
                return Err(malformed(format!("shard {shard} has another format than those before it")));
            }
        }
        all.extend(tensors);
    }
    for (tensor, shard) in &map {
        if all.shape(tensor).is_none() {
            return Err(malformed(format!("tensor {tensor} is not in {shard}, nor in another shard")));
        }
    }
    let metadata = first.ok_or_else(|| malformed("it lists no shards".into()))?;
    Ok(Weights { path, metadata, tensors: all })
}
