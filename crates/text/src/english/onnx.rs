//! The tensors of an ONNX file, read without a runtime: enough of protocol buffers to reach a graph's initializers.
//!
//! Field numbers are those of `onnx.proto3` (ONNX 1.x): ModelProto.graph = 7, GraphProto.initializer = 5, TensorProto
//! dims = 1, data_type = 2, float_data = 4, int32_data = 5 (also of int8 tensors), name = 8, raw_data = 9.

use std::collections::HashMap;

/// A dense tensor.
pub(super) struct Tensor {
    /// Sizes, outermost first.
    pub(super) shape: Vec<usize>,
    /// Row-major values.
    pub(super) data: Data,
}

/// A tensor's values.
pub(super) enum Data {
    F32(Vec<f32>),
    I8(Vec<i8>),
}

/// All float32 and int8 initializers by name, in file order; other types are left out. None if the bytes are no ONNX.
pub(super) fn initializers(model: &[u8]) -> Option<HashMap<String, Tensor>> {
    let mut tensors = HashMap::new();
    for graph in Fields(model).messages(7) {
        for tensor in Fields(graph?).messages(5) {
            if let Some((name, tensor)) = read_tensor(tensor?)? {
                tensors.insert(name, tensor);
            }
        }
    }
    Some(tensors)
}

/// None if malformed, `Some(None)` if of a type not wanted.
fn read_tensor(bytes: &[u8]) -> Option<Option<(String, Tensor)>> {
    let (mut shape, mut data_type, mut name) = (Vec::new(), 0, String::new());
    let mut raw: &[u8] = &[];
    let (mut floats, mut integers) = (Vec::new(), Vec::new());
    for field in Fields(bytes) {
        match field? {
            (1, Value::Varint(size)) => shape.push(usize::try_from(size).ok()?),
            (1, Value::Bytes(packed)) => {
                for size in varints(packed) {
                    shape.push(usize::try_from(size?).ok()?);
                }
            }
            (2, Value::Varint(kind)) => data_type = kind,
            (4, Value::Bytes(packed) | Value::Fixed(packed)) => floats.extend_from_slice(packed),
            (5, Value::Varint(value)) => integers.push(value),
            (5, Value::Bytes(packed)) => {
                for value in varints(packed) {
                    integers.push(value?);
                }
            }
            (8, Value::Bytes(text)) => name = String::from_utf8(text.to_vec()).ok()?,
            (9, Value::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let data = match data_type {
        1 => {
            let bytes = if raw.is_empty() { &floats } else { raw };
            let (values, []) = bytes.as_chunks::<4>() else {
                return None;
            };
            Data::F32(values.iter().map(|value| f32::from_le_bytes(*value)).collect())
        }
        3 if raw.is_empty() => Data::I8(integers.into_iter().map(|value| value as i8).collect()),
        3 => Data::I8(raw.iter().map(|byte| byte.cast_signed()).collect()),
        _ => return Some(None),
    };
    let len = match &data {
        Data::F32(values) => values.len(),
        Data::I8(values) => values.len(),
    };
    let expected = shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size))?;
    (len == expected).then_some(Some((name, Tensor { shape, data })))
}

enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Fixed(&'a [u8]),
}

/// The fields of one message: number and value; ends after the first malformed one.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The embedded messages of field `number`.
    fn messages(self, number: u64) -> impl Iterator<Item = Option<&'a [u8]>> {
        self.filter_map(move |field| match field {
            None => Some(None),
            Some((found, Value::Bytes(bytes))) if found == number => Some(Some(bytes)),
            Some(_) => None,
        })
    }

    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let key = varint(&mut self.0)?;
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut self.0)?),
            1 => Value::Fixed(self.take(8)?),
            2 => {
                let len = usize::try_from(varint(&mut self.0)?).ok()?;
                Value::Bytes(self.take(len)?)
            }
            5 => Value::Fixed(self.take(4)?),
            _ => return None,
        };
        Some((key >> 3, value))
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(len)?;
        self.0 = tail;
        Some(head)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// Packed integers; ends after a malformed one.
fn varints(mut packed: &[u8]) -> impl Iterator<Item = Option<u64>> {
    std::iter::from_fn(move || {
        if packed.is_empty() {
            return None;
        }
        let value = varint(&mut packed);
        if value.is_none() {
            packed = &[];
        }
        Some(value)
    })
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// One length-delimited field.
    pub(in super::super) fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2];
        let mut len = bytes.len();
        while len >= 0x80 {
            out.push(len as u8 | 0x80);
            len >>= 7;
        }
        out.push(len as u8);
        out.extend(bytes);
        out
    }

    /// A float32 initializer as a graph field.
    pub(in super::super) fn initializer(name: &str, shape: &[u8], values: &[f32]) -> Vec<u8> {
        let mut tensor: Vec<u8> =
            shape.iter().flat_map(|size| [1 << 3, 0x80 | size & 0x7f, size >> 7]).collect();
        tensor.extend([2 << 3, 1]);
        tensor.extend(field(8, name.as_bytes()));
        tensor.extend(field(9, &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>()));
        field(5, &tensor)
    }

    #[test]
    fn reads_names_shapes_and_values() {
        let graph = [initializer("w", &[2, 1], &[1.5, -2.0]), initializer("b", &[1], &[0.25])].concat();
        let model = [vec![1 << 3, 8], field(7, &graph)].concat();
        let tensors = initializers(&model).unwrap();
        assert_eq!(tensors["w"].shape, [2, 1]);
        assert!(matches!(&tensors["w"].data, Data::F32(values) if values == &[1.5, -2.0]));
        assert!(matches!(&tensors["b"].data, Data::F32(values) if values == &[0.25]));
        for cut in 1..model.len() - 1 {
            // Any truncation is refused or yields fewer tensors; none panics.
            assert!(initializers(&model[..cut]).is_none_or(|tensors| tensors.len() < 2), "{cut}");
        }
    }
}
