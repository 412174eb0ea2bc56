//! The embedding matrix of a vocabulary: rows are looked up for a model's input, and its product with states gives logits.
//!
//! The choice of the next token depends on small differences between the largest logits, for which 8 bits per weight are too
//! few. So a quantized embedding has a second part, the 4 bits below: all logits are computed with the first part, which every
//! step reads whole, and the largest ones are corrected with the second.

use crate::cpu::Isa;
use crate::elementwise::max_of;
use crate::epilogue::Epilogue;
use crate::matrix::{Matrix, Precision};
use crate::pool::{self, SharedMut};
use crate::quantized_panels::{nearest, step_of};
use crate::vecmath::TO_INTEGER;
use crate::vectorize::vectorized;

/// Minimum number of a row's largest logits that are corrected: several times what a search needs.
const BEST: usize = 32;

/// Logits per group; a group is searched only if its largest logit is large enough.
const GROUP: usize = 64;

/// Tasks that a row is divided into for the search of its largest logits.
const PARTS: usize = 4;

/// Fine steps per coarse step.
const FINE_STEPS: f32 = 16.0;

/// Offset of the fine steps, which are stored unsigned.
const MIDDLE: i32 = 8;

/// An embedding matrix, `[tokens, width]`.
#[derive(Clone, Debug)]
pub struct LogitsMatrix {
    weights: Matrix,
    fine: Option<Fine>,
}

/// The remainder of weights that were rounded to 8 bits.
#[derive(Clone, Debug)]
struct Fine {
    /// Bytes of a token's row: half the width, rounded up.
    row_bytes: usize,
    /// Two numbers of 4 bits per byte: one of a row's first half and, in the upper bits, one of its second half.
    steps: Vec<u8>,
    /// The scale of each token.
    scales: Vec<f32>,
}

impl LogitsMatrix {
    /// Packs `tokens` rows of `width` numbers; `fill(token, row)` writes one. It is called once per row, from several
    /// threads.
    pub fn pack(
        precision: Precision,
        tokens: usize,
        width: usize,
        fill: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Self {
        if precision != Precision::Int8 {
            return Self { weights: Matrix::pack(precision, tokens, width, fill), fine: None };
        }
        let row_bytes = width.div_ceil(2);
        let (mut steps, mut scales) = (vec![0_u8; tokens * row_bytes], vec![0.0_f32; tokens]);
        let (all_steps, all_scales) = (SharedMut::new(&mut steps), SharedMut::new(&mut scales));
        let weights = Matrix::pack(precision, tokens, width, |token, row| {
            fill(token, row);
            // SAFETY: `fill` is called once per token, so no other call writes to these places.
            let (steps, scale) =
                unsafe { (all_steps.slice(token * row_bytes, row_bytes), all_scales.slice(token, 1)) };
            scale[0] = vectorized(
                Isa::current(),
                #[inline(always)]
                || pack_row(row, steps),
            );
        });
        Self { weights, fine: Some(Fine { row_bytes, steps, scales }) }
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        let fine =
            self.fine.as_ref().map_or(0, |fine| fine.steps.len() + size_of_val(fine.scales.as_slice()));
        self.weights.bytes() + fine
    }

    /// Bytes read by [`LogitsMatrix::scores`], without the fine part of the few largest ones.
    pub fn bytes_of_scores(&self) -> usize {
        self.weights.bytes()
    }

    /// A token's row.
    pub fn row(&self, token: usize, to: &mut [f32]) {
        self.weights.row(token, to);
        if let Some(fine) = &self.fine {
            fine.add_row(token, to);
        }
    }

    /// Logits `[rows, tokens]` of states `[rows, width]`. If quantized, all but the largest of each row use 8 bits per weight.
    pub fn scores(&self, states: &[f32], rows: usize, out: &mut [f32]) {
        self.weights.apply(states, rows, out, &Epilogue::default());
        if let Some(fine) = &self.fine {
            fine.correct_best(Isa::current(), states, self.weights.inputs(), out);
        }
    }

    /// The logit of one state and one token, with all bits.
    pub fn score(&self, state: &[f32], token: usize) -> f32 {
        let mut row = vec![0.0; self.weights.inputs()];
        self.row(token, &mut row);
        row.iter().zip(state).map(|(w, x)| w * x).sum()
    }
}

impl Fine {
    fn row(&self, token: usize) -> &[u8] {
        &self.steps[token * self.row_bytes..][..self.row_bytes]
    }

    /// Adds a token's row to `to`.
    fn add_row(&self, token: usize, to: &mut [f32]) {
        let (scale, row) = (self.scales[token], self.row(token));
        let (low, high) = to.split_at_mut(self.row_bytes);
        low.iter_mut().zip(row).for_each(|(to, byte)| *to += worth(byte & 15) * scale);
        high.iter_mut().zip(row).for_each(|(to, byte)| *to += worth(byte >> 4) * scale);
    }

    /// Corrects the largest logits of each row, `[rows, tokens]`, by the fine part.
    fn correct_best(&self, isa: Isa, states: &[f32], width: usize, scores: &mut [f32]) {
        let (tokens, rows) = (self.scales.len(), states.len() / width);
        let groups = tokens.div_ceil(GROUP);
        let groups_a_part = groups.div_ceil(PARTS);
        let mut largest = vec![f32::NEG_INFINITY; rows * groups];
        let (shared, shared_largest) = (SharedMut::new(scores), SharedMut::new(&mut largest));
        // The row and groups of a task.
        let part = |task: usize| {
            let first = groups.min(task % PARTS * groups_a_part);
            (task / PARTS, first..groups.min(first + groups_a_part))
        };
        let group = |r: usize, g: usize| {
            let first = g * GROUP;
            // SAFETY: each task accesses only the columns of its own groups of its own row.
            unsafe { shared.slice(r * tokens + first, GROUP.min(tokens - first)) }
        };
        pool::run(rows * PARTS, |task| {
            let (r, part) = part(task);
            // SAFETY: these places are this task's alone.
            let largest = unsafe { shared_largest.slice(r * groups + part.start, part.len()) };
            vectorized(
                isa,
                #[inline(always)]
                || largest.iter_mut().zip(part).for_each(|(largest, g)| *largest = max_of(group(r, g))),
            );
        });
        let thresholds: Vec<f32> = largest.chunks_exact(groups).map(threshold).collect();
        pool::run(rows * PARTS, |task| {
            let (r, part) = part(task);
            let state = &states[r * width..][..width];
            for g in part.filter(|&g| largest[r * groups + g] >= thresholds[r]) {
                for (i, score) in group(r, g).iter_mut().enumerate() {
                    if *score >= thresholds[r] {
                        let token = g * GROUP + i;
                        let left_out = vectorized(
                            isa,
                            #[inline(always)]
                            || product(self.row(token), state),
                        );
                        *score += left_out * self.scales[token];
                    }
                }
            }
        });
    }
}

/// Packs a row's remainder after rounding to the coarse part, as [`Fine`] stores it; returns its scale.
#[inline(always)]
fn pack_row(row: &[f32], to: &mut [u8]) -> f32 {
    let (step, steps_in_one) = step_of::<i8>(row);
    let left = |weight: f32| {
        let steps = weight * steps_in_one;
        let left = (steps - nearest(steps)) * FINE_STEPS + MIDDLE as f32;
        (left.clamp(0.0, 15.0) + TO_INTEGER).to_bits() as u8
    };
    let (low, high) = row.split_at(to.len());
    to.iter_mut().zip(low).for_each(|(to, &weight)| *to = left(weight));
    to.iter_mut().zip(high).for_each(|(to, &weight)| *to |= left(weight) << 4);
    step / FINE_STEPS
}

/// A threshold that at least [`BEST`] logits reach, from the largest of each group; minus infinity for a small vocabulary.
fn threshold(largest: &[f32]) -> f32 {
    if largest.len() < BEST {
        return f32::NEG_INFINITY;
    }
    let mut largest = largest.to_vec();
    *largest.select_nth_unstable_by(BEST - 1, |a, b| b.total_cmp(a)).1
}

/// Fine steps of four bits.
#[inline(always)]
fn worth(bits: u8) -> f32 {
    (i32::from(bits) - MIDDLE) as f32
}

/// A row of fine steps times a state.
#[inline(always)]
fn product(steps: &[u8], state: &[f32]) -> f32 {
    let (low, high) = state.split_at(steps.len());
    let (chunks, lows, highs) =
        (steps.as_chunks::<16>().0, low.as_chunks::<16>().0, high.as_chunks::<16>().0);
    let mut lanes = [0.0_f32; 16];
    for ((steps, low), high) in chunks.iter().zip(lows).zip(highs) {
        for i in 0..16 {
            lanes[i] += worth(steps[i] & 15) * low[i] + worth(steps[i] >> 4) * high[i];
        }
    }
    // If the width is odd, the upper half is one shorter and may have one chunk less.
    let done = chunks.len().min(highs.len()) * 16;
    let mut sum: f32 = lanes.iter().sum();
    for (i, byte) in steps.iter().enumerate().skip(done) {
        sum += worth(byte & 15) * low[i] + worth(byte >> 4) * high.get(i).copied().unwrap_or(0.0);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::floats;

    const TOKENS: usize = 64 * GROUP + 37;
    const WIDTH: usize = 71;

    fn pack(precision: Precision, weights: &[f32]) -> LogitsMatrix {
        LogitsMatrix::pack(precision, TOKENS, WIDTH, |token, row| {
            row.copy_from_slice(&weights[token * WIDTH..][..WIDTH]);
        })
    }

    #[test]
    fn rows_are_looked_up() {
        let weights = floats(TOKENS * WIDTH, 1);
        for (precision, tolerance) in
            [(Precision::F32, 0.0), (Precision::F16, 1e-3), (Precision::Int8, 2.0 / 127.0 / 16.0)]
        {
            let vocabulary = pack(precision, &weights);
            let mut row = [0.0; WIDTH];
            for token in (0..TOKENS).step_by(13) {
                vocabulary.row(token, &mut row);
                for (got, want) in row.iter().zip(&weights[token * WIDTH..]) {
                    assert!((got - want).abs() <= tolerance, "{precision:?}: {got}, {want}");
                }
            }
        }
    }

    #[test]
    fn the_best_scores_have_all_bits_and_the_others_eight() {
        let weights = floats(TOKENS * WIDTH, 1);
        let (exact, rounded) = (pack(Precision::F32, &weights), pack(Precision::Int8, &weights));
        for rows in [1, 5, 6, 13] {
            let states = floats(rows * WIDTH, 2);
            let (mut want, mut coarse) = (vec![0.0; rows * TOKENS], vec![0.0; rows * TOKENS]);
            exact.scores(&states, rows, &mut want);
            rounded.weights.apply(&states, rows, &mut coarse, &Epilogue::default());
            for isa in Isa::available() {
                let mut got = coarse.clone();
                rounded.fine.as_ref().unwrap().correct_best(isa, &states, WIDTH, &mut got);
                for (r, (got, want)) in got.chunks(TOKENS).zip(want.chunks(TOKENS)).enumerate() {
                    let mut order: Vec<usize> = (0..TOKENS).collect();
                    order.sort_by(|&a, &b| want[b].total_cmp(&want[a]));
                    for (rank, &token) in order.iter().enumerate() {
                        let error = (got[token] - want[token]).abs();
                        let allowed = if rank < BEST / 2 { 0.02 } else { 0.25 };
                        assert!(error <= allowed, "{isa:?} row {r} rank {rank}: {error}");
                    }
                    let (state, last) = (&states[r * WIDTH..][..WIDTH], order[TOKENS - 1]);
                    assert!((rounded.score(state, last) - want[last]).abs() <= 0.02);
                    assert!((exact.score(state, last) - want[last]).abs() <= 1e-4);
                }
            }
        }
    }

    #[test]
    fn small_vocabularies_and_zero_states() {
        let vocabulary = LogitsMatrix::pack(Precision::Int8, 3, 5, |token, row| {
            row.iter_mut().enumerate().for_each(|(i, v)| *v = token as f32 * (i as f32 + 0.31));
        });
        let mut scores = [1.0; 6];
        vocabulary.scores(&[1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0], 2, &mut scores);
        for (got, want) in scores.iter().zip([0.0, 11.55, 23.1, 0.0, 0.0, 0.0]) {
            assert!((got - want).abs() < 0.01, "{got}, {want}");
        }
    }
}
