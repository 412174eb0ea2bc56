//! A checkpoint's tensors, packed for the kernels.

use std::borrow::Cow;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use mynah_core::{ComputeType, ModelError};
use mynah_kernels::{Epilogue, LogitsMatrix, Matrix, Precision};
use mynah_weights::{Dtype, Tensors};

use super::Config;
use crate::error;

/// `y = x W^T + b`.
pub(super) struct Linear {
    pub(super) weight: Matrix,
    pub(super) bias: Vec<f32>,
}

impl Linear {
    pub(super) fn apply(&self, x: &[f32], rows: usize, out: &mut [f32]) {
        self.weight.apply(x, rows, out, &Epilogue::bias(&self.bias));
    }

    /// Adds the result to `out`.
    pub(super) fn apply_add(&self, x: &[f32], rows: usize, out: &mut [f32]) {
        self.weight.apply(x, rows, out, &Epilogue::bias_add(&self.bias));
    }

    pub(super) fn apply_gelu(&self, x: &[f32], rows: usize, out: &mut [f32]) {
        self.weight.apply(x, rows, out, &Epilogue::bias_gelu(&self.bias));
    }
}

/// Scale and shift of a layer normalisation.
pub(super) struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Norm {
    pub(super) fn apply(&self, x: &[f32], out: &mut [f32]) {
        mynah_kernels::elementwise::layer_norm(x, &self.weight, &self.bias, out);
    }
}

/// Two linear layers with GELU between them.
pub(super) struct FeedForward {
    pub(super) norm: Norm,
    pub(super) fc1: Linear,
    pub(super) fc2: Linear,
}

/// Attention of a sequence to itself; queries, keys and values come from one product, in this order.
pub(super) struct SelfAttention {
    pub(super) norm: Norm,
    pub(super) qkv: Linear,
    pub(super) out: Linear,
}

/// Attention of the text to the audio; keys and values come from one product, in this order.
pub(super) struct CrossAttention {
    pub(super) norm: Norm,
    pub(super) q: Linear,
    pub(super) kv: Linear,
    pub(super) out: Linear,
}

pub(super) struct EncoderLayer {
    pub(super) attention: SelfAttention,
    pub(super) feed_forward: FeedForward,
}

pub(super) struct DecoderLayer {
    pub(super) attention: SelfAttention,
    pub(super) cross: CrossAttention,
    pub(super) feed_forward: FeedForward,
}

pub(super) struct Encoder {
    /// Convolutions of width 3 over time, weights `[out, 3, in]`.
    pub(super) conv1: Linear,
    pub(super) conv2: Linear,
    /// `[audio_positions, width]`.
    pub(super) positions: Vec<f32>,
    pub(super) layers: Vec<EncoderLayer>,
    pub(super) norm: Norm,
}

pub(super) struct Decoder {
    /// `[vocab_size, width]`: the input embedding, and the output layer too unless `output` is set.
    pub(super) embedding: LogitsMatrix,
    pub(super) output: Option<LogitsMatrix>,
    /// `[text_positions, width]`.
    pub(super) positions: Vec<f32>,
    pub(super) layers: Vec<DecoderLayer>,
    pub(super) norm: Norm,
}

impl Decoder {
    /// The output layer, which maps normalised states to the next token's logits.
    pub(super) fn output(&self) -> &LogitsMatrix {
        self.output.as_ref().unwrap_or(&self.embedding)
    }

    /// Bytes of the weights that a step reads.
    pub(super) fn bytes(&self) -> usize {
        let layer = |layer: &DecoderLayer| {
            let DecoderLayer { attention, cross, feed_forward } = layer;
            let products =
                [&attention.qkv, &attention.out, &cross.q, &cross.out, &feed_forward.fc1, &feed_forward.fc2];
            products.iter().map(|product| product.weight.bytes()).sum::<usize>()
        };
        self.output().bytes_of_scores() + self.layers.iter().map(layer).sum::<usize>()
    }
}

/// All weights of a model.
pub(super) struct Weights {
    pub(super) encoder: Encoder,
    pub(super) decoder: Decoder,
    /// Store the audio's keys and values in 32 bits instead of 16.
    pub(super) wide_key_values: bool,
}

impl Weights {
    /// Bytes of the matrices in memory; vectors are not counted, as they are small.
    pub(super) fn bytes(&self) -> usize {
        let feed_forward = |f: &FeedForward| f.fc1.weight.bytes() + f.fc2.weight.bytes();
        let attention = |a: &SelfAttention| a.qkv.weight.bytes() + a.out.weight.bytes();
        let cross = |c: &CrossAttention| c.q.weight.bytes() + c.kv.weight.bytes() + c.out.weight.bytes();
        let Self { encoder, decoder, .. } = self;
        let encoder_bytes =
            encoder.layers.iter().map(|l| attention(&l.attention) + feed_forward(&l.feed_forward));
        let decoder_bytes = decoder
            .layers
            .iter()
            .map(|l| attention(&l.attention) + cross(&l.cross) + feed_forward(&l.feed_forward));
        encoder.conv1.weight.bytes()
            + encoder.conv2.weight.bytes()
            + decoder.embedding.bytes()
            + decoder.output.as_ref().map_or(0, LogitsMatrix::bytes)
            + encoder_bytes.chain(decoder_bytes).sum::<usize>()
    }
}

/// The precision of each part for a [`ComputeType`].
struct Precisions {
    /// Small, and first in the network: never rounded to 8 bits.
    convolutions: Precision,
    encoder: Precision,
    vocabulary: Precision,
    decoder: Precision,
    /// It has four times as many inputs as the other products, so the largest weight per output is larger and rounding coarser.
    decoder_fc2: Precision,
}

/// Up to this width (whisper-base's) the encoder and the decoder's second feed-forward layers have two bytes per weight; below it
/// all of the decoder's layers do. That takes hardly more time and some megabytes, and removes most of the rounding error.
/// Larger models are less sensitive to rounding and more limited by memory.
const MAX_INT16_WIDTH: usize = 512;

impl Precisions {
    fn new(compute: ComputeType, width: usize) -> Self {
        let all = |precision| Self {
            convolutions: precision,
            encoder: precision,
            vocabulary: precision,
            decoder: precision,
            decoder_fc2: precision,
        };
        match compute {
            ComputeType::F32 => all(Precision::F32),
            ComputeType::F16 => all(Precision::F16),
            ComputeType::Auto | ComputeType::Int8 => {
                let wide = if width <= MAX_INT16_WIDTH { Precision::Int16 } else { Precision::Int8 };
                Self {
                    convolutions: Precision::Int16,
                    encoder: wide,
                    vocabulary: Precision::Int8,
                    decoder: if width < MAX_INT16_WIDTH { Precision::Int16 } else { Precision::Int8 },
                    decoder_fc2: wide,
                }
            }
        }
    }
}

impl Weights {
    pub(super) fn load(tensors: &Tensors, config: &Config, compute: ComputeType) -> Result<Self, ModelError> {
        let (width, ffn) = (config.width, config.ffn_width);
        let precisions = Precisions::new(compute, width);
        let read = Reader { tensors, precision: precisions.convolutions };
        let conv =
            |name: &str, inputs: usize| read.convolution(&format!("model.encoder.{name}"), width, inputs);
        let (conv1, conv2) = (conv("conv1", config.n_mels)?, conv("conv2", width)?);
        let read = Reader { tensors, precision: precisions.encoder };
        let encoder = Encoder {
            conv1,
            conv2,
            positions: read.vector("model.encoder.embed_positions.weight", config.audio_positions * width)?,
            layers: (0..config.encoder_layers)
                .map(|i| {
                    let layer = format!("model.encoder.layers.{i}");
                    Ok(EncoderLayer {
                        attention: read.self_attention(&layer, width)?,
                        feed_forward: read.feed_forward(&layer, width, ffn, precisions.encoder)?,
                    })
                })
                .collect::<Result<_, ModelError>>()?,
            norm: read.norm("model.encoder.layer_norm", width)?,
        };
        let read = Reader { tensors, precision: precisions.decoder };
        let vocabulary = |name: &str| read.vocabulary(name, precisions.vocabulary, config.vocab_size, width);
        let separate_output = tensors.shape("proj_out.weight").is_some();
        let decoder = Decoder {
            embedding: vocabulary("model.decoder.embed_tokens.weight")?,
            output: if separate_output { Some(vocabulary("proj_out.weight")?) } else { None },
            positions: read.vector("model.decoder.embed_positions.weight", config.text_positions * width)?,
            layers: (0..config.decoder_layers)
                .map(|i| {
                    let layer = format!("model.decoder.layers.{i}");
                    Ok(DecoderLayer {
                        attention: read.self_attention(&layer, width)?,
                        cross: read.cross_attention(&layer, width, precisions.encoder)?,
                        feed_forward: read.feed_forward(&layer, width, ffn, precisions.decoder_fc2)?,
                    })
                })
                .collect::<Result<_, ModelError>>()?,
            norm: read.norm("model.decoder.layer_norm", width)?,
        };
        Ok(Self { encoder, decoder, wide_key_values: compute == ComputeType::F32 })
    }
}

/// Reads and packs tensors by their canonical names.
struct Reader<'a> {
    tensors: &'a Tensors,
    precision: Precision,
}

impl Reader<'_> {
    fn check(&self, name: &str, shape: &[usize]) -> Result<(), ModelError> {
        match self.tensors.shape(name) {
            None => Err(error::tensor(name, "is missing")),
            Some(found) if found == shape => Ok(()),
            Some(found) => {
                let reason = format!("has shape {found:?}, the configuration says {shape:?}");
                Err(error::tensor(name, reason))
            }
        }
    }

    /// A tensor of `count` numbers, whatever its shape.
    fn vector(&self, name: &str, count: usize) -> Result<Vec<f32>, ModelError> {
        let values = match self.tensors.shape(name) {
            Some(_) => self.tensors.read_f32(name)?,
            None => return Err(error::tensor(name, "is missing")),
        };
        if values.len() == count {
            Ok(values)
        } else {
            let reason = format!("has {} numbers, the configuration says {count}", values.len());
            Err(error::tensor(name, reason))
        }
    }

    /// Tensors of `[outputs, inputs]` each, stacked.
    fn matrix(
        &self,
        precision: Precision,
        names: &[&str],
        outputs: usize,
        inputs: usize,
    ) -> Result<Matrix, ModelError> {
        let parts = names
            .iter()
            .map(|name| {
                self.check(name, &[outputs, inputs])?;
                TensorRows::open(self.tensors, name, inputs)
            })
            .collect::<Result<Vec<_>, ModelError>>()?;
        let matrix = Matrix::pack(precision, names.len() * outputs, inputs, |o, row| {
            parts[o / outputs].read(o % outputs, row);
        });
        Ok(matrix)
    }

    /// An embedding of `[tokens, width]`.
    fn vocabulary(
        &self,
        name: &str,
        precision: Precision,
        tokens: usize,
        width: usize,
    ) -> Result<LogitsMatrix, ModelError> {
        self.check(name, &[tokens, width])?;
        let rows = TensorRows::open(self.tensors, name, width)?;
        Ok(LogitsMatrix::pack(precision, tokens, width, |token, row| rows.read(token, row)))
    }

    /// Biases one after the other; a missing one is zero (Whisper's keys have none).
    fn biases(&self, names: &[&str], width: usize) -> Result<Vec<f32>, ModelError> {
        let mut all = Vec::with_capacity(names.len() * width);
        for name in names {
            match self.tensors.shape(name) {
                Some(_) => all.extend(self.vector(name, width)?),
                None => all.resize(all.len() + width, 0.0),
            }
        }
        Ok(all)
    }

    fn linear(&self, names: &[&str], outputs: usize, inputs: usize) -> Result<Linear, ModelError> {
        self.linear_in(self.precision, names, outputs, inputs)
    }

    fn linear_in(
        &self,
        precision: Precision,
        names: &[&str],
        outputs: usize,
        inputs: usize,
    ) -> Result<Linear, ModelError> {
        let named = |end: &str| names.iter().map(|n| format!("{n}.{end}")).collect::<Vec<_>>();
        let (weights, biases) = (named("weight"), named("bias"));
        let weights: Vec<&str> = weights.iter().map(String::as_str).collect();
        let biases: Vec<&str> = biases.iter().map(String::as_str).collect();
        Ok(Linear {
            weight: self.matrix(precision, &weights, outputs, inputs)?,
            bias: self.biases(&biases, outputs)?,
        })
    }

    fn norm(&self, name: &str, width: usize) -> Result<Norm, ModelError> {
        Ok(Norm {
            weight: self.vector(&format!("{name}.weight"), width)?,
            bias: self.vector(&format!("{name}.bias"), width)?,
        })
    }

    /// `[out, in, 3]` in the checkpoint, `[out, 3, in]` here, as a frame's numbers are contiguous.
    fn convolution(&self, name: &str, outputs: usize, inputs: usize) -> Result<Linear, ModelError> {
        let weight = format!("{name}.weight");
        self.check(&weight, &[outputs, inputs, 3])?;
        let rows = TensorRows::open(self.tensors, &weight, 3 * inputs)?;
        let weight = Matrix::pack(self.precision, outputs, 3 * inputs, |o, row| {
            let mut stored = vec![0.0; 3 * inputs];
            rows.read(o, &mut stored);
            for (i, taps) in stored.chunks_exact(3).enumerate() {
                for (t, tap) in taps.iter().enumerate() {
                    row[t * inputs + i] = *tap;
                }
            }
        });
        Ok(Linear { weight, bias: self.vector(&format!("{name}.bias"), outputs)? })
    }

    fn self_attention(&self, layer: &str, width: usize) -> Result<SelfAttention, ModelError> {
        let name = |part: &str| format!("{layer}.self_attn.{part}_proj");
        Ok(SelfAttention {
            norm: self.norm(&format!("{layer}.self_attn_layer_norm"), width)?,
            qkv: self.linear(&[&name("q"), &name("k"), &name("v")], width, width)?,
            out: self.linear(&[&name("out")], width, width)?,
        })
    }

    /// `kv_precision`: keys and values are computed for all encoder positions at once, like the encoder's products.
    fn cross_attention(
        &self,
        layer: &str,
        width: usize,
        kv_precision: Precision,
    ) -> Result<CrossAttention, ModelError> {
        let name = |part: &str| format!("{layer}.encoder_attn.{part}_proj");
        Ok(CrossAttention {
            norm: self.norm(&format!("{layer}.encoder_attn_layer_norm"), width)?,
            q: self.linear(&[&name("q")], width, width)?,
            kv: self.linear_in(kv_precision, &[&name("k"), &name("v")], width, width)?,
            out: self.linear(&[&name("out")], width, width)?,
        })
    }

    fn feed_forward(
        &self,
        layer: &str,
        width: usize,
        ffn_width: usize,
        fc2_precision: Precision,
    ) -> Result<FeedForward, ModelError> {
        Ok(FeedForward {
            norm: self.norm(&format!("{layer}.final_layer_norm"), width)?,
            fc1: self.linear(&[&format!("{layer}.fc1")], ffn_width, width)?,
            fc2: self.linear_in(fc2_precision, &[&format!("{layer}.fc2")], width, ffn_width)?,
        })
    }
}

/// A tensor read row by row: from its stored floats, or expanded once if it is stored otherwise.
enum TensorRows<'a> {
    Stored { dtype: Dtype, bytes: Cow<'a, [u8]>, inputs: usize },
    Expanded { values: Vec<f32>, inputs: usize },
}

impl<'a> TensorRows<'a> {
    fn open(tensors: &'a Tensors, name: &str, inputs: usize) -> Result<Self, ModelError> {
        Ok(match tensors.raw(name)? {
            Some((dtype, bytes)) => TensorRows::Stored { dtype, bytes, inputs },
            None => TensorRows::Expanded { values: tensors.read_f32(name)?, inputs },
        })
    }

    fn read(&self, row: usize, to: &mut [f32]) {
        match self {
            TensorRows::Expanded { values, inputs } => {
                to.copy_from_slice(&values[row * inputs..(row + 1) * inputs]);
            }
            TensorRows::Stored { dtype: Dtype::F32, bytes, inputs } => {
                let bytes = &bytes[row * inputs * 4..(row + 1) * inputs * 4];
                for (to, b) in to.iter_mut().zip(bytes.as_chunks::<4>().0) {
                    *to = f32::from_le_bytes(*b);
                }
            }
            TensorRows::Stored { dtype, bytes, inputs } => {
                let bytes = &bytes[row * inputs * 2..(row + 1) * inputs * 2];
                let words = bytes.as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b));
                // The file's bytes may be unaligned, so they are copied before they are converted together.
                if *dtype == Dtype::F16 {
                    let row: Vec<f16> = words.map(f16::from_bits).collect();
                    row.as_slice().convert_to_f32_slice(to);
                } else {
                    let row: Vec<bf16> = words.map(bf16::from_bits).collect();
                    row.as_slice().convert_to_f32_slice(to);
                }
            }
        }
    }
}
