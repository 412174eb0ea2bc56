//! Keys and values of a fixed length, in panels.

use crate::arch::panel_count;
use crate::gemm::Float;
use crate::panels::{self, PANEL};
use crate::pool;

/// Keys and values of all heads, packed for [`super::attend`].
#[derive(Clone, Debug)]
pub struct KeyValues<T> {
    pub(super) heads: usize,
    pub(super) head_dim: usize,
    pub(super) positions: usize,
    /// Per head, panels with one column per position.
    keys: Vec<T>,
    /// Per head, panels with one row per position and one column per dimension.
    values: Vec<T>,
}

impl<T: Float> KeyValues<T> {
    /// Packs `positions` rows of `heads * head_dim` keys and values; rows are `stride` numbers apart in both.
    pub fn pack(
        heads: usize,
        head_dim: usize,
        positions: usize,
        keys: &[f32],
        values: &[f32],
        stride: usize,
    ) -> Self {
        let key_size = panel_count(positions) * head_dim * PANEL;
        let value_size = panel_count(head_dim) * positions * PANEL;
        let mut packed_keys = vec![T::default(); heads * key_size];
        let mut packed_values = vec![T::default(); heads * value_size];
        pool::for_each_chunk(&mut packed_keys, key_size, |head, packed| {
            let key = |position: usize| &keys[position * stride + head * head_dim..][..head_dim];
            let mut wide = vec![0.0; head_dim * PANEL];
            for (panel, packed) in packed.chunks_exact_mut(head_dim * PANEL).enumerate() {
                let first = panel * PANEL;
                let filled = PANEL.min(positions - first);
                let fours = filled / 4 * 4;
                for i in (0..fours).step_by(4) {
                    let four = [first + i, first + i + 1, first + i + 2, first + i + 3].map(key);
                    panels::interleave_four(four, &mut wide[i..], PANEL);
                }
                for i in fours..filled {
                    panels::set_column(&mut wide, head_dim, i, key(first + i));
                }
                wide.chunks_exact_mut(PANEL).for_each(|row| row[filled..].fill(0.0));
                T::from_f32s(&wide, packed);
            }
        });
        pool::for_each_chunk(&mut packed_values, value_size, |head, packed| {
            for position in 0..positions {
                let value = &values[position * stride + head * head_dim..][..head_dim];
                for (panel, part) in value.chunks(PANEL).enumerate() {
                    let at = (panel * positions + position) * PANEL;
                    T::from_f32s(part, &mut packed[at..at + part.len()]);
                }
            }
        });
        Self { heads, head_dim, positions, keys: packed_keys, values: packed_values }
    }

    /// Restores what [`KeyValues::packed`] returned; `None` if the lengths do not fit the shape.
    pub fn from_packed(
        heads: usize,
        head_dim: usize,
        positions: usize,
        keys: Vec<T>,
        values: Vec<T>,
    ) -> Option<Self> {
        let key_size = panel_count(positions) * head_dim * PANEL;
        let value_size = panel_count(head_dim) * positions * PANEL;
        let fits = keys.len() == heads * key_size && values.len() == heads * value_size;
        fits.then_some(Self { heads, head_dim, positions, keys, values })
    }

    /// The packed keys and the packed values, in the layout of this build's kernels.
    pub fn packed(&self) -> (&[T], &[T]) {
        (&self.keys, &self.values)
    }

    /// Number of positions.
    pub fn positions(&self) -> usize {
        self.positions
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        size_of_val(self.keys.as_slice()) + size_of_val(self.values.as_slice())
    }

    pub(super) fn keys_of(&self, head: usize) -> &[T] {
        let size = panel_count(self.positions) * self.head_dim * PANEL;
        &self.keys[head * size..(head + 1) * size]
    }

    pub(super) fn values_of(&self, head: usize) -> &[T] {
        let size = panel_count(self.head_dim) * self.positions * PANEL;
        &self.values[head * size..(head + 1) * size]
    }
}
