//! The language model: a Llama (arXiv:2302.13971) with input and output layers for text tokens and audio codes.

use mynah_core::{CancelFlag, ModelError};
use mynah_kernels::attention::{GrowingKeyValues, Past, attend_growing};
use mynah_kernels::{Epilogue, Matrix, Precision, RmsNorm, Rotary, vecmath};

use super::Config;
use super::weights::Reader;

pub(super) struct Gpt {
    pub(super) config: Config,
    layers: Vec<Layer>,
    norm: RmsNorm,
    rotary: Rotary,
    text_embedding: Matrix,
    /// All codebooks, stacked.
    code_embedding: Matrix,
    text_head: Matrix,
    /// All codebooks, stacked.
    code_head: Matrix,
    /// Store keys and values in 32 bits instead of 16.
    wide_cache: bool,
}

struct Layer {
    attention_norm: RmsNorm,
    /// Queries, keys and values from one product, in this order.
    qkv: Matrix,
    out: Matrix,
    ffn_norm: RmsNorm,
    /// Gates and values from one product, in this order.
    gate_up: Matrix,
    down: Matrix,
}

/// Keys and values of a text and its speech so far.
#[derive(Default)]
pub(super) struct Sequence {
    layers: Vec<GrowingKeyValues>,
}

/// Receives the states after each layer; for tests.
pub(super) type OnLayer<'a> = &'a mut dyn FnMut(usize, &[f32]);

impl Gpt {
    pub(super) fn load(config: Config, gpt: &Reader<'_>, embed: &Reader<'_>) -> Result<Self, ModelError> {
        let (width, ffn) = (config.width, config.ffn_width);
        let norm = |name: &str| -> Result<RmsNorm, ModelError> {
            Ok(RmsNorm::new(gpt.floats(name, [width])?, config.norm_epsilon))
        };
        let layers = (0..config.layers)
            .map(|i| {
                let name = |part: &str| format!("layers.{i}.{part}.weight");
                let projections = ["q", "k", "v"].map(|p| name(&format!("self_attn.{p}_proj")));
                let gates = ["gate", "up"].map(|p| name(&format!("mlp.{p}_proj")));
                Ok(Layer {
                    attention_norm: norm(&name("input_layernorm"))?,
                    qkv: gpt.stacked(&projections, width, width)?,
                    out: gpt.matrix(&name("self_attn.o_proj"), width, width)?,
                    ffn_norm: norm(&name("post_attention_layernorm"))?,
                    gate_up: gpt.stacked(&gates, ffn, width)?,
                    down: gpt.matrix(&name("mlp.down_proj"), width, ffn)?,
                })
            })
            .collect::<Result<_, ModelError>>()?;
        // Embeddings are looked up, not multiplied: 8 bits would save no time.
        let wide = gpt.precision == Precision::F32;
        let lookup = Reader { precision: if wide { Precision::F32 } else { Precision::F16 }, ..*embed };
        let codebooks = |name: &str| -> Vec<String> {
            (0..config.codebooks).map(|k| name.replace('{', &k.to_string())).collect()
        };
        Ok(Self {
            layers,
            norm: norm("norm.weight")?,
            rotary: Rotary::new(width / config.heads, config.rope_theta),
            text_embedding: lookup.matrix("emb_text.weight", config.text_tokens, width)?,
            code_embedding: lookup.stacked(&codebooks("emb_code.{.weight"), config.audio_tokens, width)?,
            text_head: embed.weight_normalised(&["head_text".into()], config.text_tokens, width)?,
            code_head: embed.weight_normalised(&codebooks("head_code.{"), config.audio_tokens, width)?,
            wide_cache: wide,
            config,
        })
    }

    /// Bytes of weights.
    pub(super) fn bytes(&self) -> usize {
        let layer = |l: &Layer| l.qkv.bytes() + l.out.bytes() + l.gate_up.bytes() + l.down.bytes();
        let ends = [&self.text_embedding, &self.code_embedding, &self.text_head, &self.code_head];
        self.layers.iter().map(layer).sum::<usize>() + ends.iter().map(|m| m.bytes()).sum::<usize>()
    }

    pub(super) fn sequence(&self) -> Sequence {
        let empty =
            GrowingKeyValues::new(self.config.heads, self.config.width / self.config.heads, self.wide_cache);
        Sequence { layers: vec![empty; self.layers.len()] }
    }

    /// Embedding of a text token; the caller ensures that the id is valid.
    pub(super) fn embed_text(&self, id: u32, to: &mut [f32]) {
        self.text_embedding.row(id as usize, to);
    }

    /// Embedding of one step of audio: the sum over its codebooks.
    pub(super) fn embed_codes(&self, codes: &[u32], to: &mut [f32]) {
        let mut row = vec![0.0; to.len()];
        to.fill(0.0);
        for (k, &code) in codes.iter().enumerate() {
            self.code_embedding.row(k * self.config.audio_tokens + code as usize, &mut row);
            to.iter_mut().zip(&row).for_each(|(to, v)| *to += v);
        }
    }

    /// Feeds `x`, rows of embeddings: `counts[i]` rows for sequence i, in order. `x` becomes the states before
    /// the last norm; returns the normalised states of each sequence's last row, `[sequences, width]`.
    pub(super) fn forward(
        &self,
        x: &mut [f32],
        sequences: &mut [&mut Sequence],
        counts: &[usize],
        cancel: &CancelFlag,
        on_layer: OnLayer<'_>,
    ) -> Result<Vec<f32>, ModelError> {
        let Config { width, ffn_width, heads, .. } = self.config;
        let rows = x.len() / width;
        debug_assert_eq!(counts.iter().sum::<usize>(), rows);
        let scale = ((width / heads) as f32).sqrt().recip();
        let mut normed = vec![0.0; rows * width];
        let mut attended = vec![0.0; rows * width];
        let mut queries = vec![0.0; rows * width];
        let mut qkv = vec![0.0; rows * 3 * width];
        let mut gate_up = vec![0.0; rows * 2 * ffn_width];
        let mut gated = vec![0.0; rows * ffn_width];
        let plain = Epilogue::default();
        let add = Epilogue { add: true, ..plain };
        for (l, layer) in self.layers.iter().enumerate() {
            cancel.check()?;
            layer.attention_norm.apply(x, &mut normed);
            layer.qkv.apply(&normed, rows, &mut qkv, &plain);
            let mut projected = qkv.chunks_exact_mut(3 * width).zip(queries.chunks_exact_mut(width));
            for (sequence, &count) in sequences.iter_mut().zip(counts) {
                let past = &mut sequence.layers[l];
                for (qkv, query) in projected.by_ref().take(count) {
                    let (q, kv) = qkv.split_at_mut(width);
                    let (k, v) = kv.split_at_mut(width);
                    self.rotary.rotate(past.positions(), q);
                    self.rotary.rotate(past.positions(), k);
                    query.copy_from_slice(q);
                    past.push(k, v);
                }
            }
            let pasts: Vec<Past<'_>> = sequences
                .iter()
                .zip(counts)
                .flat_map(|(sequence, &count)| {
                    let sequence = &sequence.layers[l];
                    let end = sequence.positions();
                    (end - count + 1..=end).map(move |positions| Past { sequence, positions })
                })
                .collect();
            attend_growing(&queries, scale, &pasts, &mut attended);
            layer.out.apply(&attended, rows, x, &add);

            layer.ffn_norm.apply(x, &mut normed);
            layer.gate_up.apply(&normed, rows, &mut gate_up, &plain);
            vecmath::swiglu(&gate_up, ffn_width, &mut gated);
            layer.down.apply(&gated, rows, x, &add);
            on_layer(l, x);
        }
        let mut last = Vec::with_capacity(sequences.len() * width);
        let mut end = 0;
        for count in counts {
            end += count;
            last.extend_from_slice(&x[(end - 1) * width..end * width]);
        }
        let mut states = vec![0.0; last.len()];
        self.norm.apply(&last, &mut states);
        Ok(states)
    }

    /// The last norm alone; for tests.
    #[cfg(test)]
    pub(super) fn normalise(&self, x: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; x.len()];
        self.norm.apply(x, &mut out);
        out
    }

    /// Logits of the next text token, `[rows, text_tokens]`.
    pub(super) fn text_logits(&self, states: &[f32]) -> Vec<f32> {
        logits(&self.text_head, states)
    }

    /// Logits of the next codes, `[rows, codebooks, audio_tokens]`.
    pub(super) fn code_logits(&self, states: &[f32]) -> Vec<f32> {
        logits(&self.code_head, states)
    }
}

fn logits(head: &Matrix, states: &[f32]) -> Vec<f32> {
    let rows = states.len() / head.inputs();
    let mut out = vec![0.0; rows * head.outputs()];
    head.apply(states, rows, &mut out, &Epilogue::default());
    out
}
