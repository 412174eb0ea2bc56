//! Whisper checkpoints on disk, in every format people hold, behind one set of names; and single files of tensors under
//! the names they have, for other models (`plain`).
//!
//! Names and layouts are those of Hugging Face (`model.encoder.layers.0.self_attn.q_proj.weight`, `[out, in]`
//! row-major; convolutions `[out, in, width]`), whatever the file says.
//!
//! Opening looks at names and shapes alone, and a tensor is read when it is asked for. A file that is cut short or written
//! to meanwhile is an error. Files are not trusted: all lengths are checked before anything is allocated, and nothing in them is executed.

mod alignment_heads;
#[path = "../../../../weights/src/archive.rs"]
mod archive;
#[path = "../../../../weights/src/blocks.rs"]
mod blocks;
#[path = "../../../../weights/src/chunks.rs"]
mod chunks;
#[path = "../../../../weights/src/ctranslate2.rs"]
mod ctranslate2;
#[path = "../../../../weights/src/cursor.rs"]
mod cursor;
#[path = "../../../../weights/src/ggml.rs"]
mod ggml;
mod names;
#[path = "../../../../weights/src/pickle.rs"]
mod pickle;
#[path = "../../../../weights/src/state_dict.rs"]
mod plain;
#[path = "../../../../weights/src/safetensors.rs"]
mod safetensors;
mod settings;
#[path = "../../../../weights/src/tensors.rs"]
mod source;
#[path = "../../../../weights/src/torch.rs"]
mod torch;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use mynah_text::whisper_tokenizer::WhisperTokenizer;
use serde::Deserialize;

pub(crate) use self::plain::{open_bytes, open_file};
use self::source::{Opened, Tensors};
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

/// A tensor's numbers as they are stored, and how that is.
pub type Raw<'a> = (Dtype, Cow<'a, [u8]>);

/// Where tensors come from.
///
/// A checkpoint has `model.encoder.*` and `model.decoder.*`; it has `proj_out.weight` only if that differs from
/// `model.decoder.embed_tokens.weight`, to which it is tied otherwise.
pub trait TensorSource: Send + Sync {
    /// Canonical names of all tensors, sorted.
    fn names(&self) -> Vec<String>;

    /// Shape of a tensor by its canonical name, `None` if the checkpoint lacks it.
    fn shape(&self, name: &str) -> Option<Vec<usize>>;

    /// How the tensor is stored (quantised formats report what they expand to).
    fn dtype(&self, name: &str) -> Option<Dtype>;

    /// The tensor's numbers as they are stored, little endian, row-major, at any alignment; `None` if it is missing or
    /// quantised. They are read from the file at each call.
    ///
    /// # Errors
    /// The file cannot be read, or was written to since it was opened.
    fn raw(&self, name: &str) -> Result<Option<Raw<'_>>, Error>;

    /// The tensor's numbers as f32, row-major, in its canonical shape.
    ///
    /// # Errors
    /// As [`raw`](Self::raw), or the checkpoint has no such tensor.
    fn read_f32(&self, name: &str) -> Result<Vec<f32>, Error>;
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
    /// Tensors.
    pub tensors: Box<dyn TensorSource>,
}

/// What a format's reader finds in the file itself.
#[derive(Default)]
struct Contents {
    tensors: Tensors,
    encoder_heads: Option<usize>,
    decoder_heads: Option<usize>,
    tokenizer: Option<WhisperTokenizer>,
}

impl Checkpoint {
    /// Looks at a file or folder, finds its format and opens it. Nothing in the file is executed.
    ///
    /// # Errors
    /// [`Error::NotACheckpoint`] if no format is recognised, [`Error::Malformed`] or [`Error::Tensor`] if the checkpoint
    /// is damaged or incomplete, [`Error::Unsupported`] if it asks for what no Whisper does.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let weights = if path.is_dir() { find_weights(path)? } else { Weights::File(path.to_owned()) };
        let folder = if path.is_dir() { Some(path) } else { path.parent() };
        let (format, mut contents) = match &weights {
            Weights::File(file) => read_file(file)?,
            Weights::Shards(index) => read_shards(index)?,
        };
        // A ggml or OpenAI file has all in itself; what lies beside it may belong to another model.
        let folder = folder.filter(|_| !matches!(format, Format::Ggml | Format::OpenaiPt));
        complete(&mut contents.tensors)?;
        let (config, tokenizer) = settings::configure(path, folder, &mut contents)?;
        Ok(Self { format, config, tokenizer, tensors: Box::new(contents.tensors) })
    }
}

enum Weights {
    File(PathBuf),
    /// Path of the index of a sharded checkpoint.
    Shards(PathBuf),
}

/// Finds the weights of a folder.
fn find_weights(folder: &Path) -> Result<Weights, Error> {
    for name in ["model.bin", "model.safetensors", "model.safetensors.index.json"]
        .into_iter()
        .chain(["pytorch_model.bin", "pytorch_model.bin.index.json"])
    {
        let path = folder.join(name);
        if path.is_file() {
            return Ok(if name.ends_with(".json") { Weights::Shards(path) } else { Weights::File(path) });
        }
    }
    // Under no usual name: the only file of a usual kind.
    let entries = folder.read_dir().map_err(|source| Error::Io { path: folder.to_owned(), source })?;
    let is_weights = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("safetensors" | "bin" | "pt")) && path.is_file()
    };
    let mut files: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_weights).collect();
    match (files.pop(), files.len()) {
        (Some(file), 0) => Ok(Weights::File(file)),
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

fn not_a_checkpoint(path: &Path, reason: impl Into<String>) -> Error {
    Error::NotACheckpoint { path: path.to_owned(), reason: reason.into() }
}

/// Recognises a file by how it begins and reads its table of contents.
fn read_file(path: &Path) -> Result<(Format, Contents), Error> {
    let file = Opened::open(path)?;
    let mut contents = Contents::default();
    let head = file.head()?;
    let format = if safetensors::is_safetensors(head) {
        safetensors::read(&file, &mut contents.tensors, names::from_hugging_face)?;
        Format::Safetensors
    } else if ctranslate2::is_ctranslate2(head) {
        contents = ctranslate2::read(&file)?;
        Format::CTranslate2
    } else if ggml::is_ggml(head) {
        contents = ggml::read(&file)?;
        Format::Ggml
    } else if torch::is_torch(head) {
        return torch::read(&file, torch::Naming::Whisper);
    } else {
        return Err(not_a_checkpoint(
            path,
            "it begins like none of the formats safetensors, CTranslate2, ggml, PyTorch or OpenAI .pt",
        ));
    };
    Ok((format, contents))
}

/// The index of a sharded checkpoint: which file has which tensor.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

fn read_shards(index: &Path) -> Result<(Format, Contents), Error> {
    let folder = index.parent().unwrap_or(Path::new("."));
    let name = index.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let malformed = |reason: String| Error::Malformed { path: index.to_owned(), reason };
    let map = settings::read_json::<Index>(folder, name)?
        .ok_or_else(|| malformed("it has vanished".into()))?
        .weight_map;
    let mut all = Contents::default();
    let mut format = None;
    for shard in map.values().collect::<BTreeSet<_>>() {
        if Path::new(shard).file_name() != Some(shard.as_ref()) {
            return Err(malformed(format!("shard {shard:?} is no plain file name")));
        }
        let (found, contents) = read_file(&folder.join(shard))?;
        if *format.get_or_insert(found) != found {
            return Err(malformed(format!("shard {shard} has another format than those before it")));
        }
        all.tensors.append(contents.tensors);
    }
    for (tensor, shard) in &map {
        if all.tensors.shape(&names::from_hugging_face(tensor)).is_none() {
            return Err(malformed(format!("tensor {tensor} is not in {shard}, nor in another shard")));
        }
    }
    let format = format.ok_or_else(|| malformed("it lists no shard".into()))?;
    Ok((format, all))
}

/// Drops an output projection that says the same as the embedding, and computes positions that are not stored.
fn complete(tensors: &mut Tensors) -> Result<(), Error> {
    const EMBEDDING: &str = "model.decoder.embed_tokens.weight";
    const POSITIONS: &str = "model.encoder.embed_positions.weight";
    if tensors.same("proj_out.weight", EMBEDDING)? {
        tensors.remove("proj_out.weight");
    }
    if tensors.shape(POSITIONS).is_none()
        && let Some([width, ..]) = tensors.shape("model.encoder.conv1.weight").as_deref()
        && *width <= MAX_WIDTH
    {
        let values = sinusoids(AUDIO_POSITIONS, *width);
        tensors.insert_f32(POSITIONS.into(), vec![AUDIO_POSITIONS, *width], &values);
    }
    Ok(())
}

/// Encoder positions of every Whisper model: 30 s of 20 ms.
const AUDIO_POSITIONS: usize = 1500;
/// No model is as wide; bounds what a damaged file makes us compute.
const MAX_WIDTH: usize = 1 << 14;

/// The encoder's positional embedding, `[positions, width]`: sines, then cosines, of wavelengths from 2 pi to
/// 10000 * 2 pi in geometric progression.
fn sinusoids(positions: usize, width: usize) -> Vec<f32> {
    let half = width / 2;
    let step = f64::ln(10_000.0) / (half.max(2) - 1) as f64;
    let angle =
        |position: usize, index: usize| position as f64 * (-step * (index % half.max(1)) as f64).exp();
    let value = |position, index| match index {
        _ if index < half => angle(position, index).sin() as f32,
        _ => angle(position, index - half).cos() as f32,
    };
    (0..positions).flat_map(|position| (0..width).map(move |index| value(position, index))).collect()
}

#[cfg(test)]
pub(crate) mod tests;
