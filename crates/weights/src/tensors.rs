//! Tensors in files: where each lies, how it is stored, and how it becomes f32.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use super::blocks::Block;
use super::chunks::Chunks;
use super::{Dtype, Raw, TensorSource};
use crate::Error;

/// Bounds memory: the largest model has about 1300.
const MAX_TENSORS: usize = 100_000;

/// Bytes of a table of contents, at most; the largest models' have some three million.
const MAX_TABLE_BYTES: usize = 64 << 20;

/// A file whose table of contents is being read, or bytes that came otherwise.
pub(super) struct Opened {
    origin: Arc<Origin>,
    length: usize,
    /// What was read of the table.
    table: Chunks,
}

/// Where the numbers of tensors are read from.
struct Origin {
    path: PathBuf,
    kept: Kept,
}

enum Kept {
    /// An open file, and what it was when it was opened.
    File(File, Version),
    Memory(Vec<u8>),
}

/// Tells a file from one that was written to since.
type Version = (u64, Option<SystemTime>);

fn version(file: &File) -> io::Result<Version> {
    let metadata = file.metadata()?;
    Ok((metadata.len(), metadata.modified().ok()))
}

impl Origin {
    /// A range that lies within it. Files are read, not mapped: whoever cuts a mapped file short ends its reader with a
    /// bus error, whoever does so here gives it an error.
    fn read(&self, range: Range<usize>) -> Result<Cow<'_, [u8]>, Error> {
        let (file, opened) = match &self.kept {
            Kept::Memory(bytes) => return Ok(Cow::Borrowed(&bytes[range])),
            Kept::File(file, opened) => (file, opened),
        };
        let mut bytes = vec![0; range.len()];
        let read = file.read_exact_at(&mut bytes, range.start as u64);
        match read.and_then(|()| version(file)) {
            Ok(now) if now == *opened => Ok(Cow::Owned(bytes)),
            Err(source) if source.kind() != io::ErrorKind::UnexpectedEof => {
                Err(Error::Io { path: self.path.clone(), source })
            }
            _ => {
                let reason =
                    "it was written to while it was read; replace checkpoints by renaming".to_owned();
                Err(Error::Malformed { path: self.path.clone(), reason })
            }
        }
    }
}

impl Opened {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        let version = version(&file).map_err(io)?;
        let length = usize::try_from(version.0).unwrap_or(usize::MAX);
        let origin = Origin { path: path.to_owned(), kept: Kept::File(file, version) };
        Ok(Self { origin: Arc::new(origin), length, table: Chunks::default() })
    }

    /// Bytes as if they were the contents of a file called `name`.
    pub(super) fn from_bytes(name: &str, bytes: Vec<u8>) -> Self {
        let length = bytes.len();
        let origin = Origin { path: name.into(), kept: Kept::Memory(bytes) };
        Self { origin: Arc::new(origin), length, table: Chunks::default() }
    }

    /// Bytes in all.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// A part of the table of contents.
    pub(super) fn part(&self, range: Range<usize>) -> Result<&[u8], Error> {
        if range.start > range.end || range.end > self.length {
            return Err(self.malformed(format!("bytes {range:?} lie outside its {} bytes", self.length)));
        }
        if let Kept::Memory(bytes) = &self.origin.kept {
            return Ok(&bytes[range]);
        }
        let too_large =
            || self.malformed(format!("its table of contents takes more than {MAX_TABLE_BYTES} bytes"));
        if self.table.bytes() + range.len() > MAX_TABLE_BYTES {
            return Err(too_large());
        }
        self.table.keep(self.origin.read(range)?.into_owned()).map_err(|_| too_large())
    }

    /// As much of its beginning as tells formats apart.
    pub(super) fn head(&self) -> Result<&[u8], Error> {
        self.part(0..self.length.min(64))
    }

    /// The error of a file that is damaged.
    pub(super) fn malformed(&self, reason: impl Into<String>) -> Error {
        Error::Malformed { path: self.origin.path.clone(), reason: reason.into() }
    }
}

/// How numbers are stored.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Encoding {
    /// Plain floats.
    Float(Dtype),
    /// Signed bytes, divided by the scale of their row (or by the only one).
    Int8(Arc<[f32]>),
    /// Signed 16-bit integers, divided likewise.
    Int16(Arc<[f32]>),
    /// Blocks of 32 quantised numbers.
    Block(Block),
    /// Something that is no weight of ours, by its name.
    Other(String),
}

impl Encoding {
    /// Bytes that `count` numbers take; `None` if that cannot be.
    pub(super) fn size(&self, count: usize) -> Option<usize> {
        match self {
            Self::Float(Dtype::F32) => count.checked_mul(4),
            Self::Float(Dtype::F16 | Dtype::Bf16) | Self::Int16(_) => count.checked_mul(2),
            Self::Int8(_) => Some(count),
            Self::Block(block) => block.size(count),
            Self::Other(_) => Some(0),
        }
    }
}

/// Number of elements of a shape, `None` if it overflows.
pub(super) fn element_count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size))
}

enum Place {
    File { origin: Arc<Origin>, offset: usize },
    Memory(Vec<u8>),
}

struct Stored {
    place: Place,
    length: usize,
    shape: Vec<usize>,
    encoding: Encoding,
}

impl Stored {
    fn bytes(&self) -> Result<Cow<'_, [u8]>, Error> {
        match &self.place {
            Place::File { origin, offset } => origin.read(*offset..*offset + self.length),
            Place::Memory(bytes) => Ok(Cow::Borrowed(bytes)),
        }
    }

    /// Whether another tensor is the same part of the same file.
    fn is_at(&self, other: &Self) -> bool {
        match (&self.place, &other.place) {
            (Place::File { origin, offset }, Place::File { origin: other, offset: at }) => {
                Arc::ptr_eq(origin, other) && offset == at
            }
            _ => false,
        }
    }
}

/// The tensors of a checkpoint by their canonical names.
#[derive(Default)]
pub(super) struct Tensors {
    stored: BTreeMap<String, Stored>,
}

impl Tensors {
    /// Adds a tensor that begins at `offset` of `file`. Refuses what does not fit into the file.
    pub(super) fn insert(
        &mut self,
        name: String,
        file: &Opened,
        offset: usize,
        shape: Vec<usize>,
        encoding: Encoding,
    ) -> Result<(), Error> {
        if self.stored.len() >= MAX_TENSORS {
            return Err(file.malformed(format!("it has more than {MAX_TENSORS} tensors")));
        }
        let length = element_count(&shape).and_then(|count| encoding.size(count));
        let end = length.and_then(|length| offset.checked_add(length));
        match (length, end) {
            (Some(length), Some(end)) if end <= file.length => {
                let place = Place::File { origin: Arc::clone(&file.origin), offset };
                self.stored.insert(name, Stored { place, length, shape, encoding });
                Ok(())
            }
            _ => Err(file.malformed(format!(
                "tensor {name} of shape {shape:?} at byte {offset} does not fit into the file's {} bytes",
                file.length
            ))),
        }
    }

    /// Adds a tensor that is computed.
    pub(super) fn insert_f32(&mut self, name: String, shape: Vec<usize>, values: &[f32]) {
        assert_eq!(element_count(&shape), Some(values.len()), "{name}");
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let (length, encoding) = (bytes.len(), Encoding::Float(Dtype::F32));
        self.stored.insert(name, Stored { place: Place::Memory(bytes), length, shape, encoding });
    }

    /// Takes over all tensors of another shard.
    pub(super) fn append(&mut self, mut other: Self) {
        self.stored.append(&mut other.stored);
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.stored.remove(name);
    }

    /// Whether two tensors hold the same bytes in the same encoding.
    pub(super) fn same(&self, one: &str, other: &str) -> Result<bool, Error> {
        let (Some(one), Some(other)) = (self.stored.get(one), self.stored.get(other)) else {
            return Ok(false);
        };
        if one.shape != other.shape || one.encoding != other.encoding {
            return Ok(false);
        }
        // Looking at the place first spares reading a tensor that is stored once under two names.
        Ok(one.is_at(other) || one.bytes()? == other.bytes()?)
    }

    /// Name of an encoding that cannot be read, if the tensor has one.
    pub(super) fn unreadable(&self, name: &str) -> Option<&str> {
        match &self.stored.get(name)?.encoding {
            Encoding::Other(what) => Some(what),
            _ => None,
        }
    }
}

impl TensorSource for Tensors {
    fn names(&self) -> Vec<String> {
        self.stored.keys().cloned().collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        Some(self.stored.get(name)?.shape.clone())
    }

    fn dtype(&self, name: &str) -> Option<Dtype> {
        match self.stored.get(name)?.encoding {
            Encoding::Float(dtype) => Some(dtype),
            _ => Some(Dtype::F32),
        }
    }

    fn raw(&self, name: &str) -> Result<Option<Raw<'_>>, Error> {
        match self.stored.get(name) {
            Some(stored @ Stored { encoding: Encoding::Float(dtype), .. }) => {
                Ok(Some((*dtype, stored.bytes()?)))
            }
            _ => Ok(None),
        }
    }

    fn read_f32(&self, name: &str) -> Result<Vec<f32>, Error> {
        let refuse = |reason: String| Error::Tensor { name: name.to_owned(), reason };
        let stored =
            self.stored.get(name).ok_or_else(|| refuse("the checkpoint has no such tensor".into()))?;
        let bytes = &*stored.bytes()?;
        Ok(match &stored.encoding {
            Encoding::Float(dtype) => floats(*dtype, bytes),
            Encoding::Int8(scales) => scaled(bytes, scales, |[byte]| f32::from(byte as i8)),
            Encoding::Int16(scales) => scaled(bytes, scales, |pair| f32::from(i16::from_le_bytes(pair))),
            Encoding::Block(block) => block.expand(bytes),
            Encoding::Other(what) => return Err(refuse(format!("its numbers are stored as {what}"))),
        })
    }
}

/// Little-endian floats of any alignment as f32.
pub(super) fn floats(dtype: Dtype, bytes: &[u8]) -> Vec<f32> {
    const CHUNK: usize = 2048;
    match dtype {
        Dtype::F32 => bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect(),
        Dtype::F16 => {
            let mut values = vec![0.0; bytes.len() / 2];
            let mut halves = [f16::ZERO; CHUNK];
            for (values, bytes) in values.chunks_mut(CHUNK).zip(bytes.chunks(2 * CHUNK)) {
                let halves = &mut halves[..values.len()];
                for (half, &pair) in halves.iter_mut().zip(bytes.as_chunks().0) {
                    *half = f16::from_le_bytes(pair);
                }
                halves.convert_to_f32_slice(values);
            }
            values
        }
        Dtype::Bf16 => bytes.as_chunks().0.iter().map(|&pair| bf16::from_le_bytes(pair).to_f32()).collect(),
    }
}

/// Integers of `N` bytes, divided by their row's scale.
fn scaled<const N: usize>(bytes: &[u8], scales: &[f32], value: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    let integers = bytes.as_chunks::<N>().0;
    let row = (integers.len() / scales.len().max(1)).max(1);
    let mut values = Vec::with_capacity(integers.len());
    for (row, scale) in integers.chunks(row).zip(scales) {
        values.extend(row.iter().map(|&bytes| value(bytes) / scale));
    }
    values
}
