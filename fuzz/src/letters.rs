//! A fast letter-to-sound network: the structure of a voice's own, with one narrow layer and random weights.

use std::path::Path;

use mynah_testkit::onnx::{field, float_tensor};

const WIDTH: usize = 4;
const HIDDEN: usize = 4;

/// The network's ONNX file for the alphabet beside `path`, the JSON file of the same name; empty if there is none, as
/// for the voice's other networks.
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
    // Matrices are named by their position in the exported graph.
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
        let numbers = (0..shape.iter().product::<usize>()).map(|_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 40) as f32 / (1 << 23) as f32 - 1.0
        });
        graph.extend(float_tensor(&name, &shape, &numbers.collect::<Vec<f32>>()));
    }
    field(7, &graph)
}
