//! Attention by tiles of brain floats: keys and values of a block are split into parts once for all rows of a task.

use std::cell::RefCell;
use std::ops::Range;

use super::{AnyKeyValues, KeyValues, Queries, SCORES_ROW, Span};
use crate::arch::amx::floats::{self, Product};
use crate::arch::amx::{Line, Tiles};
use crate::gemm::Float;
use crate::panels::PANEL;
use crate::pool::{self, SharedMut};

/// From so many rows of queries on it pays to split keys and values.
pub(super) const LEAST_ROWS: usize = 48;
/// Rows of a task at most: with 64 numbers a head, 300 KB of queries and 200 KB of sums in the second-level cache.
const TASK_ROWS: usize = 24 * floats::STRIP;
/// Keys of a block: with 64 numbers a head, their parts and those of the values take 200 KB.
const BLOCK_KEYS: usize = SCORES_ROW - PANEL;

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
    /// What is left of each row's sums and total, as it has a larger score.
    kept: [f32; floats::STRIP],
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
                out.iter_mut().zip(sums).for_each(|(out, sum)| *out = sum / total);
            }
        });
    });
}

impl Scratch {
    /// Splits rows of queries, of which a head has the columns `part`, times `scale`.
    fn begin(&mut self, q: &Queries<'_>, rows: Range<usize>, part: Range<usize>, scale: f32) {
        let strip_lines = floats::lines(part.len());
        let padded = rows.len().next_multiple_of(floats::STRIP);
        self.queries.resize(padded / floats::STRIP * strip_lines, Line::ZERO);
        for (r, row) in rows.enumerate() {
            let strip = &mut self.queries[r / floats::STRIP * strip_lines..][..strip_lines];
            let row = &q.data[row * q.stride..][part.clone()];
            // SAFETY: where AMX is, AVX-512 is.
            unsafe { floats::split_row(row, scale, r % floats::STRIP, strip) };
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
        let (key_lines, value_lines) = (floats::lines(dim), floats::lines(keys));
        self.keys.resize(keys.div_ceil(floats::COLUMNS) * key_lines, Line::ZERO);
        let panels = kv.keys_of(head)[first * dim..].chunks(dim * PANEL).take(keys.div_ceil(PANEL));
        for (p, panel) in panels.enumerate() {
            let lines = &mut self.keys[p / floats::PANELS * key_lines..][..key_lines];
            // SAFETY: where AMX is, these are.
            unsafe { T::split_panel(panel, p % floats::PANELS, lines) };
        }
        self.values.resize(dim.div_ceil(floats::COLUMNS) * value_lines, Line::ZERO);
        for (p, panel) in kv.values_of(head).chunks(kv.positions * PANEL).enumerate() {
            let lines = &mut self.values[p / floats::PANELS * value_lines..][..value_lines];
            // SAFETY: as above.
            unsafe { T::split_panel(&panel[first * PANEL..][..keys * PANEL], p % floats::PANELS, lines) };
        }
    }

    /// Folds the block of keys and values into the sums of all strips. While scores of a strip become weights, in vectors, tiles
    /// multiply: queries of the strip behind it with keys, and weights of the one before it with values.
    #[target_feature(enable = "avx512f,avx512bw")]
    fn fold_block(&mut self, block: &Block, rows: usize) {
        let strips = rows.div_ceil(floats::STRIP);
        let [key_groups, value_groups] = [block.keys, block.dim].map(|columns| columns.div_ceil(floats::COLUMNS));
        let [key_steps, value_steps] = [block.dim, block.keys].map(|depth| depth.div_ceil(floats::DEPTH));
        let width = value_groups * floats::COLUMNS;
        for strip in &mut self.strips {
            strip.weights.resize(floats::lines(block.keys), Line::ZERO);
        }
        let [queries, keys, values] = [&self.queries, &self.keys, &self.values].map(|lines| lines.as_chunks().0);
        // SAFETY: `Isa::Amx` is there, and nothing that is called from here has tiles of its own.
        let _tiles = unsafe { Tiles::begin() };
        for stage in 0..strips + 2 {
            let [even, odd] = &mut self.strips;
            let (other, weighed) = if stage % 2 == 0 { (even, odd) } else { (odd, even) };
            let first = stage.saturating_sub(1) * floats::STRIP;
            let end = if stage == 0 { 0 } else { rows.min(first + floats::STRIP) };
            let states = first.min(end)..end;
            let mut weighing = Weighing {
                block,
                strip: weighed,
                largest: &mut self.largest[states.clone()],
                totals: &mut self.totals[states],
                sums: [0.0; floats::DEPTH],
                row: 0,
                step: 0,
                due: 0,
                products: floats::PRODUCTS * (key_groups * key_steps + value_groups * value_steps),
            };
            if stage < strips {
                for (group, keys) in keys.chunks_exact(key_steps).enumerate() {
                    let scores = &mut other.scores[group * floats::COLUMNS..];
                    assert!(scores.len() >= (floats::STRIP - 1) * SCORES_ROW + floats::COLUMNS);
                    // SAFETY: there are tiles, and room for the scores as just seen; weighing uses no tiles.
                    unsafe {
                        let product = Product::begin(scores.as_mut_ptr(), SCORES_ROW, false);
                        for (queries, keys) in queries[stage * key_steps..].iter().zip(keys) {
                            product.add_step(queries, keys, || weighing.go_on());
                        }
                        product.end();
                    }
                }
            }
            if let Some(strip) = stage.checked_sub(2) {
                let sums = &mut self.sums[strip * floats::STRIP * width..][..floats::STRIP * width];
                for (sums, kept) in sums.chunks_exact_mut(width).zip(other.kept) {
                    if kept < 1.0 {
                        sums.iter_mut().for_each(|sum| *sum *= kept);
                    }
                }
                for (group, values) in values.chunks_exact(value_steps).enumerate() {
                    let sums = &mut sums[group * floats::COLUMNS..];
                    assert!(sums.len() >= (floats::STRIP - 1) * width + floats::COLUMNS);
                    // SAFETY: as above, of the sums.
                    unsafe {
                        let product = Product::begin(sums.as_mut_ptr(), width, true);
                        for (weights, values) in other.weights.as_chunks().0.iter().zip(values) {
                            product.add_step(weights, values, || weighing.go_on());
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
    /// Of the strip's rows.
    largest: &'a mut [f32],
    totals: &'a mut [f32],
    /// Weights of the row that is being done.
    sums: [f32; floats::DEPTH],
    /// The step of a row that is next.
    row: usize,
    step: usize,
    /// Products of tiles that are done meanwhile.
    products: usize,
    /// Steps of rows that should have been done, times `products`.
    due: usize,
}

impl Weighing<'_> {
    /// Does what is to be done beside one product, so that the work is spread evenly.
    #[inline(never)]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn go_on(&mut self) {
        self.due += self.largest.len() * self.block.keys.div_ceil(floats::DEPTH);
        while self.due >= self.products {
            self.due -= self.products;
            self.weigh_step();
        }
    }

    /// Does what is left.
    #[target_feature(enable = "avx512f,avx512bw")]
    fn finish(mut self) {
        while self.row < self.largest.len() {
            self.weigh_step();
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn weigh_step(&mut self) {
        let (r, step, steps) = (self.row, self.step, self.block.keys.div_ceil(floats::DEPTH));
        let row = &mut self.strip.scores[r * SCORES_ROW..][..steps * floats::DEPTH];
        if step == 0 {
            row[..self.block.unwanted].fill(f32::NEG_INFINITY);
            row[self.block.keys..].fill(f32::NEG_INFINITY);
            let largest = floats::largest(row.as_chunks().0) + self.block.bias;
            let before = self.largest[r];
            self.strip.kept[r] = 1.0;
            if largest > before {
                self.largest[r] = largest;
                self.strip.kept[r] = (before - largest).exp();
            }
            self.sums.fill(0.0);
        }
        let (largest, lines) = (self.largest[r] - self.block.bias, self.strip.weights.as_chunks_mut().0);
        floats::split_exp(&row.as_chunks().0[step], largest, r, &mut lines[step], &mut self.sums);
        self.step += 1;
        if self.step == steps {
            self.totals[r] = self.totals[r] * self.strip.kept[r] + floats::sum(&self.sums);
            (self.row, self.step) = (r + 1, 0);
        }
    }
}
