//! Scaled dot-product attention (arXiv:1706.03762).
//!
//! With packed keys and values, scores are computed for a block of keys at a time and folded into the output immediately
//! with a running maximum and sum (arXiv:2205.14135), so the score matrix is never stored. With a cache that grows
//! by one token per step, each row lists the cache slots of its own past, so hypotheses share their common prefix.

mod growing;
mod packed;
#[cfg(target_arch = "x86_64")]
pub(crate) mod tiled;

use std::cell::RefCell;
use std::ops::Range;

use half::f16;

use crate::arch::row_ops::{add_weighted, products};
use crate::arch::{self, SCORES_ROW, TILE_ROWS, Target, Tile, panel_count};
use crate::cpu::Isa;
use crate::elementwise;
use crate::gemm::Float;
use crate::panels::PANEL;
use crate::pool::{self, SharedMut};

pub use growing::{GrowingKeyValues, Past, attend_growing};
pub use packed::KeyValues;

/// Rows of queries per block.
const BLOCK_ROWS: usize = 48;
/// Keys whose scores with BLOCK_ROWS rows take 48 KB.
const BLOCK_KEYS: usize = SCORES_ROW - PANEL;

/// Cache slots per block: with 64 numbers each, 8 KB. A multiple of the rows that are multiplied side
/// by side, so that a row's numbers do not depend on it.
const BLOCK_SLOTS: usize = 32;

/// Queries: `rows` rows of `heads * head_dim` numbers, `stride` apart.
#[derive(Clone, Copy, Debug)]
pub struct Queries<'a> {
    /// The numbers.
    pub data: &'a [f32],
    /// Number of rows.
    pub rows: usize,
    /// Distance from one row to the next, in numbers.
    pub stride: usize,
}

/// Packed keys and values in 32 or 16 bits.
#[derive(Clone, Copy, Debug)]
pub enum AnyKeyValues<'a> {
    /// In 32 bits.
    F32(&'a KeyValues<f32>),
    /// In 16 bits.
    F16(&'a KeyValues<f16>),
}

impl AnyKeyValues<'_> {
    /// Heads, numbers per head, positions.
    fn shape(self) -> (usize, usize, usize) {
        match self {
            Self::F32(kv) => (kv.heads, kv.head_dim, kv.positions),
            Self::F16(kv) => (kv.heads, kv.head_dim, kv.positions),
        }
    }
}

impl<'a> From<&'a KeyValues<f32>> for AnyKeyValues<'a> {
    fn from(kv: &'a KeyValues<f32>) -> Self {
        Self::F32(kv)
    }
}

impl<'a> From<&'a KeyValues<f16>> for AnyKeyValues<'a> {
    fn from(kv: &'a KeyValues<f16>) -> Self {
        Self::F16(kv)
    }
}

/// A run of positions of packed keys and values.
#[derive(Clone, Debug)]
pub struct Span<'a> {
    /// The keys and values.
    pub kv: AnyKeyValues<'a>,
    /// The positions to attend to.
    pub positions: Range<usize>,
    /// Number of equal positions that each of them stands for; its weight is multiplied by this.
    pub count: usize,
}

/// `out = softmax(scale q k^T) v` per head; `out` is `[rows, heads * head_dim]`.
pub fn attend<'a>(queries: Queries<'_>, scale: f32, kv: impl Into<AnyKeyValues<'a>>, out: &mut [f32]) {
    let kv = kv.into();
    let (_, _, positions) = kv.shape();
    attend_spans(queries, scale, &[Span { kv, positions: 0..positions, count: 1 }], out);
}

/// [`attend`] over the positions of several spans, as if they were concatenated.
pub fn attend_spans(queries: Queries<'_>, scale: f32, spans: &[Span<'_>], out: &mut [f32]) {
    attend_with(Isa::current(), queries, scale, spans, out);
}

#[derive(Default)]
struct Scratch {
    queries: Vec<f32>,
    scores: Vec<f32>,
    largest: Vec<f32>,
    sums: Vec<f32>,
}

fn attend_with(isa: Isa, q: Queries<'_>, scale: f32, spans: &[Span<'_>], out: &mut [f32]) {
    thread_local! {
        static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::default());
    }
    let (heads, dim, _) = spans.first().expect("a span to attend to").kv.shape();
    let width = heads * dim;
    for span in spans {
        let (span_heads, span_dim, positions) = span.kv.shape();
        assert!(span_heads == heads && span_dim == dim, "spans of different shapes");
        assert!(span.positions.end <= positions, "{:?} of {positions} positions", span.positions);
    }
    assert!(spans.iter().any(|span| !span.positions.is_empty()), "no position to attend to");
    assert!(q.rows == 0 || q.data.len() >= (q.rows - 1) * q.stride + width, "queries are too short");
    assert_eq!(out.len(), q.rows * width, "output does not fit the queries");
    let blocks = q.rows.div_ceil(BLOCK_ROWS);
    let out = SharedMut::new(out);
    #[cfg(target_arch = "x86_64")]
    if let Isa::Amx(amx) = isa
        && q.rows >= tiled::MIN_ROWS
    {
        return tiled::attend(amx, q, scale, spans, [heads, dim], &out);
    }
    pool::run(blocks * heads, |task| {
        let (head, block) = (task / blocks, task % blocks);
        let first = block * BLOCK_ROWS;
        let rows = BLOCK_ROWS.min(q.rows - first);
        SCRATCH.with_borrow_mut(|s| {
            pack_queries(isa, &q, first..first + rows, head * dim..(head + 1) * dim, scale, &mut s.queries);
            s.scores.resize(BLOCK_ROWS * SCORES_ROW, 0.0);
            s.largest.clear();
            s.largest.resize(rows, f32::NEG_INFINITY);
            s.sums.clear();
            s.sums.resize(rows, 0.0);
            let output = Output { out: &out, at: first * width + head * dim, width };
            let mut begun = false;
            for span in spans {
                let Range { start, end } = span.positions;
                // Keys are in panels; those of the first panel before `start` get weight 0.
                let begin = if start < end { start - start % PANEL } else { end };
                for first in (begin..end).step_by(BLOCK_KEYS) {
                    let keys = Keys {
                        head,
                        first,
                        count: BLOCK_KEYS.min(end - first),
                        unwanted: start.saturating_sub(first),
                        bias: (span.count as f32).ln(),
                    };
                    match span.kv {
                        AnyKeyValues::F32(kv) => fold(isa, s, rows, kv, &keys, begun, &output),
                        AnyKeyValues::F16(kv) => fold(isa, s, rows, kv, &keys, begun, &output),
                    }
                    begun = true;
                }
            }
            for r in 0..rows {
                // SAFETY: rows first.. and this head's columns of the output are this task's alone.
                let row = unsafe { out.slice((first + r) * width + head * dim, dim) };
                let inverse = 1.0 / s.sums[r];
                row.iter_mut().for_each(|v| *v *= inverse);
            }
        });
    });
}

/// A task's rows of one head in the output.
struct Output<'a> {
    out: &'a SharedMut<f32>,
    /// First row's first column.
    at: usize,
    /// Distance from one row to the next.
    width: usize,
}

/// A block of a head's keys.
struct Keys {
    head: usize,
    /// First position, at the beginning of a panel.
    first: usize,
    count: usize,
    /// Number of keys at the beginning that get no weight.
    unwanted: usize,
    /// Added to their scores.
    bias: f32,
}

/// Folds a block of keys and values into the output, which has the weighted sums of the values of previous blocks if any has
/// `begun`.
fn fold<T: Float>(
    isa: Isa,
    s: &mut Scratch,
    rows: usize,
    kv: &KeyValues<T>,
    keys: &Keys,
    begun: bool,
    output: &Output<'_>,
) {
    let dim = kv.head_dim;
    let Keys { head, first: key, count: keys, unwanted, bias } = *keys;
    multiply_keys(isa, &s.queries, rows, kv, head, key, keys, &mut s.scores);
    for r in 0..rows {
        let row = &mut s.scores[r * SCORES_ROW..][..keys];
        row[..unwanted].fill(f32::NEG_INFINITY);
        if bias != 0.0 {
            row.iter_mut().for_each(|score| *score += bias);
        }
        let largest = elementwise::max(row).max(s.largest[r]);
        let kept = (s.largest[r] - largest).exp();
        s.sums[r] = s.sums[r] * kept + arch::exp_sum(isa, row, largest);
        s.largest[r] = largest;
        if begun && kept < 1.0 {
            // SAFETY: these rows and this head's columns of the output are this task's alone.
            let row = unsafe { output.out.slice(output.at + r * output.width, dim) };
            row.iter_mut().for_each(|v| *v *= kept);
        }
    }
    let (tile_rows, tile_columns) = tile_size(isa, rows);
    for strip in (0..rows).step_by(tile_rows) {
        for column in (0..dim).step_by(tile_columns) {
            let tile = Tile {
                rows: tile_rows.min(rows - strip),
                columns: tile_columns.min(dim - column),
                depth: keys,
                a: s.scores[strip * SCORES_ROW..].as_ptr(),
                a_row: SCORES_ROW,
                a_step: 1,
                panel_step: kv.positions * PANEL,
                to: Target {
                    accumulate: begun,
                    ..Target::new(
                        output.out.as_mut_ptr().wrapping_add(output.at + strip * output.width + column),
                        output.width,
                    )
                },
                streamed: rows <= TILE_ROWS,
            };
            let values = &kv.values_of(head)[(column / PANEL * kv.positions + key) * PANEL..];
            let values = &values[..(panel_count(tile.columns) - 1) * tile.panel_step + keys * PANEL];
            // SAFETY: scores have BLOCK_ROWS rows of BLOCK_KEYS; the caller checked the output's size, and this head's
            // columns of these rows are this task's alone.
            unsafe { T::tile(isa, &tile, values.as_ptr()) };
        }
    }
}

/// Rows and columns of the tiles for `rows` rows.
fn tile_size(isa: Isa, rows: usize) -> (usize, usize) {
    // The few rows of a decoder step wait for panels from memory, and only one panel at a time is prefetched.
    let columns = if rows <= TILE_ROWS { PANEL } else { arch::wide_tile_columns(isa) };
    (arch::tall_tile_rows(isa), columns)
}

/// Packs `rows` of queries times `scale`, in the columns `part` of a head: strips of as many rows as a tile has, each
/// `[dim][rows]`.
fn pack_queries(
    isa: Isa,
    q: &Queries<'_>,
    rows: Range<usize>,
    part: Range<usize>,
    scale: f32,
    packed: &mut Vec<f32>,
) {
    let (tile_rows, dim) = (arch::tall_tile_rows(isa), part.len());
    packed.resize(rows.len().next_multiple_of(tile_rows) * dim, 0.0);
    for (r, row) in rows.enumerate() {
        let strip = &mut packed[r / tile_rows * tile_rows * dim + r % tile_rows..];
        let row = &q.data[row * q.stride..][part.clone()];
        strip.iter_mut().step_by(tile_rows).zip(row).for_each(|(to, v)| *to = v * scale);
    }
}

/// Scores of `rows` packed queries with keys `first..first + keys` of a head; rows of scores are [`SCORES_ROW`] apart.
#[expect(clippy::too_many_arguments, reason = "one call of the block loop, spelled out")]
fn multiply_keys<T: Float>(
    isa: Isa,
    queries: &[f32],
    rows: usize,
    kv: &KeyValues<T>,
    head: usize,
    first: usize,
    keys: usize,
    scores: &mut [f32],
) {
    let dim = kv.head_dim;
    let (tile_rows, tile_columns) = tile_size(isa, rows);
    assert!(queries.len() >= rows.next_multiple_of(tile_rows) * dim, "queries are not packed in strips");
    assert!(scores.len() >= rows * SCORES_ROW && keys <= BLOCK_KEYS, "no room for the scores");
    for column in (0..keys).step_by(tile_columns) {
        let columns = tile_columns.min(keys - column);
        let packed = &kv.keys_of(head)[(first + column) * dim..][..panel_count(columns) * dim * PANEL];
        for strip in (0..rows).step_by(tile_rows) {
            let tile = Tile {
                rows: tile_rows.min(rows - strip),
                columns,
                depth: dim,
                a: queries[strip * dim..].as_ptr(),
                a_row: 1,
                a_step: tile_rows,
                panel_step: dim * PANEL,
                to: Target::new(scores[strip * SCORES_ROW + column..].as_mut_ptr(), SCORES_ROW),
                streamed: rows <= TILE_ROWS,
            };
            // SAFETY: sizes were checked above.
            unsafe { T::tile(isa, &tile, packed.as_ptr()) };
        }
    }
}

/// Scores `scale q k^T` of one head with its first `positions` keys: `out` is `[rows, positions]`.
pub fn head_scores<T: Float>(
    queries: Queries<'_>,
    scale: f32,
    kv: &KeyValues<T>,
    head: usize,
    positions: usize,
    out: &mut [f32],
) {
    let dim = kv.head_dim;
    assert!(positions <= kv.positions && out.len() == queries.rows * positions && head < kv.heads);
    pool::for_each_chunk(out, BLOCK_ROWS * positions.max(1), |block, out| {
        let rows = out.len() / positions;
        let (isa, first) = (Isa::current(), block * BLOCK_ROWS);
        let mut packed = Vec::new();
        pack_queries(isa, &queries, first..first + rows, head * dim..(head + 1) * dim, scale, &mut packed);
        let mut scores = vec![0.0; rows * SCORES_ROW];
        for first in (0..positions).step_by(BLOCK_KEYS) {
            let keys = BLOCK_KEYS.min(positions - first);
            multiply_keys(isa, &packed, rows, kv, head, first, keys, &mut scores);
            for r in 0..rows {
                out[r * positions + first..][..keys].copy_from_slice(&scores[r * SCORES_ROW..][..keys]);
            }
        }
    });
}

/// Attention of rows that each attend to the slots `past[r]` of a cache of keys and values, `[slots, heads * head_dim]`.
/// `queries` and `out` are `[rows, heads * head_dim]`.
pub fn attend_cache(
    queries: &[f32],
    scale: f32,
    heads: usize,
    past: &[&[u32]],
    keys: &[f32],
    values: &[f32],
    out: &mut [f32],
) {
    attend_cache_with(Isa::current(), queries, scale, heads, past, [keys, values], out);
}

fn attend_cache_with(
    isa: Isa,
    queries: &[f32],
    scale: f32,
    heads: usize,
    past: &[&[u32]],
    [keys, values]: [&[f32]; 2],
    out: &mut [f32],
) {
    let width = queries.len() / past.len().max(1);
    let dim = width / heads;
    assert!(queries.len() == past.len() * width && out.len() == queries.len() && dim * heads == width);
    let work: usize = past.iter().map(|p| p.len() * width).sum();
    let heads_per_task = if work < 16 * 1024 { heads } else { heads.div_ceil(2 * pool::threads()) };
    let longest = past.iter().map(|past| past.len()).max().unwrap_or(0);
    let starts: Vec<usize> =
        past.iter().scan(0, |end, past| Some(std::mem::replace(end, *end + past.len()))).collect();
    let out = SharedMut::new(out);
    pool::run(heads.div_ceil(heads_per_task.max(1)), |task| {
        let mut weights = vec![0.0; past.iter().map(|past| past.len()).sum()];
        for head in task * heads_per_task..((task + 1) * heads_per_task).min(heads) {
            let columns = |row: usize| row * width + head * dim;
            // One block for all rows, then the next: slots that rows share are read while they are in the first-level cache.
            let blocks = || {
                (0..longest).step_by(BLOCK_SLOTS).flat_map(|first| {
                    past.iter()
                        .enumerate()
                        .filter(move |(_, past)| first < past.len())
                        .map(move |(row, past)| (row, first..(first + BLOCK_SLOTS).min(past.len())))
                })
            };
            for (row, block) in blocks() {
                let at = |i: usize| past[row][block.start + i] as usize * width + head * dim;
                let weights = &mut weights[starts[row] + block.start..starts[row] + block.end];
                products(isa, &queries[columns(row)..][..dim], keys, at, scale, weights);
            }
            for (row, past) in past.iter().enumerate() {
                elementwise::softmax(&mut weights[starts[row]..][..past.len()]);
                // SAFETY: this head's columns of all rows are this task's alone, and within the output by the check above.
                unsafe { out.slice(columns(row), dim) }.fill(0.0);
            }
            for (row, block) in blocks() {
                let at = |i: usize| past[row][block.start + i] as usize * width + head * dim;
                let weights = &weights[starts[row] + block.start..starts[row] + block.end];
                // SAFETY: as above.
                add_weighted(isa, weights, values, at, unsafe { out.slice(columns(row), dim) });
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::floats;

    /// The definition, for one row and head.
    fn reference(q: &[f32], keys: &[&[f32]], values: &[&[f32]], scale: f32) -> Vec<f64> {
        let scores: Vec<f64> = keys
            .iter()
            .map(|k| {
                k.iter().zip(q).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() * f64::from(scale)
            })
            .collect();
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores.iter().map(|s| (s - largest).exp()).collect();
        let sum: f64 = weights.iter().sum();
        let mut out = vec![0.0; q.len()];
        for (w, v) in weights.iter().zip(values) {
            for (o, v) in out.iter_mut().zip(*v) {
                *o += w / sum * f64::from(*v);
            }
        }
        out
    }

    fn compare<T: Float>(rows: usize, positions: usize, tolerance: f64)
    where
        for<'a> AnyKeyValues<'a>: From<&'a KeyValues<T>>,
    {
        let (heads, dim, stride) = (3, 24, 80);
        let width = heads * dim;
        let q = floats(rows * stride, 1);
        let (k, v) = (floats(positions * stride, 2), floats(positions * stride, 3));
        let kv = KeyValues::<T>::pack(heads, dim, positions, &k, &v, stride);
        let scale = (dim as f32).sqrt().recip();
        for isa in Isa::available() {
            let mut out = vec![9.0; rows * width];
            let spans = [Span { kv: (&kv).into(), positions: 0..positions, count: 1 }];
            attend_with(isa, Queries { data: &q, rows, stride }, scale, &spans, &mut out);
            for head in 0..heads {
                let part = |x: &[f32], i: usize| x[i * stride + head * dim..][..dim].to_vec();
                let keys: Vec<_> = (0..positions).map(|i| part(&k, i)).collect();
                let values: Vec<_> = (0..positions).map(|i| part(&v, i)).collect();
                let keys: Vec<&[f32]> = keys.iter().map(Vec::as_slice).collect();
                let values: Vec<&[f32]> = values.iter().map(Vec::as_slice).collect();
                for r in 0..rows {
                    let want = reference(&part(&q, r), &keys, &values, scale);
                    for (got, want) in out[r * width + head * dim..].iter().zip(want) {
                        let off = (f64::from(*got) - want).abs();
                        assert!(off < tolerance, "{isa:?} {rows}x{positions}: {got}, expected {want}");
                    }
                }
            }
        }
    }

    #[test]
    fn attention_matches_the_definition() {
        for (rows, positions) in [(1, 1), (1, 300), (5, 17), (7, 256), (48, 257), (50, 600), (200, 530)] {
            compare::<f32>(rows, positions, 5e-6);
            compare::<f16>(rows, positions, 4e-3);
        }
    }

    #[test]
    fn several_spans_equal_one_concatenated_span() {
        let (heads, dim, positions, rows) = (2, 24, 700, 100);
        let width = heads * dim;
        let (q, k, v) =
            (floats(rows * width, 9), floats(positions * width, 10), floats(positions * width, 11));
        let queries = Queries { data: &q, rows, stride: width };
        let whole = KeyValues::<f32>::pack(heads, dim, positions, &k, &v, width);
        let mut expected = vec![0.0; rows * width];
        attend(queries, 0.2, &whole, &mut expected);
        for own in [16, 303, 690] {
            let first = KeyValues::<f32>::pack(heads, dim, own, &k, &v, width);
            let rest = KeyValues::<f16>::pack(heads, dim, positions, &k, &v, width);
            let spans = [
                Span { kv: (&first).into(), positions: 0..own, count: 1 },
                Span { kv: (&rest).into(), positions: own..positions, count: 1 },
            ];
            let mut out = vec![0.0; rows * width];
            attend_spans(queries, 0.2, &spans, &mut out);
            for (got, want) in out.iter().zip(&expected) {
                assert!((got - want).abs() < 4e-3, "{own} of its own: {got}, expected {want}");
            }
        }
    }

    #[test]
    fn a_pooled_position_is_weighted_by_its_count() {
        let (heads, dim, count) = (2, 24, 5);
        let width = heads * dim;
        for rows in [7, 100] {
            let (q, k, v) = (floats(rows * width, 12), floats(40 * width, 13), floats(40 * width, 14));
            let repeated = |x: &[f32]| -> Vec<f32> {
                let rows = x.chunks(width).flat_map(|row| std::iter::repeat_n(row, count));
                rows.flatten().copied().collect()
            };
            let queries = Queries { data: &q, rows, stride: width };
            let many = KeyValues::<f32>::pack(heads, dim, 40 * count, &repeated(&k), &repeated(&v), width);
            let few = KeyValues::<f32>::pack(heads, dim, 40, &k, &v, width);
            for first in [0, 7, 39] {
                let (mut expected, mut out) = (vec![0.0; rows * width], vec![0.0; rows * width]);
                let span = Span { kv: (&many).into(), positions: first * count..40 * count, count: 1 };
                attend_spans(queries, 0.2, &[span], &mut expected);
                let span = Span { kv: (&few).into(), positions: first..40, count };
                attend_spans(queries, 0.2, &[span], &mut out);
                for (got, want) in out.iter().zip(&expected) {
                    assert!((got - want).abs() < 1e-5, "{rows} rows from {first}: {got}, expected {want}");
                }
            }
        }
    }

    #[test]
    fn scores_of_a_head_are_scaled_products() {
        let (heads, dim, positions, rows) = (2, 8, 300, 50);
        let (q, k) = (floats(rows * heads * dim, 4), floats(positions * heads * dim, 5));
        let kv = KeyValues::<f32>::pack(heads, dim, positions, &k, &k, heads * dim);
        let mut out = vec![0.0; rows * 270];
        head_scores(Queries { data: &q, rows, stride: heads * dim }, 0.5, &kv, 1, 270, &mut out);
        for (r, t) in [(0, 0), (3, 255), (47, 256), (49, 269)] {
            let want: f32 = (0..dim).map(|d| q[r * 16 + 8 + d] * k[t * 16 + 8 + d]).sum::<f32>() * 0.5;
            assert!((out[r * 270 + t] - want).abs() < 1e-4);
        }
    }

    #[test]
    fn cached_rows_attend_to_their_own_past() {
        for (isa, dim) in Isa::available().into_iter().flat_map(|isa| [16, 64, 75].map(|dim| (isa, dim))) {
            cached_rows(isa, 4, dim);
        }
    }

    fn cached_rows(isa: Isa, heads: usize, dim: usize) {
        let width = heads * dim;
        for places in [3, 400] {
            let (q, k, v) = (floats(2 * width, 6), floats(places * width, 7), floats(places * width, 8));
            let all: Vec<u32> = (0..places as u32).rev().collect();
            let past = [&all[..], &all[1..2]];
            let mut out = vec![0.0; 2 * width];
            attend_cache_with(isa, &q, 0.25, heads, &past, [&k, &v], &mut out);
            for (row, past) in past.iter().enumerate() {
                for head in 0..heads {
                    let part = |x: &'static str, i: u32| {
                        let x = if x == "k" { &k } else { &v };
                        &x[i as usize * width + head * dim..][..dim]
                    };
                    let keys: Vec<_> = past.iter().map(|&i| part("k", i)).collect();
                    let values: Vec<_> = past.iter().map(|&i| part("v", i)).collect();
                    let want = reference(&q[row * width + head * dim..][..dim], &keys, &values, 0.25);
                    for (got, want) in out[row * width + head * dim..].iter().zip(want) {
                        assert!(
                            (f64::from(*got) - want).abs() < 1e-5,
                            "{isa:?}, {dim}: {got}, expected {want}"
                        );
                    }
                }
            }
        }
    }
}
