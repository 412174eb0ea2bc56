//! ONNX files: a graph's initialised tensors and its nodes.
//!
//! Only the required fields of onnx.proto3 (ONNX 1.16, Protocol Buffers encoding) are read; other fields are
//! skipped. Everything is checked against the file's length before it is used.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

/// `TensorProto.DataType.FLOAT`: 32-bit floats.
pub const FLOAT: u64 = 1;
/// `TensorProto.DataType.UINT8`: unsigned bytes.
const UINT8: u64 = 2;
/// `TensorProto.DataType.INT8`: signed bytes.
pub const INT8: u64 = 3;
/// `TensorProto.DataType.BOOL`: bytes that are 0 or 1.
const BOOL: u64 = 9;

/// A graph whose names and data borrow from the file's bytes.
#[derive(Debug, Default)]
pub struct Graph<'a> {
    /// The operations, in the file's order.
    pub nodes: Vec<Node<'a>>,
    /// The initialised tensors by name.
    pub tensors: HashMap<&'a str, Tensor<'a>>,
}

/// One operation.
#[derive(Debug, Default)]
pub struct Node<'a> {
    /// Its operator, such as `Conv`.
    pub operator: &'a str,
    /// Names of its inputs; empty for an omitted one.
    pub inputs: Vec<&'a str>,
    /// Names of its outputs.
    pub outputs: Vec<&'a str>,
    /// Its attributes that are lists of integers.
    attributes: Vec<(&'a str, Vec<u64>)>,
}

/// An initialised tensor.
#[derive(Debug, Default)]
pub struct Tensor<'a> {
    /// Sizes, the outermost first; empty for a scalar.
    pub shape: Vec<usize>,
    /// `TensorProto.DataType`.
    pub data_type: u64,
    /// Little-endian numbers, row-major; empty if their storage is not supported.
    pub data: Cow<'a, [u8]>,
}

impl<'a> Graph<'a> {
    /// Reads a model file; the error describes what is wrong with it.
    ///
    /// # Errors
    /// The file is truncated, is not ONNX, or has its weights in another file.
    pub fn parse(file: &'a [u8]) -> Result<Self, String> {
        let mut parsed = None;
        for field in Fields(file) {
            if let (7, Value::Bytes(bytes)) = field? {
                // A message that occurs twice is merged.
                parsed.get_or_insert_with(Self::default).read(bytes)?;
            }
        }
        parsed.ok_or_else(|| "it has no graph".into())
    }

    fn read(&mut self, bytes: &'a [u8]) -> Result<(), String> {
        for field in Fields(bytes) {
            match field? {
                (1, Value::Bytes(bytes)) => self.nodes.push(Node::parse(bytes)?),
                (5, Value::Bytes(bytes)) => {
                    let (name, tensor) = Tensor::parse(bytes)?;
                    self.tensors.insert(name, tensor);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Number of nodes of each operator.
    pub fn operators(&self) -> BTreeMap<&'a str, usize> {
        let mut counts = BTreeMap::new();
        self.nodes.iter().for_each(|node| *counts.entry(node.operator).or_default() += 1);
        counts
    }
}

impl<'a> Node<'a> {
    /// The integers of an attribute; empty if there is none of this name.
    pub fn integers(&self, attribute: &str) -> &[u64] {
        let found = self.attributes.iter().rev().find(|(name, _)| *name == attribute);
        found.map_or(&[], |(_, numbers)| numbers)
    }

    fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        let mut node = Self::default();
        for field in Fields(bytes) {
            match field? {
                (1, Value::Bytes(name)) => node.inputs.push(text(name)?),
                (2, Value::Bytes(name)) => node.outputs.push(text(name)?),
                (4, Value::Bytes(name)) => node.operator = text(name)?,
                (5, Value::Bytes(attribute)) => node.attribute(attribute)?,
                _ => {}
            }
        }
        Ok(node)
    }

    fn attribute(&mut self, bytes: &'a [u8]) -> Result<(), String> {
        let (mut name, mut numbers) = ("", Vec::new());
        for field in Fields(bytes) {
            match field? {
                (1, Value::Bytes(bytes)) => name = text(bytes)?,
                (8, Value::Number(number)) => numbers.push(number),
                (8, Value::Bytes(packed)) => {
                    for number in varints(packed) {
                        numbers.push(number?);
                    }
                }
                _ => {}
            }
        }
        if !numbers.is_empty() {
            self.attributes.push((name, numbers));
        }
        Ok(())
    }
}

impl<'a> Tensor<'a> {
    /// The numbers of a tensor of type [`FLOAT`].
    ///
    /// # Errors
    /// It has another type, or its data do not fit its shape.
    pub fn floats(&self) -> Result<Vec<f32>, String> {
        let bytes = self.numbers_of(FLOAT, "float32")?;
        Ok(bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect())
    }

    /// The numbers of a tensor of type [`INT8`].
    ///
    /// # Errors
    /// As [`floats`](Self::floats).
    pub fn signed_bytes(&self) -> Result<Vec<i8>, String> {
        Ok(self.numbers_of(INT8, "int8")?.iter().map(|byte| byte.cast_signed()).collect())
    }

    fn numbers_of(&self, data_type: u64, name: &str) -> Result<&[u8], String> {
        if self.data_type != data_type {
            return Err(format!("it is not {name}"));
        }
        let width = if data_type == FLOAT { 4 } else { 1 };
        let length = self.shape.iter().try_fold(width, |product: usize, &size| product.checked_mul(size));
        if length != Some(self.data.len()) {
            return Err(format!("{} bytes do not make {:?}", self.data.len(), self.shape));
        }
        Ok(&self.data)
    }

    fn parse(bytes: &'a [u8]) -> Result<(&'a str, Self), String> {
        let (mut name, mut tensor) = ("", Self::default());
        let (mut floats, mut integers) = (Cow::Borrowed(&[][..]), Vec::new());
        for field in Fields(bytes) {
            match field? {
                (1, Value::Number(size)) => tensor.shape.push(length(size)?),
                (1, Value::Bytes(packed)) => {
                    for size in varints(packed) {
                        tensor.shape.push(length(size?)?);
                    }
                }
                (2, Value::Number(number)) => tensor.data_type = number,
                // Floats in their own field have the same bytes as raw ones.
                (4, Value::Bytes(bytes) | Value::Fixed(bytes)) if floats.is_empty() => {
                    floats = Cow::Borrowed(bytes);
                }
                (4, Value::Bytes(bytes) | Value::Fixed(bytes)) => floats.to_mut().extend_from_slice(bytes),
                // Of these types only bytes are supported.
                (5, Value::Number(number)) => integers.push(number as u8),
                (5, Value::Bytes(packed)) => {
                    for number in varints(packed) {
                        integers.push(number? as u8);
                    }
                }
                (8, Value::Bytes(bytes)) => name = text(bytes)?,
                (9, Value::Bytes(bytes)) => tensor.data = Cow::Borrowed(bytes),
                (14, Value::Number(1..)) => return Err("its weights are in another file".into()),
                _ => {}
            }
        }
        if tensor.data.is_empty() {
            tensor.data = match tensor.data_type {
                FLOAT => floats,
                UINT8 | INT8 | BOOL => Cow::Owned(integers),
                _ => tensor.data,
            };
        }
        Ok((name, tensor))
    }
}

/// A field's value, as far as the encoding determines it.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Four or eight bytes.
    Fixed(&'a [u8]),
}

/// The fields of a message, with their numbers.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Result<(u64, Value<'a>), String> {
        let tag = varint(&mut self.0)?;
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut self.0)?),
            1 => Value::Fixed(take(&mut self.0, 8)?),
            2 => {
                let size = length(varint(&mut self.0)?)?;
                Value::Bytes(take(&mut self.0, size)?)
            }
            5 => Value::Fixed(take(&mut self.0, 4)?),
            other => return Err(format!("wire type {other} is not allowed")),
        };
        Ok((tag >> 3, value))
    }
}

fn varint(bytes: &mut &[u8]) -> Result<u64, String> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err("a number has more than ten bytes".into())
}

/// Packed numbers; ends after one that is malformed.
fn varints(mut packed: &[u8]) -> impl Iterator<Item = Result<u64, String>> {
    std::iter::from_fn(move || {
        if packed.is_empty() {
            return None;
        }
        let number = varint(&mut packed);
        if number.is_err() {
            packed = &[];
        }
        Some(number)
    })
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], String> {
    let (taken, rest) = bytes.split_at_checked(count).ok_or("it ends in the middle of a field")?;
    *bytes = rest;
    Ok(taken)
}

fn length(number: u64) -> Result<usize, String> {
    usize::try_from(number).map_err(|_| format!("a length of {number}"))
}

fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| "a name is not UTF-8".into())
}

#[cfg(test)]
mod tests {
    use mynah_testkit::onnx::{field, float_tensor};

    use super::*;

    /// A convolution of `x` and `w` with a dilation of 3, a tensor of floats and one of bytes.
    fn model() -> Vec<u8> {
        let dilations = field(5, &[&field(1, b"dilations")[..], &[0x40, 3, 0x42, 1, 4]].concat());
        let node = [field(1, b"x"), field(1, b"w"), field(2, b"y"), field(4, b"Conv"), dilations].concat();
        // Sizes 1 (alone) and 3 (packed), a field to skip, a name and data.
        let tensor = [
            &[0x08, 1][..],
            &field(1, &[3]),
            &[0x10, 1, 0x65, 1, 2, 3, 4],
            &field(8, b"w"),
            &field(9, &[0, 0, 0xc0, 0x3f, 0, 0, 0, 0xc0, 0, 0, 0x80, 0x3e]),
        ]
        .concat();
        let bytes =
            [&field(1, &[2])[..], &[0x10, 3], &field(5, &[0xff, 0xff, 3, 5]), &field(8, b"zero")].concat();
        field(7, &[field(1, &node), field(5, &tensor), field(5, &bytes)].concat())
    }

    #[test]
    fn nodes_and_tensors_are_read() {
        let bytes = model();
        let graph = Graph::parse(&bytes).unwrap();
        let node = &graph.nodes[0];
        assert_eq!((node.operator, &node.outputs[..]), ("Conv", &["y"][..]));
        assert_eq!(node.inputs, ["x", "w"]);
        assert_eq!((node.integers("dilations"), node.integers("pads")), (&[3, 4][..], &[][..]));
        let tensor = &graph.tensors["w"];
        assert_eq!((&tensor.shape[..], tensor.data_type), (&[1, 3][..], FLOAT));
        assert_eq!(tensor.floats().unwrap(), [1.5, -2.0, 0.25]);
        assert_eq!(tensor.signed_bytes(), Err("it is not int8".into()));
        assert_eq!(graph.tensors["zero"].signed_bytes().unwrap(), [-1, 5]);
        assert_eq!(graph.operators(), BTreeMap::from([("Conv", 1)]));
    }

    #[test]
    fn floats_may_be_raw_or_in_their_own_field() {
        let raw = [field(1, b""), float_tensor("w", &[2, 1], &[1.5, -2.0])];
        let tensor = |data: &[u8]| field(5, &[&[0x08, 2, 0x10, 1][..], &field(8, b"w"), data].concat());
        let floats = [1.5_f32, -2.0].map(f32::to_le_bytes);
        let alone = [&[0x25][..], &floats[0], &[0x25], &floats[1]].concat();
        let pieces = [field(4, &floats[0]), field(4, &floats[1])].concat();
        for graph in [raw.concat(), tensor(&field(4, &floats.concat())), tensor(&alone), tensor(&pieces)] {
            let model = [vec![1 << 3, 8], field(7, &graph)].concat();
            assert_eq!(Graph::parse(&model).unwrap().tensors["w"].floats().unwrap(), [1.5, -2.0]);
        }
    }

    #[test]
    fn data_that_do_not_fit_the_shape_are_refused() {
        for (shape, reason) in [(&[3][..], "8 bytes do not make [3]"), (&[1], "8 bytes do not make [1]")] {
            let model = field(7, &float_tensor("w", shape, &[1.5, -2.0]));
            assert_eq!(Graph::parse(&model).unwrap().tensors["w"].floats(), Err(reason.into()));
        }
        // Sizes whose product overflows.
        let sizes = [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f].repeat(2);
        let model = field(7, &field(5, &[&sizes[..], &[0x10, 1], &field(8, b"w")].concat()));
        assert!(Graph::parse(&model).unwrap().tensors["w"].floats().is_err());
        let elsewhere = field(7, &field(5, &[0x70, 1]));
        assert_eq!(Graph::parse(&elsewhere).unwrap_err(), "its weights are in another file");
    }

    #[test]
    fn damaged_files_are_refused() {
        let bytes = model();
        for end in 0..bytes.len() {
            assert!(Graph::parse(&bytes[..end]).is_err(), "cut at {end}");
        }
        assert!(Graph::parse(&[0x3b]).unwrap_err().contains("wire type 3"));
        assert!(Graph::parse(&[0xff; 20]).unwrap_err().contains("ten bytes"));
        // Whatever a byte is changed to, it is read or refused.
        for at in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] = value;
                if let Ok(graph) = Graph::parse(&changed) {
                    graph.tensors.values().for_each(|tensor| drop((tensor.floats(), tensor.signed_bytes())));
                }
            }
        }
    }
}
