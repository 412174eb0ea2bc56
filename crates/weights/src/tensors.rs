//! Tensors of files: their location, encoding, and conversion to f32.

use std::borrow::Cow;
use std::collections::{BTreeMap, btree_map};
use std::ops::Range;
use std::sync::Arc;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use crate::Error;
use crate::blocks::Block;
use crate::opened::{Opened, Origin};

/// Limits memory: the largest model has about 1300.
const MAX_TENSORS: usize = 100_000;

/// Type of a tensor's stored numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// 32-bit float.
    F32,
    /// 16-bit IEEE float.
    F16,
    /// bfloat16.
    Bf16,
}

/// A tensor's type and its numbers as stored.
pub type Raw<'a> = (Dtype, Cow<'a, [u8]>);

/// Encoding of numbers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Encoding {
    /// Plain floats.
    Float(Dtype),
    /// Signed bytes, divided by the scale of their row, or by a single scale.
    Int8(Arc<[f32]>),
    /// Signed 16-bit integers, divided in the same way.
    Int16(Arc<[f32]>),
    /// Blocks of 32 quantised numbers.
    Block(Block),
    /// A type that cannot be read as floats, by its name.
    Other(String),
}

impl Encoding {
    /// Bytes of `count` numbers; `None` if that is not possible.
    pub(crate) fn size(&self, count: usize) -> Option<usize> {
        match self {
            Self::Float(Dtype::F32) => count.checked_mul(4),
            Self::Float(Dtype::F16 | Dtype::Bf16) | Self::Int16(_) => count.checked_mul(2),
            Self::Int8(_) => Some(count),
            Self::Block(block) => block.size(count),
            Self::Other(_) => Some(0),
        }
    }

    /// The encoding of a range of rows.
    fn rows(&self, rows: Range<usize>) -> Self {
        let of_rows = |scales: &Arc<[f32]>| match scales.len() {
            1 => Arc::clone(scales),
            _ => Arc::from(&scales[rows]),
        };
        match self {
            Self::Int8(scales) => Self::Int8(of_rows(scales)),
            Self::Int16(scales) => Self::Int16(of_rows(scales)),
            other => other.clone(),
        }
    }
}

/// Number of elements of a shape, `None` if it overflows.
pub(crate) fn element_count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size))
}

/// A tensor in a file. Its numbers are read on demand.
#[derive(Clone)]
pub struct Tensor {
    origin: Arc<Origin>,
    /// Offset of its first byte.
    offset: usize,
    /// Its length in bytes.
    length: usize,
    shape: Vec<usize>,
    encoding: Encoding,
}

impl Tensor {
    /// Sizes, the outermost first; empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The same numbers in another shape.
    ///
    /// # Panics
    /// If the shape has another number of elements.
    #[must_use]
    pub fn with_shape(self, shape: Vec<usize>) -> Self {
        assert_eq!(element_count(&shape), element_count(&self.shape), "{shape:?} of {:?}", self.shape);
        Self { shape, ..self }
    }

    /// Splits along the first axis into `count` equal parts, in order; `None` if that is not possible.
    pub fn split(&self, parts: usize) -> Option<Vec<Self>> {
        let &rows = self.shape.first()?;
        if parts == 0 || !rows.is_multiple_of(parts) {
            return None;
        }
        let rows = rows / parts;
        let shape: Vec<usize> = [&[rows], &self.shape[1..]].concat();
        let length = self.encoding.size(element_count(&shape)?)?;
        let part = |part: usize| Self {
            origin: Arc::clone(&self.origin),
            offset: self.offset + part * length,
            length,
            shape: shape.clone(),
            encoding: self.encoding.rows(part * rows..(part + 1) * rows),
        };
        Some((0..parts).map(part).collect())
    }

    fn dtype(&self) -> Dtype {
        match self.encoding {
            Encoding::Float(dtype) => dtype,
            _ => Dtype::F32,
        }
    }

    fn bytes(&self) -> Result<Cow<'_, [u8]>, Error> {
        self.origin.read(self.offset..self.offset + self.length)
    }

    /// Whether another tensor is the same byte range of the same file.
    fn is_at(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.origin, &other.origin) && self.offset == other.offset
    }
}

/// Tensors by name.
#[derive(Clone, Default)]
pub struct Tensors {
    tensors: BTreeMap<String, Tensor>,
}

impl Tensors {
    /// Names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// A tensor's sizes, the outermost first; `None` if there is no such tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        Some(self.tensors.get(name)?.shape())
    }

    /// The tensor's type; F32 for quantised ones, which are dequantised to that.
    pub fn dtype(&self, name: &str) -> Option<Dtype> {
        Some(self.tensors.get(name)?.dtype())
    }

    /// Name of the type in which the numbers are stored, if it cannot be read as floats.
    pub fn unreadable(&self, name: &str) -> Option<&str> {
        match &self.tensors.get(name)?.encoding {
            Encoding::Other(what) => Some(what),
            _ => None,
        }
    }

    /// The tensor's numbers as stored, little endian, row-major, at any alignment; `None` if it is missing or
    /// not stored as floats. Each call reads them from the file.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, [`Error::Malformed`] if it was modified after it was opened.
    pub fn raw(&self, name: &str) -> Result<Option<Raw<'_>>, Error> {
        match self.tensors.get(name) {
            Some(tensor @ Tensor { encoding: Encoding::Float(dtype), .. }) => {
                Ok(Some((*dtype, tensor.bytes()?)))
            }
            _ => Ok(None),
        }
    }

    /// The tensor's numbers as f32, row-major in its shape. Each call reads them from the file.
    ///
    /// # Errors
    /// As [`raw`](Self::raw), and [`Error::Tensor`] if there is no such tensor or its type is not supported.
    pub fn read_f32(&self, name: &str) -> Result<Vec<f32>, Error> {
        let refuse = |reason: String| Error::Tensor { name: name.to_owned(), reason };
        let tensor =
            self.tensors.get(name).ok_or_else(|| refuse("the checkpoint has no such tensor".into()))?;
        let bytes = &*tensor.bytes()?;
        Ok(match &tensor.encoding {
            Encoding::Float(dtype) => floats(*dtype, bytes),
            Encoding::Int8(scales) => scaled(bytes, scales, |[byte]| f32::from(byte as i8)),
            Encoding::Int16(scales) => scaled(bytes, scales, |pair| f32::from(i16::from_le_bytes(pair))),
            Encoding::Block(block) => block.expand(bytes),
            Encoding::Other(what) => return Err(refuse(format!("its numbers are stored as {what}"))),
        })
    }

    /// Whether two tensors have the same bytes in the same encoding.
    ///
    /// # Errors
    /// As [`raw`](Self::raw).
    pub fn same(&self, one: &str, other: &str) -> Result<bool, Error> {
        let (Some(one), Some(other)) = (self.tensors.get(one), self.tensors.get(other)) else {
            return Ok(false);
        };
        if one.shape != other.shape || one.encoding != other.encoding {
            return Ok(false);
        }
        // Comparing locations first avoids reading a tensor that is stored once under two names.
        Ok(one.is_at(other) || one.bytes()? == other.bytes()?)
    }

    /// Adds a tensor, or replaces the one of the same name.
    pub fn insert(&mut self, name: String, tensor: Tensor) {
        self.tensors.insert(name, tensor);
    }

    /// Adds a computed tensor, row-major.
    ///
    /// # Panics
    /// If the shape has another number of elements.
    pub fn insert_f32(&mut self, name: String, shape: Vec<usize>, values: &[f32]) {
        assert_eq!(element_count(&shape), Some(values.len()), "{name}");
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let (length, encoding) = (bytes.len(), Encoding::Float(Dtype::F32));
        let origin = Arc::new(Origin::memory(&name, bytes));
        self.tensors.insert(name, Tensor { origin, offset: 0, length, shape, encoding });
    }

    /// Removes a tensor.
    pub fn remove(&mut self, name: &str) -> Option<Tensor> {
        self.tensors.remove(name)
    }

    /// Adds a tensor that begins at `offset` of `file`. Refuses one that does not fit into the file.
    pub(crate) fn add(
        &mut self,
        name: String,
        file: &Opened,
        offset: usize,
        shape: Vec<usize>,
        encoding: Encoding,
    ) -> Result<(), Error> {
        if self.tensors.len() >= MAX_TENSORS {
            return Err(file.malformed(format!("it has more than {MAX_TENSORS} tensors")));
        }
        let length = element_count(&shape).and_then(|count| encoding.size(count));
        let end = length.and_then(|length| offset.checked_add(length));
        match (length, end) {
            (Some(length), Some(end)) if end <= file.length() => {
                let origin = Arc::clone(file.origin());
                self.tensors.insert(name, Tensor { origin, offset, length, shape, encoding });
                Ok(())
            }
            _ => Err(file.malformed(format!(
                "tensor {name} of shape {shape:?} at byte {offset} does not fit into the file's {} bytes",
                file.length()
            ))),
        }
    }
}

impl IntoIterator for Tensors {
    type Item = (String, Tensor);
    type IntoIter = btree_map::IntoIter<String, Tensor>;

    fn into_iter(self) -> Self::IntoIter {
        self.tensors.into_iter()
    }
}

impl Extend<(String, Tensor)> for Tensors {
    fn extend<T: IntoIterator<Item = (String, Tensor)>>(&mut self, tensors: T) {
        self.tensors.extend(tensors);
    }
}

impl FromIterator<(String, Tensor)> for Tensors {
    fn from_iter<T: IntoIterator<Item = (String, Tensor)>>(tensors: T) -> Self {
        Self { tensors: tensors.into_iter().collect() }
    }
}

/// Little-endian floats of any alignment as f32.
pub(crate) fn floats(dtype: Dtype, bytes: &[u8]) -> Vec<f32> {
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
