//! Writers of parts of ONNX files, for tests of readers.

/// A Protocol Buffers field of bytes.
pub fn field(number: usize, content: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(content.len()), content.to_vec()].concat()
}

/// A float32 tensor of this shape with raw data, as a field of a graph.
pub fn float_tensor(name: &str, shape: &[usize], values: &[f32]) -> Vec<u8> {
    let mut tensor: Vec<u8> =
        shape.iter().flat_map(|&size| [varint(1 << 3), varint(size)].concat()).collect();
    // The type float, the name, the numbers.
    tensor.extend([varint(2 << 3), varint(1)].concat());
    tensor.extend(field(8, name.as_bytes()));
    tensor.extend(field(9, &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>()));
    field(5, &tensor)
}

fn varint(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}
