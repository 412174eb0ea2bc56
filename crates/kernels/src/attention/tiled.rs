//! Attention by AMX tiles of bfloat16 numbers: keys and values of a block are split into parts once for all rows of a task.

use std::cell::RefCell;
use std::ops::Range;

use super::{AnyKeyValues, KeyValues, Queries, SCORES_ROW, Span};
use crate::arch::amx::{Interleaver, TileRow, Tiles, floats};
use crate::cpu::Amx;
use crate::gemm::Float;
use crate::panels::PANEL;
use crate::pool::{self, SharedMut};

/// From this number of query rows on, splitting keys and values pays off.
pub(super) const MIN_ROWS: usize = 48;
/// Maximum rows per task: with 64 numbers per head, 350 KB of queries and 200 KB of sums in the second-level cache.
const TASK_ROWS: usize = 24 * floats::STRIP;
/// Keys of a block: with 64 numbers per head, their parts and those of the values take 200 KB.
const BLOCK_KEYS: usize = SCORES_ROW - PANEL;

/// A block of keys.
struct Block {
    /// Numbers per head.
    dim: usize,
    keys: usize,
    /// Number of keys at the beginning that get no weight.
    unwanted: usize,
    /// Added to their scores.
    bias: f32,
}

#[derive(Default)]
struct Scratch {
    /// Rows of queries, whole strips.
    queries: Vec<TileRow>,
    /// Pairs of panels of the block's keys.
    keys: Vec<TileRow>,
    /// Pairs of panels of the block's values.
    values: Vec<TileRow>,
    /// For even strips and for odd ones.
    strips: [Strip; 2],
    /// Weighted sums of values, per row; columns are rounded up to whole pairs of panels.
    sums: Vec<f32>,
    /// Largest score, per row.
    largest: Vec<f32>,
    /// Sum of the weights, per row.
    totals: Vec<f32>,
}

/// A strip's rows with a block's keys.
#[derive(Default)]
struct Strip {
    /// Rows [`SCORES_ROW`] apart.
    scores: Vec<f32>,
    /// Their exponentials.
    weights: Vec<TileRow>,
}

/// [`super::attend_spans`] by tiles; sizes were checked. `shape` is heads and numbers per head.
pub(super) fn attend(
    amx: Amx,
    q: Queries<'_>,
    scale: f32,
    spans: &[Span<'_>],
    shape: [usize; 2],
    out: &SharedMut<f32>,
) {
    thread_local! {
        static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::default());
    }
    let [heads, dim] = shape;
    // Several tasks for each thread, of whole strips.
    let blocks = (4 * pool::threads()).div_ceil(heads).max(q.rows.div_ceil(TASK_ROWS));
    let task_rows = q.rows.div_ceil(blocks).next_multiple_of(floats::STRIP).max(MIN_ROWS);
    let blocks = q.rows.div_ceil(task_rows);
    pool::run(heads * blocks, |task| {
        let (head, first) = (task / blocks, task % blocks * task_rows);
        let rows = first..(first + task_rows).min(q.rows);
        SCRATCH.with_borrow_mut(|scratch| {
            // SAFETY: where AMX is, AVX-512 is.
            unsafe { scratch.begin(&q, rows.clone(), head * dim..(head + 1) * dim, scale) };
            for span in spans {
                match span.kv {
                    AnyKeyValues::F32(kv) => scratch.fold_span(amx, kv, head, rows.len(), span),
                    AnyKeyValues::F16(kv) => scratch.fold_span(amx, kv, head, rows.len(), span),
                }
            }
            let width = dim.next_multiple_of(floats::COLUMNS);
            for ((row, sums), total) in rows.zip(scratch.sums.chunks_exact(width)).zip(&scratch.totals) {
                // SAFETY: these rows and this head's columns of the output are this task's alone.
                let out = unsafe { out.slice(row * heads * dim + head * dim, dim) };
                let scale = 1.0 / total;
                out.iter_mut().zip(sums).for_each(|(out, sum)| *out = sum * scale);
            }
        });
    });
}

impl Scratch {
    /// Splits rows of queries times `scale`, in the columns `part` of a head.
    #[target_feature(enable = "avx512f,avx512bw")]
    fn begin(&mut self, q: &Queries<'_>, rows: Range<usize>, part: Range<usize>, scale: f32) {
        let row_lines = floats::row_lines(part.len());
        let padded = rows.len().next_multiple_of(floats::STRIP);
        self.queries.resize(padded * row_lines, TileRow::ZERO);
        for (row, lines) in rows.zip(self.queries.chunks_exact_mut(row_lines)) {
            let row = &q.data[row * q.stride..][part.clone()];
            for (numbers, lines) in row.chunks(floats::DEPTH).zip(lines.as_chunks_mut().0) {
                floats::split_step(numbers, scale, lines);
            }
        }
        for strip in &mut self.strips {
            strip.scores.resize(floats::STRIP * SCORES_ROW, 0.0);
        }
        self.sums.clear();
        self.sums.resize(padded * part.len().next_multiple_of(floats::COLUMNS), 0.0);
        self.largest.clear();
        self.largest.resize(padded, f32::NEG_INFINITY);
        self.totals.clear();
        self.totals.resize(padded, 0.0);
    }

    /// Folds a span's keys and values into the sums of `rows` rows.
    fn fold_span<T: Float>(
        &mut self,
        amx: Amx,
        kv: &KeyValues<T>,
        head: usize,
        rows: usize,
        span: &Span<'_>,
    ) {
        let Range { start, end } = span.positions;
        // Keys are in panels; those of the first panel before `start` get weight 0.
        let begin = if start < end { start - start % PANEL } else { end };
        for first in (begin..end).step_by(BLOCK_KEYS) {
            let block = Block {
                dim: kv.head_dim,
                keys: BLOCK_KEYS.min(end - first),
                unwanted: start.saturating_sub(first),
                bias: (span.count as f32).ln(),
            };
            self.split_block(amx, kv, head, first, block.keys);
            // SAFETY: the CPU has AVX-512, and no function called there uses tiles of its own.
            unsafe { self.fold_block(&block, rows, &mut Tiles::begin(amx)) };
        }
    }

    /// Splits the keys and values at `first..first + keys` of a head.
    fn split_block<T: Float>(&mut self, amx: Amx, kv: &KeyValues<T>, head: usize, first: usize, keys: usize) {
        let dim = kv.head_dim;
        let split = |lines: &mut Vec<TileRow>,
                     [columns, depth]: [usize; 2],
                     panel: &dyn Fn(usize) -> usize,
                     from: &[T]| {
            let pair_lines = floats::pair_lines(depth);
            lines.resize(columns.div_ceil(floats::COLUMNS) * pair_lines, TileRow::ZERO);
            for p in 0..columns.div_ceil(PANEL) {
                let lines = &mut lines[p / floats::PANELS * pair_lines..][..pair_lines];
                T::split_panel(amx, &from[panel(p)..][..depth * PANEL], p % floats::PANELS, lines);
            }
        };
        split(&mut self.keys, [keys, dim], &|p| (first + p * PANEL) * dim, kv.keys_of(head));
        split(&mut self.values, [dim, keys], &|p| (p * kv.positions + first) * PANEL, kv.values_of(head));
    }

    /// Folds the block of keys and values into the sums of all strips. While vector instructions turn a strip's scores into weights,
    /// tiles multiply the next strip's queries with keys and the previous strip's weights with values.
    #[target_feature(enable = "avx512f,avx512bw")]
    fn fold_block(&mut self, block: &Block, rows: usize, tiles: &mut Tiles) {
        let &Block { dim, keys, .. } = block;
        let (key_lines, value_lines) = (floats::pair_lines(dim), floats::pair_lines(keys));
        let (query_lines, weight_lines) = (floats::row_lines(dim), floats::row_lines(keys));
        let width = dim.next_multiple_of(floats::COLUMNS);
        for strip in &mut self.strips {
            strip.weights.resize(floats::STRIP * weight_lines, TileRow::ZERO);
        }
        let strips = rows.div_ceil(floats::STRIP);
        for stage in 0..strips + 2 {
            let scored = (stage < strips).then_some(stage * floats::STRIP);
            let weighed = stage.saturating_sub(1) * floats::STRIP;
            let weighed =
                weighed..if stage == 0 { 0 } else { rows.min(weighed + floats::STRIP).max(weighed) };
            let summed = stage.checked_sub(2).map(|strip| strip * floats::STRIP);
            let [even, odd] = &mut self.strips;
            let (other, strip) = if stage % 2 == 0 { (even, odd) } else { (odd, even) };
            let (sums_before, sums) = self.sums.split_at_mut(weighed.start * width);
            let products = scored.map_or(0, |_| self.keys.len()) + summed.map_or(0, |_| self.values.len());
            let mut weighing = Weighing {
                block,
                strip,
                sums: &mut sums[..weighed.len() * width],
                largest: &mut self.largest[weighed.clone()],
                totals: &mut self.totals[weighed.clone()],
                total: [0.0; floats::DEPTH],
                row: 0,
                turn: 0,
                interleaver: Interleaver::new(
                    weighed.len() * (1 + floats::steps(keys)),
                    products / floats::STEP_LINES * floats::PRODUCTS,
                ),
            };
            if let Some(first) = scored {
                let queries = (&self.queries[first * query_lines..], query_lines);
                for (pair, keys) in self.keys.chunks_exact(key_lines).enumerate() {
                    let scores = (&mut other.scores[pair * floats::COLUMNS..], SCORES_ROW);
                    floats::multiply(tiles, queries, keys, scores, false, || weighing.go_on());
                }
            }
            if let Some(first) = summed {
                let weights = (other.weights.as_slice(), weight_lines);
                for (pair, values) in self.values.chunks_exact(value_lines).enumerate() {
                    let sums = (&mut sums_before[first * width + pair * floats::COLUMNS..], width);
                    floats::multiply(tiles, weights, values, sums, true, || weighing.go_on());
                }
            }
            weighing.finish();
        }
    }
}

/// A strip's scores that are being turned into weights.
struct Weighing<'a> {
    block: &'a Block,
    strip: &'a mut Strip,
    /// Per row of the strip: weighted sums of values so far, the largest score, and the sum of weights.
    sums: &'a mut [f32],
    largest: &'a mut [f32],
    totals: &'a mut [f32],
    /// Sums of the current row's weights, lane by lane.
    total: [f32; floats::DEPTH],
    row: usize,
    /// The next item of the row: 0 finds its largest score, others are steps of its keys.
    turn: usize,
    interleaver: Interleaver,
}

impl Weighing<'_> {
    /// Does the work that is due during one product of tiles.
    #[inline(never)]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn go_on(&mut self) {
        for _ in 0..self.interleaver.due() {
            self.take_turn();
        }
    }

    /// Does the remaining work.
    #[target_feature(enable = "avx512f,avx512bw")]
    fn finish(mut self) {
        while self.row < self.largest.len() {
            self.take_turn();
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn take_turn(&mut self) {
        if self.turn == 0 {
            self.begin_row();
        } else {
            self.weigh_step(self.turn - 1);
        }
        self.turn += 1;
        if self.turn > floats::steps(self.block.keys) {
            self.totals[self.row] += floats::sum(&self.total);
            (self.row, self.turn) = (self.row + 1, 0);
        }
    }

    /// Finds a row's largest score and rescales its sums accordingly.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn begin_row(&mut self) {
        let (r, width) = (self.row, self.sums.len() / self.largest.len());
        let row = &mut self.strip.scores[r * SCORES_ROW..][..self.block.keys.next_multiple_of(floats::DEPTH)];
        row[..self.block.unwanted].fill(f32::NEG_INFINITY);
        row[self.block.keys..].fill(f32::NEG_INFINITY);
        let before = self.largest[r];
        let largest = floats::largest(row.as_chunks().0) + self.block.bias;
        let largest = if largest > before { largest } else { before };
        let kept = floats::exp(before - largest);
        self.largest[r] = largest;
        self.totals[r] *= kept;
        self.sums[r * width..][..width].iter_mut().for_each(|sum| *sum *= kept);
        self.total.fill(0.0);
    }

    /// Turns a step of a row's scores into weights.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn weigh_step(&mut self, step: usize) {
        let (r, row_lines) = (self.row, floats::row_lines(self.block.keys));
        let scores = &self.strip.scores[r * SCORES_ROW..].as_chunks().0[step];
        let lines = &mut self.strip.weights[r * row_lines..].as_chunks_mut().0[step];
        floats::split_exp(scores, self.largest[r] - self.block.bias, lines, &mut self.total);
    }
}
