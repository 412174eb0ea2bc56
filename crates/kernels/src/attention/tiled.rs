//! Attention by tiles of brain floats: keys and values of a block are split into parts once for all rows of a task.

use std::cell::RefCell;
use std::ops::Range;

use super::{AnyKeyValues, KeyValues, Queries, SCORES_ROW, Span};
use crate::arch::amx::floats::{self, Product};
use crate::arch::amx::{Line, Spread, Tiles};
use crate::gemm::Float;
use crate::panels::PANEL;
use crate::pool::{self, SharedMut};

/// From so many rows of queries on it pays to split keys and values.
pub(super) const LEAST_ROWS: usize = 48;
/// Rows of a task at most: with 64 numbers a head, 300 KB of queries and 200 KB of sums in the second-level cache.
const TASK_ROWS: usize = 24 * floats::STRIP;
/// Parts of queries and keys: errors of scores weigh most.
const SCORE_PARTS: usize = 3;
/// Parts of weights and values.
const VALUE_PARTS: usize = 3;
/// Keys of a block: with 64 numbers a head, their parts and those of the values take 200 KB.
const BLOCK_KEYS: usize = SCORES_ROW - PANEL;

/// Keys whose scores become weights between products of tiles.
const KEYS_A_TURN: usize = floats::DEPTH;

/// A block of keys.
struct Block {
    /// Numbers of a head.
    dim: usize,
    keys: usize,
    /// How many of them get no weight, from the first on.
    unwanted: usize,
    /// Added to their scores.
    bias: f32,
}

impl Block {
    /// Keys with those that fill the last turn.
    fn padded(&self) -> usize {
        self.keys.next_multiple_of(KEYS_A_TURN)
    }
}

#[derive(Default)]
struct Scratch {
    /// Of each strip.
    queries: Vec<Line>,
    /// Of each pair of panels of the block's keys.
    keys: Vec<Line>,
    /// Of each pair of panels of the block's values.
    values: Vec<Line>,
    /// Of even strips and of odd ones.
    strips: [Strip; 2],
    /// Of each row: sums of values by weights, of whole pairs of panels.
    sums: Vec<f32>,
    /// Of each row.
    largest: Vec<f32>,
    /// Of each row: the sum of its weights.
    totals: Vec<f32>,
}

/// A strip's rows with a block's keys.
#[derive(Default)]
struct Strip {
    /// Rows [`SCORES_ROW`] apart.
    scores: Vec<f32>,
    /// Their exponentials.
    weights: Vec<Line>,
}

/// [`super::attend_spans`] of queries and an output that fit, where `Isa::Amx` is.
pub(super) fn attend(q: Queries<'_>, scale: f32, spans: &[Span<'_>], shape: [usize; 2], out: &SharedMut<f32>) {
    thread_local! {
        static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::default());
    }
    let [heads, dim] = shape;
    // Several tasks for each thread, of whole strips.
    let blocks = (4 * pool::threads()).div_ceil(heads).max(q.rows.div_ceil(TASK_ROWS));
    let task_rows = q.rows.div_ceil(blocks).next_multiple_of(floats::STRIP).max(LEAST_ROWS);
    let blocks = q.rows.div_ceil(task_rows);
    pool::run(heads * blocks, |task| {
        let (head, first) = (task / blocks, task % blocks * task_rows);
        let rows = first..(first + task_rows).min(q.rows);
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.begin(&q, rows.clone(), head * dim..(head + 1) * dim, scale);
            for span in spans {
                match span.kv {
                    AnyKeyValues::F32(kv) => scratch.fold_span(kv, head, rows.len(), span),
                    AnyKeyValues::F16(kv) => scratch.fold_span(kv, head, rows.len(), span),
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
    /// Splits rows of queries, of which a head has the columns `part`, times `scale`.
    fn begin(&mut self, q: &Queries<'_>, rows: Range<usize>, part: Range<usize>, scale: f32) {
        let row_lines = floats::row_lines(SCORE_PARTS, part.len());
        let padded = rows.len().next_multiple_of(floats::STRIP);
        self.queries.resize(padded * row_lines, Line::ZERO);
        for (row, lines) in rows.zip(self.queries.chunks_exact_mut(row_lines)) {
            let row = &q.data[row * q.stride..][part.clone()];
            // SAFETY: where AMX is, AVX-512 is.
            unsafe { floats::split_row::<SCORE_PARTS>(row, scale, lines) };
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
    fn fold_span<T: Float>(&mut self, kv: &KeyValues<T>, head: usize, rows: usize, span: &Span<'_>) {
        let Range { start, end } = span.positions;
        // Keys lie in panels; those of the first panel that are not wanted are weighed with nothing.
        let begin = if start < end { start - start % PANEL } else { end };
        for first in (begin..end).step_by(BLOCK_KEYS) {
            let keys = BLOCK_KEYS.min(end - first);
            self.split_block(kv, head, first, keys);
            let block =
                Block { dim: kv.head_dim, keys, unwanted: start.saturating_sub(first), bias: (span.count as f32).ln() };
            // SAFETY: where AMX is, AVX-512 is.
            unsafe { self.fold_block(&block, rows) };
        }
    }

    /// Splits the keys and values at `first..first + keys` of a head.
    fn split_block<T: Float>(&mut self, kv: &KeyValues<T>, head: usize, first: usize, keys: usize) {
        let dim = kv.head_dim;
        let (key_lines, value_lines) = (floats::panel_lines(SCORE_PARTS, dim), floats::panel_lines(VALUE_PARTS, keys));
        self.keys.resize(keys.div_ceil(floats::COLUMNS) * key_lines, Line::ZERO);
        let panels = kv.keys_of(head)[first * dim..].chunks(dim * PANEL).take(keys.div_ceil(PANEL));
        for (p, panel) in panels.enumerate() {
            let lines = &mut self.keys[p / floats::PANELS * key_lines..][..key_lines];
            // SAFETY: where AMX is, these are.
            unsafe { T::split_panel::<SCORE_PARTS>(panel, p % floats::PANELS, lines) };
        }
        self.values.resize(dim.div_ceil(floats::COLUMNS) * value_lines, Line::ZERO);
        for (p, panel) in kv.values_of(head).chunks(kv.positions * PANEL).enumerate() {
            let lines = &mut self.values[p / floats::PANELS * value_lines..][..value_lines];
            // SAFETY: as above.
            unsafe { T::split_panel::<VALUE_PARTS>(&panel[first * PANEL..][..keys * PANEL], p % floats::PANELS, lines) };
        }
    }

    /// Folds the block of keys and values into the sums of all strips. While scores of a strip become weights, in vectors, tiles
    /// multiply: queries of the strip behind it with keys, and weights of the one before it with values.
    #[target_feature(enable = "avx512f,avx512bw")]
    fn fold_block(&mut self, block: &Block, rows: usize) {
        let strips = rows.div_ceil(floats::STRIP);
        let [key_groups, value_groups] = [block.keys, block.dim].map(|columns| columns.div_ceil(floats::COLUMNS));
        let [key_lines, value_lines] = [(SCORE_PARTS, block.dim), (VALUE_PARTS, block.keys)].map(|(p, depth)| floats::panel_lines(p, depth));
        let [query_lines, weight_lines] =
            [(SCORE_PARTS, block.dim), (VALUE_PARTS, block.padded())].map(|(p, depth)| floats::row_lines(p, depth));
        let [key_step, value_step] = [SCORE_PARTS, VALUE_PARTS].map(floats::step_lines);
        let width = value_groups * floats::COLUMNS;
        let products_of_keys = key_groups * key_lines / key_step * floats::products(SCORE_PARTS);
        let products_of_values = value_groups * value_lines / value_step * floats::products(VALUE_PARTS);
        for strip in &mut self.strips {
            strip.weights.resize(floats::STRIP * weight_lines, Line::ZERO);
        }
        // SAFETY: `Isa::Amx` is there, and nothing that is called from here has tiles of its own.
        let _tiles = unsafe { Tiles::begin() };
        for stage in 0..strips + 2 {
            let [even, odd] = &mut self.strips;
            let (other, weighed) = if stage % 2 == 0 { (even, odd) } else { (odd, even) };
            let first = stage.saturating_sub(1) * floats::STRIP;
            let end = if stage == 0 { 0 } else { rows.min(first + floats::STRIP) };
            let states = first.min(end)..end;
            let (done, rest) = self.sums.split_at_mut(first * width);
            let has_next = stage < strips;
            let has_last = stage >= 2;
            let mut weighing = Weighing {
                block,
                strip: weighed,
                sums: &mut rest[..states.len() * width],
                largest: &mut self.largest[states.clone()],
                totals: &mut self.totals[states.clone()],
                total: [0.0; floats::DEPTH],
                row: 0,
                turn: 0,
                spread: Spread::new(
                    states.len() * (1 + block.padded() / KEYS_A_TURN),
                    usize::from(has_next) * products_of_keys + usize::from(has_last) * products_of_values,
                ),
            };
            if has_next {
                let queries = &self.queries[stage * floats::STRIP * query_lines..];
                for (group, keys) in self.keys.chunks_exact(key_lines).enumerate() {
                    let scores = &mut other.scores[group * floats::COLUMNS..];
                    assert!(scores.len() >= (floats::STRIP - 1) * SCORES_ROW + floats::COLUMNS);
                    // SAFETY: there are tiles, and room for the scores as just seen; weighing uses no tiles.
                    unsafe {
                        let product = Product::begin(scores.as_mut_ptr(), SCORES_ROW, false);
                        for (step, keys) in keys.chunks_exact(key_step).enumerate() {
                            let queries = &queries[step * SCORE_PARTS..];
                            product.add_step::<SCORE_PARTS>(queries, query_lines, keys, || weighing.go_on());
                        }
                        product.end();
                    }
                }
            }
            if has_last {
                let last = done.len() - floats::STRIP * width;
                for (group, values) in self.values.chunks_exact(value_lines).enumerate() {
                    let sums = &mut done[last + group * floats::COLUMNS..];
                    assert!(sums.len() >= (floats::STRIP - 1) * width + floats::COLUMNS);
                    // SAFETY: as above, of the sums.
                    unsafe {
                        let product = Product::begin(sums.as_mut_ptr(), width, true);
                        for (step, values) in values.chunks_exact(value_step).enumerate() {
                            let weights = &other.weights[step * VALUE_PARTS..];
                            product.add_step::<VALUE_PARTS>(weights, weight_lines, values, || weighing.go_on());
                        }
                        product.end();
                    }
                }
            }
            weighing.finish();
        }
    }
}

/// A strip's scores on their way to weights.
struct Weighing<'a> {
    block: &'a Block,
    strip: &'a mut Strip,
    /// Of the strip's rows: sums of values by weights so far, their largest scores, the sums of weights.
    sums: &'a mut [f32],
    largest: &'a mut [f32],
    totals: &'a mut [f32],
    /// The weights of the row that is being done, place by place.
    total: [f32; floats::DEPTH],
    row: usize,
    /// What is next of the row: its largest score, or so many times [`KEYS_A_TURN`] keys.
    turn: usize,
    spread: Spread,
}

impl Weighing<'_> {
    /// Does what is to be done beside one product, so that the work is spread evenly.
    #[inline(never)]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn go_on(&mut self) {
        for _ in 0..self.spread.due() {
            self.take_turn();
        }
    }

    /// Does what is left.
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
            self.turn = 1;
            return;
        }
        let (r, padded) = (self.row, self.block.padded());
        let scores = self.strip.scores[r * SCORES_ROW..].as_chunks().0;
        let row_lines = floats::row_lines(VALUE_PARTS, padded);
        let lines = self.strip.weights[r * row_lines..].as_chunks_mut().0;
        let largest = self.largest[r] - self.block.bias;
        floats::split_exp::<VALUE_PARTS>(&scores[self.turn - 1], largest, &mut lines[self.turn - 1], &mut self.total);
        self.turn += 1;
        if self.turn > padded / KEYS_A_TURN {
            self.totals[r] += floats::sum(&self.total);
            (self.row, self.turn) = (r + 1, 0);
        }
    }

    /// Finds a row's largest score and scales what there is of it accordingly.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn begin_row(&mut self) {
        let (r, width) = (self.row, self.sums.len() / self.largest.len());
        let row = &mut self.strip.scores[r * SCORES_ROW..][..self.block.padded()];
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
}
