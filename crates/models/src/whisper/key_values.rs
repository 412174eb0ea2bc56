//! One layer's keys and values for positions of the audio.

use std::ops::Range;

use half::f16;
use mynah_kernels::attention::{self, KeyValues, Queries, Span};

/// Consecutive positions of padding that are pooled for the encoder: their mean is stored once and weighted by their number.
/// Neighbouring positions of padding are so similar that this costs no accuracy; otherwise a short clip would spend most of its
/// attention time on padding. The 1500 positions of Whisper's models are a multiple of both pool sizes.
pub(super) const POOL_ENCODER: usize = 12;
/// The same for the decoder, which is more sensitive: with ten, Japanese and Korean lose three points.
pub(super) const POOL_CROSS: usize = 4;

/// One layer's keys and values, in 32 or 16 bits.
pub(super) enum AudioKeyValues {
    F32(KeyValues<f32>),
    F16(KeyValues<f16>),
}

/// Memory layout of keys and values before they are packed.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    pub(super) heads: usize,
    pub(super) head_dim: usize,
    pub(super) positions: usize,
    /// Numbers from one position to the next.
    pub(super) stride: usize,
    /// Number of consecutive positions that are packed as one, their mean; 1 packs each.
    pub(super) pool: usize,
}

impl AudioKeyValues {
    /// `wide`: in 32 bits.
    pub(super) fn pack(wide: bool, layout: Layout, keys: &[f32], values: &[f32]) -> Self {
        let Layout { heads, head_dim, positions, stride, pool } = layout;
        if pool > 1 {
            let width = heads * head_dim;
            let mean = |x: &[f32]| means(x, positions, stride, width, pool);
            let layout = Layout { positions: positions.div_ceil(pool), stride: width, pool: 1, ..layout };
            return Self::pack(wide, layout, &mean(keys), &mean(values));
        }
        if wide {
            Self::F32(KeyValues::pack(heads, head_dim, positions, keys, values, stride))
        } else {
            Self::F16(KeyValues::pack(heads, head_dim, positions, keys, values, stride))
        }
    }

    pub(super) fn positions(&self) -> usize {
        match self {
            Self::F32(kv) => kv.positions(),
            Self::F16(kv) => kv.positions(),
        }
    }

    /// `count`: see [`Span`].
    pub(super) fn span(&self, positions: Range<usize>, count: usize) -> Span<'_> {
        let kv = match self {
            Self::F32(kv) => kv.into(),
            Self::F16(kv) => kv.into(),
        };
        Span { kv, positions, count }
    }

    /// For keys and values of padding: the span for the positions after the `computed` ones; `pool` of them are stored as one.
    pub(super) fn after(&self, computed: usize, pool: usize) -> Span<'_> {
        self.span(computed / pool..self.positions(), pool)
    }

    /// See [`attention::head_scores`].
    pub(super) fn head_scores(
        &self,
        queries: Queries<'_>,
        scale: f32,
        head: usize,
        positions: usize,
        out: &mut [f32],
    ) {
        match self {
            Self::F32(kv) => attention::head_scores(queries, scale, kv, head, positions, out),
            Self::F16(kv) => attention::head_scores(queries, scale, kv, head, positions, out),
        }
    }
}

/// The mean of each `count` of the `rows` rows of `width` numbers, which lie `stride` apart.
fn means(x: &[f32], rows: usize, stride: usize, width: usize, count: usize) -> Vec<f32> {
    let mut means = vec![0.0; rows.div_ceil(count) * width];
    for (mean, first) in means.chunks_exact_mut(width).zip((0..rows).step_by(count)) {
        let rows = first..rows.min(first + count);
        let share = (rows.len() as f32).recip();
        for row in rows {
            for (mean, x) in mean.iter_mut().zip(&x[row * stride..][..width]) {
                *mean += share * x;
            }
        }
    }
    means
}
