//! Tiny random Whisper models, and what Hugging Face transformers computes for them.
//!
//! `tools/make_tiny_whisper.py` wrote `tests/data/tiny_whisper.json` from the same weights and input, which both sides
//! compute by formula: a hash of the tensor's name and the element's index.

use std::path::Path;

use flate2::Crc;
use half::f16;
use safetensors::tensor::{Dtype as Stored, TensorView};
use serde::Deserialize;

/// The fixture.
#[derive(Deserialize)]
pub(in crate::whisper) struct Fixture {
    /// Mel frames of the input.
    pub(in crate::whisper) frames: usize,
    /// Encoder positions that were sampled, and every how many channels.
    pub(in crate::whisper) positions: Vec<usize>,
    pub(in crate::whisper) state_step: usize,
    /// Logits were sampled at every so many tokens of the vocabulary.
    pub(in crate::whisper) vocabulary_step: usize,
    /// Positions over which alignment weights are normalised, and every how many were sampled.
    pub(in crate::whisper) alignment_frames: usize,
    pub(in crate::whisper) alignment_step: usize,
    pub(in crate::whisper) variants: Vec<Variant>,
}

/// A model and its results.
#[derive(Deserialize)]
pub(in crate::whisper) struct Variant {
    pub(in crate::whisper) name: String,
    pub(in crate::whisper) n_mels: usize,
    pub(in crate::whisper) vocab_size: usize,
    pub(in crate::whisper) width: usize,
    pub(in crate::whisper) ffn_width: usize,
    pub(in crate::whisper) encoder_layers: usize,
    pub(in crate::whisper) decoder_layers: usize,
    pub(in crate::whisper) stores_encoder_positions: bool,
    /// Of all tensors as f16, in the order of their names.
    pub weights_crc32: u32,
    pub(in crate::whisper) tokens: Vec<u32>,
    /// `[positions, width / state_step]`.
    pub(in crate::whisper) encoder_states: Vec<f32>,
    /// `[tokens, ceil(vocab_size / vocabulary_step)]`.
    pub(in crate::whisper) logits: Vec<f32>,
    /// Of each token's logits, over the whole vocabulary.
    pub(in crate::whisper) log_sum_exp: Vec<f32>,
    /// Token with the largest logit.
    pub(in crate::whisper) best_tokens: Vec<u32>,
    pub(in crate::whisper) next_logprobs: Vec<f32>,
    /// Number of heads: all of the upper half of the decoder's layers.
    pub(in crate::whisper) alignment_heads: usize,
    /// `[heads, tokens, ceil(alignment_frames / alignment_step)]`.
    pub(in crate::whisper) alignment_weights: Vec<f32>,
}

/// Reads the fixture.
pub(in crate::whisper) fn fixture() -> Fixture {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tiny_whisper.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The sequence `name`: uniform in [-1, 1), the index times the golden ratio plus the name's CRC through "lowbias32".
fn noise(name: &str, count: usize) -> impl Iterator<Item = f32> {
    let mut crc = Crc::new();
    crc.update(name.as_bytes());
    let seed = crc.sum();
    (0..count as u32).map(move |index| {
        let mut x = index.wrapping_mul(0x9e37_79b9).wrapping_add(seed);
        x = (x ^ x >> 16).wrapping_mul(0x7feb_352d);
        x = (x ^ x >> 15).wrapping_mul(0x846c_a68b);
        x ^= x >> 16;
        (x >> 8) as f32 * 2f32.powi(-23) - 1.0
    })
}

impl Variant {
    /// The input, `[n_mels, frames]`.
    pub(in crate::whisper) fn mel(&self, frames: usize) -> Vec<f32> {
        noise("mel", self.n_mels * frames).collect()
    }

    /// Writes the model as a Hugging Face folder.
    pub(in crate::whisper) fn write(&self, folder: &Path) {
        let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = self
            .plan()
            .into_iter()
            .map(|(name, shape, center, amplitude)| {
                let values = noise(&name, shape.iter().product()).map(|value| center + amplitude * value);
                let bytes = values.flat_map(|value| f16::from_f32(value).to_le_bytes()).collect();
                (name, shape, bytes)
            })
            .collect();
        let views = tensors
            .iter()
            .map(|(name, shape, bytes)| (name, TensorView::new(Stored::F16, shape.clone(), bytes).unwrap()));
        safetensors::serialize_to_file(views, None, &folder.join("model.safetensors")).unwrap();
        let config = serde_json::json!({
            "model_type": "whisper", "activation_function": "gelu", "d_model": self.width,
            "vocab_size": self.vocab_size, "num_mel_bins": self.n_mels,
            "encoder_layers": self.encoder_layers, "encoder_attention_heads": self.width / 64,
            "decoder_layers": self.decoder_layers, "decoder_attention_heads": self.width / 64,
        });
        std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    }

    /// Name, shape, center and amplitude of each tensor, as `tools/make_random_whisper.py` plans them.
    fn plan(&self) -> Vec<(String, Vec<usize>, f32, f32)> {
        let width = self.width;
        let mut plan = Vec::new();
        let mut add = |name: String, shape: &[usize], center: f64, amplitude: f64| {
            plan.push((name, shape.to_vec(), center as f32, amplitude as f32));
        };
        for (conv, inputs) in [("conv1", self.n_mels), ("conv2", width)] {
            let amplitude = 2.0 * (1.0 / inputs as f64).sqrt();
            add(format!("model.encoder.{conv}.weight"), &[width, inputs, 3], 0.0, amplitude);
            add(format!("model.encoder.{conv}.bias"), &[width], 0.0, 0.1);
        }
        if self.stores_encoder_positions {
            add("model.encoder.embed_positions.weight".into(), &[1500, width], 0.0, 0.5);
        }
        add("model.decoder.embed_tokens.weight".into(), &[self.vocab_size, width], 0.0, 0.25);
        add("model.decoder.embed_positions.weight".into(), &[448, width], 0.0, 0.25);

        let mut linear = |name: String, outputs: usize, inputs: usize, gain: f64| {
            add(format!("{name}.weight"), &[outputs, inputs], 0.0, gain * (3.0 / inputs as f64).sqrt());
            if !name.ends_with("k_proj") {
                add(format!("{name}.bias"), &[outputs], 0.0, 0.1);
            }
        };
        let sides = [("encoder", self.encoder_layers), ("decoder", self.decoder_layers)];
        let layers = || sides.iter().flat_map(|(side, count)| (0..*count).map(move |layer| (*side, layer)));
        let attentions =
            |side| if side == "decoder" { &["self_attn", "encoder_attn"][..] } else { &["self_attn"] };
        for (side, layer) in layers() {
            let prefix = format!("model.{side}.layers.{layer}");
            for attention in attentions(side) {
                for (projection, gain) in
                    [("q_proj", 1.5), ("k_proj", 1.5), ("v_proj", 1.0), ("out_proj", 0.5)]
                {
                    linear(format!("{prefix}.{attention}.{projection}"), width, width, gain);
                }
            }
            linear(format!("{prefix}.fc1"), self.ffn_width, width, 1.0);
            linear(format!("{prefix}.fc2"), width, self.ffn_width, 0.5);
        }
        let mut norm = |name: String| {
            add(format!("{name}.weight"), &[width], 1.0, 0.25);
            add(format!("{name}.bias"), &[width], 0.0, 0.1);
        };
        for (side, layer) in layers() {
            let prefix = format!("model.{side}.layers.{layer}");
            for attention in attentions(side) {
                norm(format!("{prefix}.{attention}_layer_norm"));
            }
            norm(format!("{prefix}.final_layer_norm"));
        }
        for (side, _) in sides {
            norm(format!("model.{side}.layer_norm"));
        }
        plan
    }
}
