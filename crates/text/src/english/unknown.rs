//! Phonemes of words that no dictionary has: the voice's own letter-to-sound network.
//!
//! A pre-norm transformer encoder over characters (Vaswani et al. 2017; Xiong et al. 2020 for the norm's place) whose
//! head gives several labels a character, read by collapsing repeats and dropping blanks (CTC, Graves et al. 2006).
//! It is small enough (0.65 M weights, words of at most 24 characters) that plain loops answer within a millisecond
//! or two, so no inference runtime is needed.

use std::collections::HashMap;
use std::path::Path;

use mynah_weights::onnx::{Graph, Tensor};
use serde::Deserialize;

use super::{Error, files};

const EPSILON: f32 = 1e-5;
const HEADS: usize = 4;
/// Exporters name the transposed weight matrices by their place in the graph: this one first, then four a layer.
const FIRST_MATRIX: usize = 490;
const MATRICES_PER_LAYER: [(usize, &str); 4] = [
    (0, "self_attn.in_proj_bias"),
    (8, "self_attn.out_proj.bias"),
    (9, "linear1.bias"),
    (10, "linear2.bias"),
];

#[derive(Deserialize)]
struct Alphabet {
    r#in: Vec<char>,
    out: Vec<char>,
    slots: usize,
    maxlen: usize,
}

/// The letter-to-sound network.
pub(super) struct Unknown {
    letters: HashMap<char, usize>,
    phonemes: Vec<char>,
    slots: usize,
    max_letters: usize,
    width: usize,
    embedding: Vec<f32>,
    positions: Vec<f32>,
    layers: Vec<Layer>,
    norm: Norm,
    head: Linear,
}

struct Layer {
    norm1: Norm,
    in_proj: Linear,
    out_proj: Linear,
    norm2: Norm,
    linear1: Linear,
    linear2: Linear,
}

struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// `y = x · weight + bias`, weight `[inputs, outputs]`.
struct Linear {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Unknown {
    /// Reads the network `path` (ONNX) and its alphabet, the JSON file of the same name.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let alphabet: Alphabet = files::json(&path.with_extension("json"))?;
        let model = files::bytes(path)?;
        Self::build(alphabet, &model).map_err(|reason| Error::Data { path: path.to_owned(), reason })
    }

    fn build(alphabet: Alphabet, model: &[u8]) -> Result<Self, String> {
        let graph = Graph::parse(model).map_err(|reason| format!("not an ONNX file: {reason}"))?;
        let weights = Weights(graph.tensors);
        let (positions, shape) = weights.floats("m.pos")?;
        let &[max_letters, width] = shape else {
            return Err("m.pos is not a matrix".into());
        };
        if max_letters < alphabet.maxlen || alphabet.maxlen == 0 || width == 0 || width % HEADS != 0 {
            return Err(format!(
                "positions of shape {shape:?} do not fit words of {} letters",
                alphabet.maxlen
            ));
        }
        let (embedding, shape) = weights.floats("m.emb.weight")?;
        if *shape != [alphabet.r#in.len() + 1, width] {
            return Err(format!("an embedding of shape {shape:?} for {} letters", alphabet.r#in.len()));
        }
        let mut layers = Vec::new();
        while weights.0.contains_key(format!("m.layers.{}.norm1.weight", layers.len()).as_str()) {
            layers.push(weights.layer(layers.len(), width)?);
        }
        let head = weights.linear(
            FIRST_MATRIX + 11 * layers.len(),
            "m.head.bias",
            width,
            alphabet.slots * (alphabet.out.len() + 1),
        )?;
        Ok(Self {
            letters: alphabet.r#in.into_iter().enumerate().map(|(i, c)| (c, i + 1)).collect(),
            phonemes: alphabet.out,
            slots: alphabet.slots,
            max_letters: alphabet.maxlen,
            width,
            embedding,
            positions,
            layers,
            norm: weights.norm("m.norm", width)?,
            head,
        })
    }

    /// How a word sounds; letters the network has not seen are passed over, long words are read in pieces. Empty if
    /// nothing in it is known.
    pub(super) fn phonemes(&self, word: &str) -> String {
        let ids: Vec<usize> = word.chars().filter_map(|c| self.letters.get(&c).copied()).collect();
        ids.chunks(self.max_letters).map(|ids| self.piece(ids)).collect()
    }

    fn piece(&self, ids: &[usize]) -> String {
        let width = self.width;
        let mut x: Vec<f32> = ids
            .iter()
            .flat_map(|id| &self.embedding[id * width..(id + 1) * width])
            .zip(&self.positions)
            .map(|(letter, position)| letter + position)
            .collect();
        for layer in &self.layers {
            let attended = attention(&layer.in_proj.apply(&layer.norm1.apply(&x)), ids.len(), width);
            add(&mut x, &layer.out_proj.apply(&attended));
            let mut hidden = layer.linear1.apply(&layer.norm2.apply(&x));
            for value in &mut hidden {
                *value = gelu(*value);
            }
            add(&mut x, &layer.linear2.apply(&hidden));
        }
        let logits = self.head.apply(&self.norm.apply(&x));
        let labels = logits.chunks_exact(self.head.bias.len() / self.slots).map(argmax);
        let mut phonemes = String::new();
        let mut previous = 0;
        for label in labels {
            if label != previous && label > 0 {
                phonemes.push(self.phonemes[label - 1]);
            }
            previous = label;
        }
        phonemes
    }
}

struct Weights<'a>(HashMap<&'a str, Tensor<'a>>);

impl<'a> Weights<'a> {
    fn tensor(&self, name: &str) -> Result<&Tensor<'a>, String> {
        self.0.get(name).ok_or_else(|| format!("tensor {name} is missing"))
    }

    fn floats(&self, name: &str) -> Result<(Vec<f32>, &[usize]), String> {
        let tensor = self.tensor(name)?;
        let values = tensor.floats().map_err(|reason| format!("tensor {name}: {reason}"))?;
        Ok((values, &tensor.shape))
    }

    fn vector(&self, name: &str, len: usize) -> Result<Vec<f32>, String> {
        let (values, shape) = self.floats(name)?;
        if *shape != [len] {
            return Err(format!("tensor {name} has shape {shape:?}, expected [{len}]"));
        }
        Ok(values)
    }

    fn norm(&self, name: &str, width: usize) -> Result<Norm, String> {
        Ok(Norm {
            weight: self.vector(&format!("{name}.weight"), width)?,
            bias: self.vector(&format!("{name}.bias"), width)?,
        })
    }

    fn layer(&self, index: usize, width: usize) -> Result<Layer, String> {
        let hidden = self.tensor(&format!("m.layers.{index}.linear1.bias"))?.shape.iter().product();
        let linear = |part: usize, inputs, outputs| {
            let (offset, bias) = MATRICES_PER_LAYER[part];
            let matrix = FIRST_MATRIX + 11 * index + offset;
            self.linear(matrix, &format!("m.layers.{index}.{bias}"), inputs, outputs)
        };
        Ok(Layer {
            norm1: self.norm(&format!("m.layers.{index}.norm1"), width)?,
            in_proj: linear(0, width, 3 * width)?,
            out_proj: linear(1, width, width)?,
            norm2: self.norm(&format!("m.layers.{index}.norm2"), width)?,
            linear1: linear(2, width, hidden)?,
            linear2: linear(3, hidden, width)?,
        })
    }

    /// A matrix in float32, or in int8 with one scale, and its bias.
    fn linear(&self, matrix: usize, bias: &str, inputs: usize, outputs: usize) -> Result<Linear, String> {
        let name = format!("onnx::MatMul_{matrix}");
        let quantised = format!("{name}_quantized");
        let (weight, shape) = if let Some(tensor) = self.0.get(quantised.as_str()) {
            let values = tensor.signed_bytes().map_err(|reason| format!("tensor {quantised}: {reason}"))?;
            let (scale, _) = self.floats(&format!("{name}_scale"))?;
            let scale = scale.first().copied().ok_or_else(|| format!("{name} has no scale"))?;
            (values.iter().map(|value| f32::from(*value) * scale).collect(), &*tensor.shape)
        } else {
            self.floats(&name)?
        };
        if *shape != [inputs, outputs] {
            return Err(format!("{name} has shape {shape:?}, expected [{inputs}, {outputs}]"));
        }
        Ok(Linear { weight, bias: self.vector(bias, outputs)? })
    }
}

impl Norm {
    /// Layer normalisation of each row.
    fn apply(&self, x: &[f32]) -> Vec<f32> {
        let width = self.weight.len();
        let mut out = Vec::with_capacity(x.len());
        for row in x.chunks_exact(width) {
            let mean = row.iter().sum::<f32>() / width as f32;
            let variance =
                row.iter().map(|value| (value - mean) * (value - mean)).sum::<f32>() / width as f32;
            let scale = (variance + EPSILON).sqrt().recip();
            out.extend(
                row.iter()
                    .zip(&self.weight)
                    .zip(&self.bias)
                    .map(|((value, weight), bias)| (value - mean) * scale * weight + bias),
            );
        }
        out
    }
}

impl Linear {
    fn apply(&self, x: &[f32]) -> Vec<f32> {
        let outputs = self.bias.len();
        let inputs = self.weight.len() / outputs;
        let mut out = Vec::with_capacity(x.len() / inputs * outputs);
        for row in x.chunks_exact(inputs) {
            let start = out.len();
            out.extend_from_slice(&self.bias);
            for (value, weights) in row.iter().zip(self.weight.chunks_exact(outputs)) {
                for (sum, weight) in out[start..].iter_mut().zip(weights) {
                    *sum += value * weight;
                }
            }
        }
        out
    }
}

/// Self-attention over `length` rows of queries, keys and values side by side, `3 * width` wide.
fn attention(qkv: &[f32], length: usize, width: usize) -> Vec<f32> {
    let size = width / HEADS;
    let row = |position: usize, part: usize, head: usize| {
        let start = position * 3 * width + part * width + head * size;
        &qkv[start..start + size]
    };
    let mut out = vec![0.0; length * width];
    for head in 0..HEADS {
        for position in 0..length {
            let query = row(position, 0, head);
            let mut scores: Vec<f32> =
                (0..length).map(|other| dot(query, row(other, 1, head)) / (size as f32).sqrt()).collect();
            let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let mut total = 0.0;
            for score in &mut scores {
                *score = (*score - largest).exp();
                total += *score;
            }
            let target = position * width + head * size;
            for (other, score) in scores.iter().enumerate() {
                for (sum, value) in out[target..target + size].iter_mut().zip(row(other, 2, head)) {
                    *sum += score / total * value;
                }
            }
        }
    }
    out
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

fn argmax(values: &[f32]) -> usize {
    (1..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best })
}

/// x Φ(x), Φ by Abramowitz and Stegun 7.1.26 (error below 1.5e-7).
fn gelu(x: f32) -> f32 {
    let z = x.abs() / std::f32::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let poly =
        t * (0.254_829_6 + t * (-0.284_496_72 + t * (1.421_413_8 + t * (-1.453_152 + t * 1.061_405_4))));
    let erf = (1.0 - poly * (-z * z).exp()).copysign(x);
    0.5 * x * (1.0 + erf)
}
