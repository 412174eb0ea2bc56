//! PyTorch's state dict files (`pytorch_model.bin`, `.pt`), in the zip format and the older one.
//!
//! A zip archive has `NAME/data.pkl`, a pickle of the tensors' shapes, and `NAME/data/KEY`, the numbers of each storage,
//! uncompressed. The older format is a sequence of pickles (a magic number, a version, facts about the machine, the tensors'
//! shapes, the keys of the storages) and then, for each key, a number of elements and the elements.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use crate::cursor::Cursor;
use crate::opened::Opened;
use crate::pickle::{self, Element, Heap, Node, Tensor, Value};
use crate::tensors::{Dtype, Encoding, Tensors};
use crate::{Error, archive};

/// 0x1950a86a20f9469cfc6c, the magic number of the older format, as a pickle encodes it.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// Whether a file begins like a zip archive or a pickle.
pub(crate) fn is_torch(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || matches!(bytes, [0x80, 2..=5, ..])
}

/// Entry of the file's dictionary with the state dict, if the file has more than that.
const STATE_DICT: &str = "model_state_dict";
/// Limits the entries read beside the state dict; openai-whisper's `dims` have ten.
const MAX_NUMBERS: usize = 1000;
/// Maximum length of the names of a number and of its dictionary, in bytes.
const MAX_NAME: usize = 256;

/// Metadata of a PyTorch file.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// The outermost object.
    pub root: Root,
    /// Integers of the dictionaries beside the tensors, as `DICTIONARY.KEY`: openai-whisper's `dims.n_audio_head`.
    /// At most a thousand of them are read.
    pub numbers: BTreeMap<String, i64>,
}

/// Type of the outermost object of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// A tensor; its name is empty.
    Tensor,
    /// A dictionary of tensors.
    StateDict,
    /// A dictionary whose entry `model_state_dict` is a dictionary of tensors, which keep their names.
    ModelStateDict,
}

/// Reads the tensors and metadata.
pub(crate) fn read(file: &Opened) -> Result<(Header, Tensors), Error> {
    if file.head()?.starts_with(b"PK") { read_zip(file) } else { read_legacy(file) }
}

fn read_zip(file: &Opened) -> Result<(Header, Tensors), Error> {
    let entries = archive::entries(file)?;
    let pickle =
        entries.iter().find_map(|(name, range)| Some((name.strip_suffix("data.pkl")?, range.clone())));
    let (prefix, pickle) = pickle.ok_or_else(|| file.malformed("the zip archive has no data.pkl"))?;
    let entry = |name: String| entries.get(name.as_str()).cloned();
    if let Some(order) = entry(format!("{prefix}byteorder"))
        && file.part(order)? != b"little"
    {
        return Err(Error::Unsupported("the checkpoint was saved on a big-endian machine".into()));
    }
    let (root, heap) = pickle::read(&mut Cursor::within(file, pickle))?;
    state_dict(file, root, &heap, |key| entry(format!("{prefix}data/{key}")))
}

fn read_legacy(file: &Opened) -> Result<(Header, Tensors), Error> {
    let mut cursor = Cursor::new(file, 0);
    let (magic, _) = pickle::read(&mut cursor)?;
    if magic != Value::BigInt(&MAGIC) {
        return Err(cursor.malformed("it is a pickle, but was not saved by PyTorch"));
    }
    let (_version, _) = pickle::read(&mut cursor)?;
    let (machine, heap) = pickle::read(&mut cursor)?;
    if heap.get(machine, "little_endian") == Some(Value::Bool(false)) {
        return Err(Error::Unsupported("the checkpoint was saved on a big-endian machine".into()));
    }
    let (root, heap) = pickle::read(&mut cursor)?;
    let elements: HashMap<&str, Element> =
        heap.storages().map(|storage| (storage.key, storage.element)).collect();
    let (keys, key_heap) = pickle::read(&mut cursor)?;
    let mut storages = HashMap::new();
    for &key in key_heap.sequence(keys).unwrap_or_default() {
        let element = match key {
            Value::Text(key) => elements.get(key).map(|element| (key, element)),
            _ => None,
        };
        let (key, element) =
            element.ok_or_else(|| cursor.malformed("a storage that no tensor uses is listed"))?;
        let length = usize::try_from(cursor.u64("the length of a storage")?).ok();
        let length = length.and_then(|count| count.checked_mul(element.bytes())).unwrap_or(usize::MAX);
        let start = cursor.at();
        cursor.skip(length, "a storage")?;
        storages.insert(key, start..start + length);
    }
    state_dict(file, root, &heap, |key| storages.get(key).cloned())
}

/// Finds the tensors in the pickle; `locate_storage` returns the byte range of a storage.
fn state_dict(
    file: &Opened,
    outermost: Value<'_>,
    heap: &Heap<'_>,
    locate_storage: impl Fn(&str) -> Option<Range<usize>>,
) -> Result<(Header, Tensors), Error> {
    let lone = [(Value::Text(""), outermost)];
    let (root, entries) = match heap.get(outermost, STATE_DICT) {
        Some(inner) => (Root::ModelStateDict, heap.map(inner)),
        None if matches!(heap.node(outermost), Some(Node::Tensor(_))) => (Root::Tensor, Some(&lone[..])),
        None => (Root::StateDict, heap.map(outermost)),
    };
    let entries = entries.ok_or_else(|| file.malformed("it has no dictionary of tensors"))?;
    let mut tensors = Tensors::default();
    for &(name, value) in entries {
        let (Value::Text(name), Some(Node::Tensor(tensor))) = (name, heap.node(value)) else { continue };
        let key = tensor.storage.key;
        let storage = locate_storage(key)
            .ok_or_else(|| file.malformed(format!("{name}: the file has no storage {key:?}")))?;
        let offset =
            locate(tensor, &storage).map_err(|reason| file.malformed(format!("{name}: {reason}")))?;
        let encoding = match tensor.storage.element {
            Element::Half => Encoding::Float(Dtype::F16),
            Element::Float => Encoding::Float(Dtype::F32),
            Element::Bfloat16 => Encoding::Float(Dtype::Bf16),
            other => Encoding::Other(format!("{other:?}")),
        };
        tensors.add(name.to_owned(), file, offset, tensor.shape.clone(), encoding)?;
    }
    Ok((Header { root, numbers: numbers(outermost, heap) }, tensors))
}

/// Integers in the dictionaries of a dictionary.
fn numbers(outermost: Value<'_>, heap: &Heap<'_>) -> BTreeMap<String, i64> {
    let entries = heap.map(outermost).unwrap_or_default().iter();
    let dictionaries = entries.filter_map(|&(name, value)| match name {
        Value::Text(name) if name != STATE_DICT => Some((name, heap.map(value)?)),
        _ => None,
    });
    dictionaries
        .flat_map(|(name, entries)| entries.iter().map(move |&entry| (name, entry)))
        .take(MAX_NUMBERS)
        .filter_map(|(dictionary, entry)| match entry {
            (Value::Text(key), Value::Int(number)) if dictionary.len().max(key.len()) <= MAX_NAME => {
                Some((format!("{dictionary}.{key}"), number))
            }
            _ => None,
        })
        .collect()
}

/// First byte of a tensor, which must be row-major within its storage.
fn locate(tensor: &Tensor<'_>, storage: &Range<usize>) -> Result<usize, String> {
    let mut count = 1usize;
    for (&size, &stride) in tensor.shape.iter().zip(&tensor.strides).rev() {
        if size > 1 && stride != count {
            return Err(format!(
                "its strides {:?} for shape {:?} are not row-major",
                tensor.strides, tensor.shape
            ));
        }
        count = count.checked_mul(size).ok_or_else(|| format!("shape {:?} is too large", tensor.shape))?;
    }
    let element = tensor.storage.element.bytes();
    let bytes = |count: usize| count.checked_mul(element);
    let (start, end) = (bytes(tensor.offset), tensor.offset.checked_add(count).and_then(bytes));
    match (start, end) {
        (Some(start), Some(end)) if end <= storage.len() => Ok(storage.start + start),
        _ => Err(format!(
            "elements {} to {} + {count} are outside its storage of {} bytes",
            tensor.offset,
            tensor.offset,
            storage.len()
        )),
    }
}
