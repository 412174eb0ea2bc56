//! Attention of rows of many sequences, each to its own past, which grows by appending.

use half::f16;

use crate::arch::row_ops::{Number, add_weighted, products};
use crate::cpu::Isa;
use crate::{elementwise, pool};

/// Positions per block: memory grows block by block, and existing blocks are never moved.
const BLOCK: usize = 128;
/// Minimum numbers read per task.
const SHARE: usize = 16 * 1024;

/// Keys and values of one sequence in one layer.
#[derive(Clone, Debug)]
pub struct GrowingKeyValues {
    heads: usize,
    head_dim: usize,
    positions: usize,
    blocks: Blocks,
}

#[derive(Clone, Debug)]
enum Blocks {
    F32(Vec<Block<f32>>),
    F16(Vec<Block<f16>>),
}

/// Keys and values of BLOCK positions, each `[heads][BLOCK][head_dim]`: a head's numbers are contiguous.
#[derive(Clone, Debug)]
struct Block<T> {
    keys: Box<[T]>,
    values: Box<[T]>,
}

impl GrowingKeyValues {
    /// An empty sequence; rows of `heads * head_dim` numbers, stored in 32 bits if `wide`, else in 16.
    pub fn new(heads: usize, head_dim: usize, wide: bool) -> Self {
        let blocks = if wide { Blocks::F32(vec![]) } else { Blocks::F16(vec![]) };
        Self { heads, head_dim, positions: 0, blocks }
    }

    /// Appends a position: one row of keys and one of values, of all heads.
    pub fn push(&mut self, key: &[f32], value: &[f32]) {
        let width = self.heads * self.head_dim;
        assert!(key.len() == width && value.len() == width, "rows of {width} expected");
        match &mut self.blocks {
            Blocks::F32(blocks) => push(blocks, self.positions, self.head_dim, key, value),
            Blocks::F16(blocks) => push(blocks, self.positions, self.head_dim, key, value),
        }
        self.positions += 1;
    }

    /// Number of positions.
    pub fn positions(&self) -> usize {
        self.positions
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        let block = 2 * BLOCK * self.heads * self.head_dim;
        match &self.blocks {
            Blocks::F32(blocks) => blocks.len() * block * size_of::<f32>(),
            Blocks::F16(blocks) => blocks.len() * block * size_of::<f16>(),
        }
    }
}

fn push<T: Number>(blocks: &mut Vec<Block<T>>, position: usize, head_dim: usize, key: &[f32], value: &[f32]) {
    if position == blocks.len() * BLOCK {
        let empty = || vec![T::default(); BLOCK * key.len()].into();
        blocks.push(Block { keys: empty(), values: empty() });
    }
    let Some(block) = blocks.last_mut() else { return };
    for (to, from) in [(&mut block.keys, key), (&mut block.values, value)] {
        for (to, from) in to.chunks_exact_mut(BLOCK * head_dim).zip(from.chunks_exact(head_dim)) {
            for (to, &from) in to[position % BLOCK * head_dim..].iter_mut().zip(from) {
                *to = T::from_f32(from);
            }
        }
    }
}

/// What a row of queries attends to: the first positions of a sequence.
#[derive(Clone, Copy, Debug)]
pub struct Past<'a> {
    /// The sequence.
    pub sequence: &'a GrowingKeyValues,
    /// Number of positions, at least one.
    pub positions: usize,
}

/// `out = softmax(scale q k^T) v` per head and row, each row over its own past; `queries` and `out` are
/// `[rows, heads * head_dim]`.
pub fn attend_growing(queries: &[f32], scale: f32, pasts: &[Past<'_>], out: &mut [f32]) {
    attend_with(Isa::current(), queries, scale, pasts, out);
}

fn attend_with(isa: Isa, queries: &[f32], scale: f32, pasts: &[Past<'_>], out: &mut [f32]) {
    let Some(first) = pasts.first().map(|past| past.sequence) else { return };
    let (heads, dim, width) = (first.heads, first.head_dim, first.heads * first.head_dim);
    assert!(queries.len() == pasts.len() * width && out.len() == queries.len(), "rows of {width} expected");
    assert!(
        pasts.iter().all(|past| (past.sequence.heads, past.sequence.head_dim) == (heads, dim)
            && (1..=past.sequence.positions).contains(&past.positions)),
        "a row's past does not fit"
    );
    let work: usize = pasts.iter().map(|past| past.positions * width).sum();
    // Half of a row's heads per task, or, for many short rows, enough heads for a task to be worthwhile.
    let share = (SHARE * pasts.len() * heads / work.max(1)).max(heads.div_ceil(2));
    pool::for_each_chunk(out, share * dim, |task, out| {
        let mut weights = Vec::new();
        for (i, out) in out.chunks_exact_mut(dim).enumerate() {
            let (row, head) = ((task * share + i) / heads, (task * share + i) % heads);
            let query = &queries[row * width + head * dim..][..dim];
            weights.resize(pasts[row].positions, 0.0);
            match &pasts[row].sequence.blocks {
                Blocks::F32(blocks) => attend_head(isa, query, scale, head, blocks, &mut weights, out),
                Blocks::F16(blocks) => attend_head(isa, query, scale, head, blocks, &mut weights, out),
            }
        }
    });
}

/// `weights` has one number per position attended to.
fn attend_head<T: Number>(
    isa: Isa,
    query: &[f32],
    scale: f32,
    head: usize,
    blocks: &[Block<T>],
    weights: &mut [f32],
    out: &mut [f32],
) {
    let dim = query.len();
    for (weights, block) in weights.chunks_mut(BLOCK).zip(blocks) {
        let keys = &block.keys[head * BLOCK * dim..][..weights.len() * dim];
        products(isa, query, keys, |r| r * dim, scale, weights);
    }
    elementwise::softmax(weights);
    out.fill(0.0);
    for (weights, block) in weights.chunks(BLOCK).zip(blocks) {
        let values = &block.values[head * BLOCK * dim..][..weights.len() * dim];
        add_weighted(isa, weights, values, |r| r * dim, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|i| (((i + 7 * seed) * 7919 % 1009) as f32 / 504.5 - 1.0) * 2.0).collect()
    }

    fn reference(q: &[f32], keys: &[&[f32]], values: &[&[f32]], scale: f32) -> Vec<f64> {
        let scores = keys.iter().map(|k| {
            k.iter().zip(q).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() * f64::from(scale)
        });
        let weights: Vec<f64> = scores.map(f64::exp).collect();
        let sum: f64 = weights.iter().sum();
        let value = |d: usize| values.iter().zip(&weights).map(|(v, w)| w / sum * f64::from(v[d])).sum();
        (0..q.len()).map(value).collect()
    }

    #[test]
    fn every_row_sees_its_own_past_on_every_instruction_set() {
        for (heads, dim) in [(3, 12), (2, 16), (1, 7), (2, 72)] {
            let width = heads * dim;
            let lengths = [1_usize, 40, 300];
            let data: Vec<_> =
                lengths.iter().map(|&n| (noise(n * width, n), noise(n * width, n + 1))).collect();
            for (wide, tolerance) in [(true, 5e-6), (false, 4e-3)] {
                let sequences: Vec<_> = data
                    .iter()
                    .map(|(keys, values)| {
                        let mut sequence = GrowingKeyValues::new(heads, dim, wide);
                        for (key, value) in keys.chunks(width).zip(values.chunks(width)) {
                            sequence.push(key, value);
                        }
                        sequence
                    })
                    .collect();
                // Two rows attend to the second sequence, one of them to fewer positions.
                let seen = [(0, 1), (1, 17), (1, 40), (2, 300)];
                let pasts = seen.map(|(s, positions)| Past { sequence: &sequences[s], positions });
                let queries = noise(seen.len() * width, 99);
                let scale = 0.3;
                for isa in Isa::available() {
                    let mut got = vec![9.0; queries.len()];
                    attend_with(isa, &queries, scale, &pasts, &mut got);
                    for (row, (s, positions)) in seen.into_iter().enumerate() {
                        for head in 0..heads {
                            let part = |data: &'_ [f32]| -> Vec<Vec<f32>> {
                                let rows = data.chunks(width).take(positions);
                                rows.map(|row| row[head * dim..][..dim].to_vec()).collect()
                            };
                            let (keys, values) = (part(&data[s].0), part(&data[s].1));
                            let keys: Vec<&[f32]> = keys.iter().map(Vec::as_slice).collect();
                            let values: Vec<&[f32]> = values.iter().map(Vec::as_slice).collect();
                            let at = row * width + head * dim;
                            let want = reference(&queries[at..at + dim], &keys, &values, scale);
                            for (got, want) in got[at..].iter().zip(want) {
                                let off = (f64::from(*got) - want).abs();
                                assert!(off < tolerance, "{isa:?} row {row}: {got}, expected {want}");
                            }
                        }
                    }
                }
            }
        }
    }
}
