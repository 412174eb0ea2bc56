//! Attention of the rows of many sequences, each to its own past, which grows at its end.

use half::f16;

use crate::cpu::Isa;
use crate::{arch, elementwise, pool};

/// Positions by which memory grows: doubling would hold up to three times what is used.
const GROWTH: usize = 128;
/// Numbers read by a task, at least.
const SHARE: usize = 16 * 1024;

/// Keys and values of one sequence in one layer, a row a position.
#[derive(Clone, Debug)]
pub struct GrowingKeyValues {
    width: usize,
    positions: usize,
    rows: Rows,
}

#[derive(Clone, Debug)]
enum Rows {
    F32(Vec<f32>, Vec<f32>),
    F16(Vec<f16>, Vec<f16>),
}

impl GrowingKeyValues {
    /// No positions yet; rows of `width` numbers, kept in 32 bits if `wide`, else in 16.
    pub fn new(width: usize, wide: bool) -> Self {
        let rows = if wide { Rows::F32(vec![], vec![]) } else { Rows::F16(vec![], vec![]) };
        Self { width, positions: 0, rows }
    }

    /// Adds a position.
    pub fn push(&mut self, key: &[f32], value: &[f32]) {
        assert!(key.len() == self.width && value.len() == self.width, "rows of {} expected", self.width);
        match &mut self.rows {
            Rows::F32(keys, values) => {
                extend(keys, key.iter().copied());
                extend(values, value.iter().copied());
            }
            Rows::F16(keys, values) => {
                extend(keys, key.iter().map(|&v| f16::from_f32(v)));
                extend(values, value.iter().map(|&v| f16::from_f32(v)));
            }
        }
        self.positions += 1;
    }

    /// Number of positions.
    pub fn positions(&self) -> usize {
        self.positions
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        match &self.rows {
            Rows::F32(keys, values) => (keys.capacity() + values.capacity()) * 4,
            Rows::F16(keys, values) => (keys.capacity() + values.capacity()) * 2,
        }
    }
}

fn extend<T>(to: &mut Vec<T>, row: impl ExactSizeIterator<Item = T>) {
    if to.capacity() - to.len() < row.len() {
        to.reserve_exact(GROWTH * row.len());
    }
    to.extend(row);
}

/// What a row of queries sees: the first so many positions of a sequence.
#[derive(Clone, Copy, Debug)]
pub struct Past<'a> {
    /// The sequence.
    pub sequence: &'a GrowingKeyValues,
    /// Positions seen, at least one.
    pub positions: usize,
}

/// `out = softmax(scale q k^T) v` per head and row, each row over its own past; `queries` and `out` are
/// `[rows, heads * head_dim]`.
pub fn attend_growing(queries: &[f32], scale: f32, heads: usize, pasts: &[Past<'_>], out: &mut [f32]) {
    attend_with(Isa::current(), queries, scale, heads, pasts, out);
}

fn attend_with(isa: Isa, queries: &[f32], scale: f32, heads: usize, pasts: &[Past<'_>], out: &mut [f32]) {
    let width = queries.len() / pasts.len().max(1);
    let dim = width / heads;
    assert!(queries.len() == pasts.len() * width && out.len() == queries.len() && dim * heads == width);
    assert!(
        pasts
            .iter()
            .all(|past| past.sequence.width == width
                && (1..=past.sequence.positions).contains(&past.positions)),
        "a row's past does not fit"
    );
    let work: usize = pasts.iter().map(|past| past.positions * width).sum();
    // Half of a row's heads, or of many short rows as many as are worth a task.
    let share = (SHARE * pasts.len() * heads / work.max(1)).max(heads.div_ceil(2));
    pool::for_each_chunk(out, share * dim, |task, out| {
        let mut weights = Vec::new();
        for (i, out) in out.chunks_exact_mut(dim).enumerate() {
            let (row, head) = ((task * share + i) / heads, (task * share + i) % heads);
            let query = &queries[row * width + head * dim..][..dim];
            let (past, columns) = (pasts[row], head * dim..(head + 1) * dim);
            weights.clear();
            out.fill(0.0);
            match &past.sequence.rows {
                Rows::F32(keys, values) => {
                    let rows = |data| rows(data, width, past.positions);
                    weights
                        .extend(rows(keys).map(|key| scale * arch::dot(isa, query, &key[columns.clone()])));
                    elementwise::softmax(&mut weights);
                    for (weight, value) in weights.iter().zip(rows(values)) {
                        arch::add_scaled(isa, *weight, &value[columns.clone()], out);
                    }
                }
                Rows::F16(keys, values) => {
                    let rows = |data| rows(data, width, past.positions);
                    weights.extend(
                        rows(keys).map(|key| scale * arch::dot_f16(isa, query, &key[columns.clone()])),
                    );
                    elementwise::softmax(&mut weights);
                    for (weight, value) in weights.iter().zip(rows(values)) {
                        arch::add_scaled_f16(isa, *weight, &value[columns.clone()], out);
                    }
                }
            }
        }
    });
}

fn rows<T>(data: &[T], width: usize, count: usize) -> impl Iterator<Item = &[T]> {
    data.chunks_exact(width).take(count)
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
        for (heads, dim) in [(3, 12), (2, 16), (1, 7)] {
            let width = heads * dim;
            let lengths = [1_usize, 40, 300];
            let data: Vec<_> =
                lengths.iter().map(|&n| (noise(n * width, n), noise(n * width, n + 1))).collect();
            for (wide, tolerance) in [(true, 5e-6), (false, 4e-3)] {
                let sequences: Vec<_> = data
                    .iter()
                    .map(|(keys, values)| {
                        let mut sequence = GrowingKeyValues::new(width, wide);
                        for (key, value) in keys.chunks(width).zip(values.chunks(width)) {
                            sequence.push(key, value);
                        }
                        sequence
                    })
                    .collect();
                // The second sequence is seen by two rows, one of which sees less of it.
                let seen = [(0, 1), (1, 17), (1, 40), (2, 300)];
                let pasts = seen.map(|(s, positions)| Past { sequence: &sequences[s], positions });
                let queries = noise(seen.len() * width, 99);
                let scale = 0.3;
                for isa in Isa::available() {
                    let mut got = vec![9.0; queries.len()];
                    attend_with(isa, &queries, scale, heads, &pasts, &mut got);
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
