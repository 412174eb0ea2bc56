//! The padding's keys and values on disk, so that the first short clip of a process need not compute them.
//!
//! A safetensors file with the packed numbers. It is only a cache: a file that belongs to another checkpoint, is damaged or
//! cannot be written is ignored.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use half::f16;
use mynah_core::ComputeType;
use mynah_kernels::attention::KeyValues;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::Config;
use super::key_values::{AudioKeyValues, POOL_CROSS, POOL_ENCODER};
use super::padding::Padding;

/// Incremented whenever the stored numbers change: by the packing, the padding or the arithmetic.
const VERSION: u32 = 4;

/// The cached padding of a checkpoint, and the state of the checkpoint's files that it belongs to.
pub(super) struct PaddingFile {
    path: PathBuf,
    /// The checkpoint's files with their sizes and times, and the precision.
    identity: String,
}

impl PaddingFile {
    /// The file in `folder` for a checkpoint; `None` if the checkpoint's files cannot be listed.
    pub(super) fn new(folder: &Path, checkpoint: &Path, compute: ComputeType) -> Option<Self> {
        let checkpoint = checkpoint.canonicalize().ok()?;
        let mut files = Vec::new();
        if checkpoint.is_dir() {
            for entry in fs::read_dir(&checkpoint).ok()? {
                let path = entry.ok()?.path();
                files.push((path.file_name()?.to_string_lossy().into_owned(), fs::metadata(&path).ok()?));
            }
            files.sort_by(|a, b| a.0.cmp(&b.0));
        } else {
            files.push((String::new(), fs::metadata(&checkpoint).ok()?));
        }
        let files: Vec<String> = files.iter().map(|(name, metadata)| describe(name, metadata)).collect();
        let name = format!("{} {compute:?}", checkpoint.display());
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        Some(Self {
            path: folder.join(format!("padding-{:016x}.safetensors", hasher.finish())),
            identity: format!("{VERSION} {name} {}", files.join(" ")),
        })
    }

    /// The cached padding, if it belongs to this checkpoint and model.
    pub(super) fn read(&self, config: &Config) -> Option<Padding> {
        let bytes = fs::read(&self.path).ok()?;
        let (_, metadata) = SafeTensors::read_metadata(&bytes).ok()?;
        if metadata.metadata().as_ref()?.get("identity")? != &self.identity {
            return None;
        }
        let tensors = SafeTensors::deserialize(&bytes).ok()?;
        let layers = |side: &str, layers: usize, heads: usize, pool: usize| {
            let layer = |l: usize| {
                let keys = tensors.tensor(&format!("{side}.{l}.keys")).ok()?;
                let values = tensors.tensor(&format!("{side}.{l}.values")).ok()?;
                unpack(heads, config.width / heads, config.audio_positions.div_ceil(pool), &keys, &values)
            };
            (0..layers).map(layer).collect::<Option<Vec<_>>>()
        };
        Some(Padding {
            encoder: layers("encoder", config.encoder_layers, config.encoder_heads, POOL_ENCODER)?,
            cross: layers("cross", config.decoder_layers, config.decoder_heads, POOL_CROSS)?,
        })
    }

    /// Stores the padding for the next process.
    pub(super) fn write(&self, padding: &Padding) -> io::Result<()> {
        let sides = [("encoder", &padding.encoder), ("cross", &padding.cross)];
        let packed: Vec<(String, Dtype, Vec<u8>)> = sides
            .into_iter()
            .flat_map(|(side, layers)| {
                layers.iter().enumerate().map(move |(l, kv)| (format!("{side}.{l}"), kv))
            })
            .flat_map(|(name, kv)| {
                let (dtype, keys, values) = bytes(kv);
                [(format!("{name}.keys"), dtype, keys), (format!("{name}.values"), dtype, values)]
            })
            .collect();
        let views = packed
            .iter()
            .map(|(name, dtype, bytes)| {
                let count = bytes.len() * 8 / dtype.bitsize();
                TensorView::new(*dtype, vec![count], bytes).map(|view| (name, view))
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(io::Error::other)?;
        let metadata = HashMap::from([("identity".to_owned(), self.identity.clone())]);
        let folder = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        // Written to a temporary file and renamed, so that no reader sees a partial file.
        let partial = self.path.with_extension(format!("{}.part", std::process::id()));
        safetensors::serialize_to_file(views, Some(metadata), &partial)
            .map_err(io::Error::other)
            .and_then(|()| fs::rename(&partial, &self.path))
            .inspect_err(|_| {
                let _ = fs::remove_file(&partial);
            })
    }
}

fn describe(name: &str, metadata: &Metadata) -> String {
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    format!("{name}:{}:{}", metadata.len(), modified.unwrap_or_default().as_nanos())
}

fn unpack(
    heads: usize,
    head_dim: usize,
    positions: usize,
    keys: &TensorView<'_>,
    values: &TensorView<'_>,
) -> Option<AudioKeyValues> {
    match (keys.dtype(), values.dtype()) {
        (Dtype::F32, Dtype::F32) => {
            let read = |tensor: &TensorView<'_>| {
                tensor.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
            };
            KeyValues::from_packed(heads, head_dim, positions, read(keys), read(values))
                .map(AudioKeyValues::F32)
        }
        (Dtype::F16, Dtype::F16) => {
            let read = |tensor: &TensorView<'_>| {
                tensor.data().as_chunks().0.iter().map(|b| f16::from_le_bytes(*b)).collect()
            };
            KeyValues::from_packed(heads, head_dim, positions, read(keys), read(values))
                .map(AudioKeyValues::F16)
        }
        _ => None,
    }
}

fn bytes(kv: &AudioKeyValues) -> (Dtype, Vec<u8>, Vec<u8>) {
    match kv {
        AudioKeyValues::F32(kv) => {
            let (keys, values) = kv.packed();
            let bytes = |numbers: &[f32]| numbers.iter().flat_map(|v| v.to_le_bytes()).collect();
            (Dtype::F32, bytes(keys), bytes(values))
        }
        AudioKeyValues::F16(kv) => {
            let (keys, values) = kv.packed();
            let bytes = |numbers: &[f16]| numbers.iter().flat_map(|v| v.to_le_bytes()).collect();
            (Dtype::F16, bytes(keys), bytes(values))
        }
    }
}
