//! A letter-to-sound network that answers at once: the shape of a voice's own, with one narrow layer and random weights.

use std::path::Path;

const WIDTH: usize = 4;
const HIDDEN: usize = 4;

/// The network's ONNX file for the alphabet beside `path`, the JSON file of the same name; empty where there is none, as
/// beside the voice's other networks.
pub fn network(path: &Path) -> Vec<u8> {
    #[derive(serde::Deserialize)]
    struct Alphabet {
        r#in: Vec<char>,
        out: Vec<char>,
        slots: usize,
        maxlen: usize,
    }

    let Ok(text) = std::fs::read_to_string(path.with_extension("json")) else { return Vec::new() };
    let alphabet: Alphabet = serde_json::from_str(&text).expect("an alphabet");
    let labels = alphabet.slots * (alphabet.out.len() + 1);
    let layer = |name: &str| format!("m.layers.0.{name}");
    // Matrices are named by their place in the exporter's graph.
    let matrix = |number: usize| format!("onnx::MatMul_{number}");
    let tensors = [
        ("m.pos".to_owned(), vec![alphabet.maxlen, WIDTH]),
        ("m.emb.weight".to_owned(), vec![alphabet.r#in.len() + 1, WIDTH]),
        (layer("norm1.weight"), vec![WIDTH]),
        (layer("norm1.bias"), vec![WIDTH]),
        (layer("norm2.weight"), vec![WIDTH]),
        (layer("norm2.bias"), vec![WIDTH]),
        (matrix(490), vec![WIDTH, 3 * WIDTH]),
        (layer("self_attn.in_proj_bias"), vec![3 * WIDTH]),
        (matrix(498), vec![WIDTH, WIDTH]),
        (layer("self_attn.out_proj.bias"), vec![WIDTH]),
        (matrix(499), vec![WIDTH, HIDDEN]),
        (layer("linear1.bias"), vec![HIDDEN]),
        (matrix(500), vec![HIDDEN, WIDTH]),
        (layer("linear2.bias"), vec![WIDTH]),
        ("m.norm.weight".to_owned(), vec![WIDTH]),
        ("m.norm.bias".to_owned(), vec![WIDTH]),
        (matrix(501), vec![WIDTH, labels]),
        ("m.head.bias".to_owned(), vec![labels]),
    ];
    let mut random = 1_u64;
    let mut graph = Vec::new();
    for (name, shape) in tensors {
        let mut tensor: Vec<u8> = shape.iter().flat_map(|&size| [varint(1 << 3), varint(size)].concat()).collect();
        // The type float, the name, the numbers.
        tensor.extend([varint(2 << 3), varint(1)].concat());
        tensor.extend(field(8, name.as_bytes()));
        let numbers = (0..shape.iter().product::<usize>()).flat_map(|_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((random >> 40) as f32 / (1 << 23) as f32 - 1.0).to_le_bytes()
        });
        tensor.extend(field(9, &numbers.collect::<Vec<u8>>()));
        graph.extend(field(5, &tensor));
    }
    field(7, &graph)
}

/// A field of protocol buffers that is made of bytes.
fn field(number: usize, content: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(content.len()), content.to_vec()].concat()
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
