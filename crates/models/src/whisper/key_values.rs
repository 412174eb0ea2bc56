//! Keys and values of a layer for positions of the audio.

use std::ops::Range;

use half::f16;
use mynah_kernels::attention::{self, KeyValues, Queries, Span};

/// One layer's keys and values, in 32 or 16 bits.
pub(super) enum AudioKeyValues {
    F32(KeyValues<f32>),
    F16(KeyValues<f16>),
}

/// How keys and values lie in memory before they are packed.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    pub(super) heads: usize,
    pub(super) head_dim: usize,
    pub(super) positions: usize,
    /// Numbers from one position to the next.
    pub(super) stride: usize,
}

impl AudioKeyValues {
    /// `wide`: in 32 bits.
    pub(super) fn pack(wide: bool, layout: Layout, keys: &[f32], values: &[f32]) -> Self {
        let Layout { heads, head_dim, positions, stride } = layout;
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

    pub(super) fn span(&self, positions: Range<usize>) -> Span<'_> {
        let kv = match self {
            Self::F32(kv) => kv.into(),
            Self::F16(kv) => kv.into(),
        };
        Span { kv, positions }
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
