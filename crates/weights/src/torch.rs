//! PyTorch's files: `pytorch_model.bin` and openai-whisper's `.pt`, in the zip format and in the one before it.
//!
//! A zip archive has `NAME/data.pkl`, a pickle of the tensors' shapes, and `NAME/data/KEY`, the numbers of each storage,
//! uncompressed. The older format is a row of pickles (a magic number, a version, facts about the machine, the tensors'
//! shapes, the keys of the storages) and then, for each key, a number of elements and the elements.

use std::collections::HashMap;
use std::ops::Range;

use super::archive;
use super::cursor::Cursor;
use super::names::{from_hugging_face, from_openai};
use super::pickle::{self, Element, Heap, Node, Tensor, Value};
use super::source::{Encoding, Opened};
use super::{Contents, Dtype, Format};
use crate::Error;

/// 0x1950a86a20f9469cfc6c, which the older format begins with, as a pickle spells it.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// Whether a file begins as a zip archive or as a pickle.
pub(super) fn is_torch(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || matches!(bytes, [0x80, 2..=5, ..])
}

/// What tensors are called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Naming {
    /// Whisper's canonical names.
    Whisper,
    /// As the file says; a lone tensor has the empty name.
    Plain,
}

/// Reads the tensors, and the sizes that openai-whisper stores beside them.
pub(super) fn read(file: &Opened, naming: Naming) -> Result<(Format, Contents), Error> {
    if file.head()?.starts_with(b"PK") { read_zip(file, naming) } else { read_legacy(file, naming) }
}

fn read_zip(file: &Opened, naming: Naming) -> Result<(Format, Contents), Error> {
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
    state_dict(file, naming, root, &heap, |key| entry(format!("{prefix}data/{key}")))
}

fn read_legacy(file: &Opened, naming: Naming) -> Result<(Format, Contents), Error> {
    let mut cursor = Cursor::new(file, 0);
    let (magic, _) = pickle::read(&mut cursor)?;
    if magic != Value::BigInt(&MAGIC) {
        return Err(cursor.malformed("it is a pickle, but not one that PyTorch saved"));
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
    state_dict(file, naming, root, &heap, |key| storages.get(key).cloned())
}

/// Finds the tensors in what was pickled; `place` tells where a storage lies.
fn state_dict(
    file: &Opened,
    naming: Naming,
    root: Value<'_>,
    heap: &Heap<'_>,
    place: impl Fn(&str) -> Option<Range<usize>>,
) -> Result<(Format, Contents), Error> {
    let openai = heap.get(root, "model_state_dict").filter(|_| naming == Naming::Whisper);
    let lone = [(Value::Text(""), root)];
    let entries = match heap.map(openai.unwrap_or(root)) {
        Some(entries) => entries,
        None if naming == Naming::Plain && matches!(heap.node(root), Some(Node::Tensor(_))) => &lone,
        None => return Err(file.malformed("it holds no dictionary of tensors")),
    };
    let mut contents = Contents::default();
    if let Some(dims) = heap.get(root, "dims") {
        let heads = |key| heap.get(dims, key).and_then(pickle::size);
        (contents.encoder_heads, contents.decoder_heads) = (heads("n_audio_head"), heads("n_text_head"));
    }
    let is_openai = openai.is_some()
        || entries
            .iter()
            .any(|(name, _)| matches!(name, Value::Text(name) if name.starts_with("encoder.blocks.")));
    for &(name, value) in entries {
        let (Value::Text(name), Some(Node::Tensor(tensor))) = (name, heap.node(value)) else { continue };
        let canonical = match naming {
            Naming::Plain => Some(name.to_owned()),
            Naming::Whisper if is_openai => from_openai(name),
            Naming::Whisper => Some(from_hugging_face(name)),
        };
        let Some(canonical) = canonical else { continue };
        let key = tensor.storage.key;
        let place =
            place(key).ok_or_else(|| file.malformed(format!("{name}: the file has no storage {key:?}")))?;
        let offset = locate(tensor, &place).map_err(|reason| file.malformed(format!("{name}: {reason}")))?;
        let encoding = match tensor.storage.element {
            Element::Half => Encoding::Float(Dtype::F16),
            Element::Float => Encoding::Float(Dtype::F32),
            Element::Bfloat16 => Encoding::Float(Dtype::Bf16),
            other => Encoding::Other(format!("{other:?}")),
        };
        contents.tensors.insert(canonical, file, offset, tensor.shape.clone(), encoding)?;
    }
    Ok((if is_openai { Format::OpenaiPt } else { Format::PytorchBin }, contents))
}

/// First byte of a tensor that lies row-major within its storage.
fn locate(tensor: &Tensor<'_>, place: &Range<usize>) -> Result<usize, String> {
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
        (Some(start), Some(end)) if end <= place.len() => Ok(place.start + start),
        _ => Err(format!(
            "elements {} to {} + {count} lie outside its storage of {} bytes",
            tensor.offset,
            tensor.offset,
            place.len()
        )),
    }
}
