//! The part of an ONNX file that weights are found by: initialised tensors, and which node reads which.
//!
//! Only what the Protocol Buffers encoding and onnx.proto3 of ONNX 1.16 say about these fields is read; other fields are
//! stepped over. Everything is checked against the file's length before it is used.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

/// A graph whose names and data lie in the file's bytes.
#[derive(Debug, Default)]
pub(super) struct Graph<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    pub(super) tensors: HashMap<&'a str, Tensor<'a>>,
}

/// One operation.
#[derive(Debug, Default)]
pub(super) struct Node<'a> {
    pub(super) operator: &'a str,
    pub(super) inputs: Vec<&'a str>,
    pub(super) outputs: Vec<&'a str>,
    /// A convolution's distance between taps; 0 where it is not told.
    pub(super) dilation: usize,
}

/// An initialised tensor.
#[derive(Debug, Default)]
pub(super) struct Tensor<'a> {
    pub(super) shape: Vec<usize>,
    /// `TensorProto.DataType`.
    pub(super) data_type: u64,
    /// Little-endian numbers, row-major.
    pub(super) data: Cow<'a, [u8]>,
}

/// `TensorProto.DataType.FLOAT`.
pub(super) const FLOAT: u64 = 1;
/// `TensorProto.DataType.INT8`.
pub(super) const INT8: u64 = 3;

impl<'a> Graph<'a> {
    /// Reads a model file; the error says what is wrong with it.
    pub(super) fn parse(file: &'a [u8]) -> Result<Self, String> {
        let mut graph = None;
        for field in Fields(file) {
            if let (7, Value::Bytes(bytes)) = field? {
                graph = Some(bytes);
            }
        }
        let mut parsed = Self::default();
        for field in Fields(graph.ok_or("it holds no graph")?) {
            match field? {
                (1, Value::Bytes(bytes)) => parsed.nodes.push(Node::parse(bytes)?),
                (5, Value::Bytes(bytes)) => {
                    let (name, tensor) = Tensor::parse(bytes)?;
                    parsed.tensors.insert(name, tensor);
                }
                _ => {}
            }
        }
        Ok(parsed)
    }

    /// How often each operation occurs.
    pub(super) fn operators(&self) -> BTreeMap<&'a str, usize> {
        let mut counts = BTreeMap::new();
        self.nodes.iter().for_each(|node| *counts.entry(node.operator).or_default() += 1);
        counts
    }
}

impl<'a> Node<'a> {
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

    fn attribute(&mut self, bytes: &[u8]) -> Result<(), String> {
        let (mut name, mut first) = ("", 0);
        for field in Fields(bytes) {
            match field? {
                (1, Value::Bytes(bytes)) => name = text(bytes)?,
                (8, Value::Number(number)) => first = number,
                (8, Value::Bytes(mut packed)) => first = varint(&mut packed)?,
                _ => {}
            }
        }
        if name == "dilations" {
            self.dilation = length(first)?;
        }
        Ok(())
    }
}

impl<'a> Tensor<'a> {
    fn parse(bytes: &'a [u8]) -> Result<(&'a str, Self), String> {
        let (mut name, mut tensor) = ("", Self::default());
        for field in Fields(bytes) {
            match field? {
                (1, Value::Number(size)) => tensor.shape.push(length(size)?),
                (1, Value::Bytes(mut packed)) => {
                    while !packed.is_empty() {
                        tensor.shape.push(length(varint(&mut packed)?)?);
                    }
                }
                (2, Value::Number(number)) => tensor.data_type = number,
                (8, Value::Bytes(bytes)) => name = text(bytes)?,
                // Floats in a field of their own, packed, are the same bytes as raw ones; bytes are written as numbers.
                (4 | 9, Value::Bytes(bytes)) => tensor.data = Cow::Borrowed(bytes),
                (5, Value::Number(number)) => tensor.data.to_mut().push(number as u8),
                (5, Value::Bytes(mut packed)) => {
                    while !packed.is_empty() {
                        tensor.data.to_mut().push(varint(&mut packed)? as u8);
                    }
                }
                (14, Value::Number(1..)) => return Err("its weights lie in another file".into()),
                _ => {}
            }
        }
        Ok((name, tensor))
    }
}

/// A field's value, as far as the encoding tells.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
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
            1 => Value::Bytes(take(&mut self.0, 8)?),
            2 => {
                let size = length(varint(&mut self.0)?)?;
                Value::Bytes(take(&mut self.0, size)?)
            }
            5 => Value::Bytes(take(&mut self.0, 4)?),
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
    use super::*;

    fn message(field: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![field << 3 | 2, content.len() as u8];
        bytes.extend_from_slice(content);
        bytes
    }

    fn model() -> Vec<u8> {
        let dilation = message(5, &[&message(1, b"dilations")[..], &[0x40, 3]].concat());
        let node =
            [message(1, b"x"), message(1, b"w"), message(2, b"y"), message(4, b"Conv"), dilation].concat();
        // Sizes 2 (alone) and 300 (packed), type FLOAT, a field to step over, a name and data.
        let zero = [&message(5, &[0xff, 0xff, 3, 5])[..], &message(8, b"zero")].concat();
        let tensor = [
            &[0x08, 2][..],
            &message(1, &[0xac, 0x02]),
            &[0x10, 1, 0x65, 1, 2, 3, 4],
            &message(8, b"w"),
            &message(9, &[7; 12]),
        ]
        .concat();
        message(7, &[message(1, &node), message(5, &tensor), message(5, &zero)].concat())
    }

    #[test]
    fn nodes_and_tensors_are_read() {
        let bytes = model();
        let graph = Graph::parse(&bytes).unwrap();
        let node = &graph.nodes[0];
        assert_eq!((node.operator, &node.outputs[..], node.dilation), ("Conv", &["y"][..], 3));
        assert_eq!(node.inputs, ["x", "w"]);
        let tensor = &graph.tensors["w"];
        assert_eq!(
            (&tensor.shape[..], tensor.data_type, &tensor.data[..]),
            (&[2, 300][..], FLOAT, &[7; 12][..])
        );
        assert_eq!(graph.tensors["zero"].data[..], [0xff, 5]);
        assert_eq!(graph.operators(), BTreeMap::from([("Conv", 1)]));
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
                let _ = Graph::parse(&changed);
            }
        }
    }
}
