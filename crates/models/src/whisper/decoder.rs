//! The decoder: rows of tokens, each with its own past, to the states that predict their next tokens.

use std::iter;

use mynah_core::{JobContext, ModelError};
use mynah_kernels::attention::{self, Queries, Span};

use super::Config;
use super::key_values::{AudioKeyValues, Layout, POOL_CROSS};
use super::weights::{Decoder, DecoderLayer, Weights};

/// The audio's keys and values for every decoder layer.
#[derive(Clone, Copy)]
pub(super) struct Cross<'a> {
    /// Of the computed positions.
    pub(super) own: &'a [AudioKeyValues],
    /// Of a window of padding, used for the positions after the computed ones.
    pub(super) trailing: Option<&'a [AudioKeyValues]>,
}

impl Cross<'_> {
    fn attend(&self, layer: usize, queries: Queries<'_>, scale: f32, out: &mut [f32]) {
        let own = &self.own[layer];
        let computed = own.positions();
        let trailing = self.trailing.map(|trailing| &trailing[layer]);
        let trailing = trailing.map(|kv| kv.after(computed, POOL_CROSS));
        let spans: Vec<Span<'_>> = iter::once(own.span(0..computed, 1)).chain(trailing).collect();
        attention::attend_spans(queries, scale, &spans, out);
    }
}

/// Cross-attention keys and values of every decoder layer from encoder states, `[positions, width]`. `pool`: see [`Layout`].
///
/// # Errors
/// [`ModelError::Cancelled`], checked before each layer.
pub(super) fn cross_key_values(
    weights: &Weights,
    config: &Config,
    states: &[f32],
    pool: usize,
    context: JobContext<'_>,
) -> Result<Vec<AudioKeyValues>, ModelError> {
    let width = config.width;
    let (heads, head_dim) = (config.decoder_heads, width / config.decoder_heads);
    let positions = states.len() / width;
    let layout = Layout { heads, head_dim, positions, stride: 2 * width, pool };
    let mut kv = vec![0.0; positions * 2 * width];
    let pack = |layer: &DecoderLayer| {
        let _permit = context.step()?;
        layer.cross.kv.apply(states, positions, &mut kv);
        Ok(AudioKeyValues::pack(weights.wide_key_values, layout, &kv, &kv[width..]))
    };
    weights.decoder.layers.iter().map(pack).collect()
}

/// Self-attention keys and values of all hypotheses.
///
/// A token's keys and values are stored in a *slot*; a hypothesis is a list of slots, so hypotheses share their common prefix
/// and reordering them copies only the lists.
pub(super) struct Cache {
    width: usize,
    /// Per layer, `[slots, width]`.
    keys: Vec<Vec<f32>>,
    values: Vec<Vec<f32>>,
    slots: usize,
    free: Vec<u32>,
}

impl Cache {
    pub(super) fn new(layers: usize, width: usize) -> Self {
        let empty = || vec![Vec::new(); layers];
        Self { width, keys: empty(), values: empty(), slots: 0, free: Vec::new() }
    }

    /// A slot that no hypothesis uses.
    pub(super) fn allocate(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.slots += 1;
            for store in self.keys.iter_mut().chain(&mut self.values) {
                store.resize(self.slots * self.width, 0.0);
            }
            self.slots as u32 - 1
        })
    }

    /// Frees every slot that is not in `used`.
    pub(super) fn retain<'a>(&mut self, used: impl Iterator<Item = &'a u32>) {
        let mut in_use = vec![false; self.slots];
        used.for_each(|&slot| in_use[slot as usize] = true);
        self.free.clear();
        self.free.extend((0..self.slots as u32).rev().filter(|&slot| !in_use[slot as usize]));
    }
}

/// Receives the queries of each layer's cross-attention: layer and queries.
pub(super) type OnQueries<'a> = &'a mut dyn FnMut(usize, Queries<'_>);

/// Rows that attend to the same audio.
pub(super) struct Group<'a> {
    pub(super) cross: Cross<'a>,
    pub(super) cache: &'a mut Cache,
    /// Each row's slots in the cache; its new token's is the last.
    pub(super) past: Vec<&'a [u32]>,
}

/// Feeds `tokens`, each to a row of its own at the last position of its past; the rows of the first group come first. Returns
/// the normalised states, `[tokens, width]`.
pub(super) fn forward(
    decoder: &Decoder,
    config: &Config,
    tokens: &[u32],
    groups: &mut [Group<'_>],
    on_queries: OnQueries<'_>,
) -> Vec<f32> {
    let (width, rows, heads) = (config.width, tokens.len(), config.decoder_heads);
    let scale = ((width / heads) as f32).sqrt().recip();
    let mut x = vec![0.0; rows * width];
    let pasts = groups.iter().flat_map(|group| &group.past);
    for ((x, &token), past) in x.chunks_exact_mut(width).zip(tokens).zip(pasts) {
        decoder.embedding.row(token as usize, x);
        let position = past.len() - 1;
        for (x, p) in x.iter_mut().zip(&decoder.positions[position * width..]) {
            *x += p;
        }
    }
    let mut normed = vec![0.0; rows * width];
    let mut attended = vec![0.0; rows * width];
    let mut qkv = vec![0.0; rows * 3 * width];
    let mut queries = vec![0.0; rows * width];
    let mut hidden = vec![0.0; rows * config.ffn_width];
    for (l, layer) in decoder.layers.iter().enumerate() {
        layer.attention.norm.apply(&x, &mut normed);
        layer.attention.qkv.apply(&normed, rows, &mut qkv);
        let mut rest = (&qkv[..], &mut queries[..], &mut attended[..]);
        for Group { cache, past, .. } in &mut *groups {
            let size = past.len() * width;
            let (qkv, queries, attended);
            (qkv, rest.0) = rest.0.split_at(3 * size);
            (queries, rest.1) = rest.1.split_at_mut(size);
            (attended, rest.2) = rest.2.split_at_mut(size);
            for (i, (qkv, past)) in qkv.chunks_exact(3 * width).zip(&*past).enumerate() {
                let slot = past[past.len() - 1] as usize * width;
                queries[i * width..(i + 1) * width].copy_from_slice(&qkv[..width]);
                cache.keys[l][slot..slot + width].copy_from_slice(&qkv[width..2 * width]);
                cache.values[l][slot..slot + width].copy_from_slice(&qkv[2 * width..]);
            }
            let (keys, values) = (&cache.keys[l], &cache.values[l]);
            attention::attend_cache(queries, scale, heads, past, keys, values, attended);
        }
        layer.attention.out.apply_add(&attended, rows, &mut x);

        layer.cross.norm.apply(&x, &mut normed);
        layer.cross.q.apply(&normed, rows, &mut queries);
        on_queries(l, Queries { data: &queries, rows, stride: width });
        let mut first = 0;
        for Group { cross, past, .. } in &*groups {
            let rows = first..first + past.len() * width;
            first = rows.end;
            let queries = Queries { data: &queries[rows.clone()], rows: past.len(), stride: width };
            cross.attend(l, queries, scale, &mut attended[rows]);
        }
        layer.cross.out.apply_add(&attended, rows, &mut x);

        layer.feed_forward.norm.apply(&x, &mut normed);
        layer.feed_forward.fc1.apply_gelu(&normed, rows, &mut hidden);
        layer.feed_forward.fc2.apply_add(&hidden, rows, &mut x);
    }
    decoder.norm.apply(&x, &mut normed);
    normed
}

/// Cross-attention weights of one head over the first `frames` positions, `[rows, frames]`.
pub(super) fn alignment_weights(
    config: &Config,
    cross: &AudioKeyValues,
    queries: Queries<'_>,
    head: usize,
    frames: usize,
    out: &mut [f32],
) {
    let scale = ((config.width / config.decoder_heads) as f32).sqrt().recip();
    cross.head_scores(queries, scale, head, frames, out);
    out.chunks_exact_mut(frames).for_each(mynah_kernels::elementwise::softmax);
}
