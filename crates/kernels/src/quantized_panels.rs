//! Quantized weights, and their product with inputs that are rounded as well.

use std::sync::atomic::{AtomicI64, Ordering};
#[cfg(target_arch = "x86_64")]
use std::sync::{Mutex, PoisonError};

#[cfg(target_arch = "x86_64")]
use crate::arch::amx::{self, TileRow, bytes};
use crate::arch::{self, Integer, Scales, Tile, panel_count};
#[cfg(target_arch = "x86_64")]
use crate::cpu::Amx;
use crate::cpu::Isa;
use crate::epilogue::Epilogue;
use crate::gemm::{self, MatMut, MatRef};
use crate::panels::PANEL;
use crate::pool::{self, SharedMut};

/// Quantized weights in panels.
#[derive(Clone, Debug)]
pub(crate) struct QuantizedPanels<T> {
    /// `[inputs / 2][PANEL][2]` each, inputs rounded up to even.
    panels: Vec<T>,
    /// Scale of each output; the number of outputs is rounded up to whole panels.
    scales: Vec<f32>,
    /// Largest magnitude of a rounded input: as large as i16 allows without any sum of products exceeding i32.
    largest_input: f32,
}

fn even(n: usize) -> usize {
    n.next_multiple_of(2)
}

/// Rows whose rounded inputs of depth 512 take 96 KB of the second-level cache.
const BLOCK_ROWS: usize = 96;

impl<T: Integer> QuantizedPanels<T> {
    /// See [`Matrix::pack`](crate::Matrix::pack).
    pub(crate) fn pack(outputs: usize, inputs: usize, fill: impl Fn(usize, &mut [f32]) + Sync) -> Self {
        let mut panels = vec![T::default(); panel_count(outputs) * even(inputs) * PANEL];
        let mut scales = vec![0.0_f32; panel_count(outputs) * PANEL];
        let shared_scales = SharedMut::new(&mut scales);
        let largest_sum = AtomicI64::new(1);
        pool::for_each_chunk(&mut panels, even(inputs) * PANEL, |p, panel| {
            // SAFETY: panel p's scales are this task's alone; there are PANEL for each panel.
            let scales = unsafe { shared_scales.slice(p * PANEL, PANEL) };
            let mut row = vec![0.0; inputs];
            for column in 0..PANEL.min(outputs - p * PANEL) {
                fill(p * PANEL + column, &mut row);
                let steps_in_one;
                (scales[column], steps_in_one) = step_of::<T>(&row);
                row.iter_mut().for_each(|v| *v = nearest(*v * steps_in_one));
                for (k, steps) in row.iter().enumerate() {
                    panel[(k / 2 * PANEL + column) * 2 + k % 2] = T::from_steps(*steps);
                }
                let sum = row.iter().map(|steps| i64::from(steps.abs() as i32)).sum();
                largest_sum.fetch_max(sum, Ordering::Relaxed);
            }
        });
        // Computed from the actual weights: assuming the largest possible ones would cost the inputs two bits.
        let largest_input = i64::from(i32::MAX) / largest_sum.into_inner();
        let largest_input = largest_input.min(i64::from(arch::LARGEST_INPUT)) as f32;
        Self { panels, scales, largest_input }
    }

    /// Bytes in memory.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.panels.as_slice()) + size_of_val(self.scales.as_slice())
    }

    /// Row `output`, as floats.
    pub(crate) fn row(&self, output: usize, to: &mut [f32]) {
        let (panel, column) = (output / PANEL, output % PANEL);
        let panel = &self.panels[panel * even(to.len()) * PANEL..];
        for (k, to) in to.iter_mut().enumerate() {
            let steps: i32 = panel[(k / 2 * PANEL + column) * 2 + k % 2].into();
            *to = steps as f32 * self.scales[output];
        }
    }

    fn check(&self, a: &MatRef<'_>, out: &MatMut<'_>, epilogue: &Epilogue<'_>) {
        a.check();
        out.check(a.rows);
        epilogue.check(out.columns);
        let count = panel_count(out.columns);
        assert!(
            self.panels.len() == count * even(a.depth) * PANEL && self.scales.len() == count * PANEL,
            "panels do not fit"
        );
    }

    /// `out = epilogue(a W^T)`; sums of products are exact, so every instruction set gives the same numbers.
    pub(crate) fn apply(&self, isa: Isa, a: MatRef<'_>, out: MatMut<'_>, epilogue: &Epilogue<'_>) {
        self.check(&a, &out, epilogue);
        let depth = even(a.depth);
        let count = panel_count(out.columns);
        let mut rounded = vec![0_i16; a.rows * depth];
        let mut row_scales = vec![0.0_f32; a.rows];
        let shared_scales = SharedMut::new(&mut row_scales);
        let rows_per_task = (16 * 1024 / depth).max(1);
        pool::for_each_chunk(&mut rounded, rows_per_task * depth, |task, rounded| {
            let first = task * rows_per_task;
            // SAFETY: these rows' scales are this task's alone.
            let scales = unsafe { shared_scales.slice(first, rounded.len() / depth) };
            for (i, (rounded, scale)) in rounded.chunks_exact_mut(depth).zip(scales).enumerate() {
                let row = &a.data[(first + i) * a.stride..][..a.depth];
                *scale = arch::quantise(isa, row, self.largest_input, &mut rounded[..a.depth]);
            }
        });
        let row_blocks = a.rows.div_ceil(BLOCK_ROWS);
        // Few rows are divided by panels alone, many also by blocks of rows that stay in the second-level cache.
        let share = if row_blocks >= 4 * pool::threads() { count } else { gemm::panels_per_task(count) };
        let shares = count.div_ceil(share);
        let (columns, stride) = (out.columns, out.stride);
        let c = SharedMut::new(out.data);
        pool::run(shares * row_blocks, |task| {
            let rows = (task / shares * BLOCK_ROWS)..((task / shares + 1) * BLOCK_ROWS).min(a.rows);
            let my_panels = (task % shares * share)..((task % shares + 1) * share).min(count);
            // Tiles of equal size: a small one at the end would mostly wait for the panel.
            let tiles = rows.len().div_ceil(arch::tall_tile_rows(isa));
            let tile_rows = rows.len().div_ceil(tiles);
            for p in my_panels {
                let panel = &self.panels[p * depth * PANEL..(p + 1) * depth * PANEL];
                for first in rows.clone().step_by(tile_rows) {
                    let tile = Tile {
                        rows: tile_rows.min(rows.end - first),
                        columns: PANEL.min(columns - p * PANEL),
                        depth,
                        a: rounded[first * depth..].as_ptr(),
                        a_row: depth,
                        a_step: 1,
                        panel_step: 0,
                        to: epilogue.target(c.as_mut_ptr(), stride, first, p * PANEL),
                        streamed: first == rows.start && row_blocks == 1,
                    };
                    let scales = Scales {
                        rows: row_scales[first..].as_ptr(),
                        columns: self.scales[p * PANEL..].as_ptr(),
                    };
                    // SAFETY: everything was sized above; sums fit i32 by `largest_input`; panel p's columns of
                    // these rows of c are this task's alone.
                    unsafe { arch::tile_integers(isa, &tile, scales, panel.as_ptr()) };
                }
            }
        });
    }
}

/// Maximum bytes of split inputs per task: they stay in the second-level cache while all its panels are multiplied.
#[cfg(target_arch = "x86_64")]
const BLOCK_BYTES: usize = 768 << 10;

/// Buffer of split inputs, reused by the next product: several megabytes, which would fragment the heap if allocated each time.
#[cfg(target_arch = "x86_64")]
static SPARE: Mutex<Vec<TileRow>> = Mutex::new(Vec::new());

#[cfg(target_arch = "x86_64")]
impl<T: bytes::Bytes> QuantizedPanels<T> {
    /// [`QuantizedPanels::apply`] by tiles of bytes.
    pub(crate) fn apply_tiles(&self, amx: Amx, a: MatRef<'_>, out: MatMut<'_>, epilogue: &Epilogue<'_>) {
        thread_local! {
            static WEIGHTS: std::cell::RefCell<Vec<TileRow>> = const { std::cell::RefCell::new(Vec::new()) };
        }
        self.check(&a, &out, epilogue);
        let (depth, steps) = (even(a.depth), a.depth.div_ceil(bytes::DEPTH));
        let count = panel_count(out.columns);
        let tiles = a.rows.div_ceil(amx::ROWS);
        let lines_per_tile = steps * bytes::INPUT_LINES;
        // Old contents are overwritten, or belong to rows that the last tile does not have.
        let mut inputs = std::mem::take(&mut *SPARE.lock().unwrap_or_else(PoisonError::into_inner));
        inputs.resize(tiles * lines_per_tile, TileRow::ZERO);
        let mut row_scales = vec![0.0_f32; tiles * amx::ROWS];
        let shared_scales = SharedMut::new(&mut row_scales);
        pool::for_each_chunk(&mut inputs, lines_per_tile, |tile, lines| {
            // SAFETY: this tile's scales are this task's alone.
            let scales = unsafe { shared_scales.slice(tile * amx::ROWS, amx::ROWS) };
            let mut rounded = vec![0; steps * bytes::DEPTH];
            let rows = amx::ROWS.min(a.rows - tile * amx::ROWS);
            for (r, scale) in scales[..rows].iter_mut().enumerate() {
                let row = &a.data[(tile * amx::ROWS + r) * a.stride..][..a.depth];
                *scale = arch::quantise(Isa::Amx(amx), row, self.largest_input, &mut rounded[..a.depth]);
                bytes::split_row(amx, &rounded, r, lines);
            }
        });
        // As few blocks as possible, of equal size, and few enough panels per task that each thread gets several tasks.
        let blocks = tiles.div_ceil((BLOCK_BYTES / size_of::<TileRow>() / lines_per_tile).max(1));
        let block_tiles = tiles.div_ceil(blocks);
        let groups = count.div_ceil(bytes::PANELS);
        let share = groups.div_ceil((4 * pool::threads()).div_ceil(blocks));
        let shares = groups.div_ceil(share);
        let (columns, stride) = (out.columns, out.stride);
        let c = SharedMut::new(out.data);
        pool::run(shares * blocks, |task| {
            let first_tile = task / shares * block_tiles;
            let end_tile = (first_tile + block_tiles).min(tiles);
            let first_row = first_tile * amx::ROWS;
            let my_groups = (task % shares * share)..((task % shares + 1) * share).min(groups);
            WEIGHTS.with_borrow_mut(|weights| {
                for group in my_groups {
                    let first_panel = group * bytes::PANELS;
                    let end_panel = (first_panel + bytes::PANELS).min(count);
                    let panels = &self.panels[first_panel * depth * PANEL..end_panel * depth * PANEL];
                    let column = first_panel * PANEL;
                    let size = [
                        (end_tile * amx::ROWS).min(a.rows) - first_row,
                        (end_panel * PANEL).min(columns) - column,
                    ];
                    let to = epilogue.target(c.as_mut_ptr(), stride, first_row, column);
                    let scales = Scales {
                        rows: row_scales[first_row..].as_ptr(),
                        columns: self.scales[column..].as_ptr(),
                    };
                    let inputs = &inputs[first_tile * lines_per_tile..end_tile * lines_per_tile];
                    // SAFETY: everything was sized by the caller and above; sums fit i32 by `largest_input`; these columns of
                    // these rows of c are this task's alone.
                    unsafe {
                        bytes::pack_weights(panels, depth, weights);
                        bytes::multiply::<T>(amx, inputs, weights, size, to, scales);
                    }
                }
            });
        });
        *SPARE.lock().unwrap_or_else(PoisonError::into_inner) = inputs;
    }
}

/// The scale of a row's rounded weights, and its inverse; both are 0 for a row of (almost) only zeros.
#[inline(always)]
pub(crate) fn step_of<T: Integer>(row: &[f32]) -> (f32, f32) {
    let end = f32::from(T::LARGEST);
    let largest = row.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    let steps_in_one = end / largest;
    (largest / end, if steps_in_one.is_finite() { steps_in_one } else { 0.0 })
}

/// The nearest integer, halves away from zero.
#[inline(always)]
pub(crate) fn nearest(steps: f32) -> f32 {
    // Unlike `round` this is inlined, mostly as one instruction, which matters for millions of numbers.
    (steps + 0.5_f32.copysign(steps)) as i32 as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_rounded_as_finely_as_the_weights_allow() {
        let inputs = 2048;
        let input_limit = |small: f32| {
            let weights = QuantizedPanels::<i16>::pack(1, inputs, |_, row| {
                row.fill(small);
                row[7] = 1.0;
            });
            weights.largest_input
        };
        assert!((1024.0..1026.0).contains(&input_limit(1.0)), "{}", input_limit(1.0));
        assert_eq!(input_limit(0.0), f32::from(arch::LARGEST_INPUT));
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn tiles_of_bytes_give_the_same_bits_as_vectors() {
        let sets = Isa::available();
        let vectors = sets.iter().copied().find(|isa| matches!(isa, Isa::Avx512Vnni(_)));
        let tiles = sets.into_iter().find_map(|isa| if let Isa::Amx(amx) = isa { Some(amx) } else { None });
        if let (Some(vectors), Some(tiles)) = (vectors, tiles) {
            same_bits::<i8>(vectors, tiles);
            same_bits::<i16>(vectors, tiles);
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn same_bits<T: bytes::Bytes>(vectors: Isa, tiles: Amx) {
        use crate::noise::floats;
        // Tiles that are not full either way, several blocks of rows, odd numbers of panels and rests of their last quad.
        for (rows, inputs, outputs) in
            [(1, 1, 1), (16, 64, 32), (17, 66, 33), (50, 62, 100), (97, 513, 40), (900, 1030, 16)]
        {
            let (x, w) = (floats(rows * inputs, 1), floats(outputs * inputs, 2));
            let (bias, before) = (floats(outputs, 3), floats(rows * outputs, 4));
            let weights = QuantizedPanels::<T>::pack(outputs, inputs, |o, row| {
                row.copy_from_slice(&w[o * inputs..(o + 1) * inputs]);
            });
            for epilogue in [Epilogue::bias_gelu(&bias), Epilogue::bias_add(&bias), Epilogue::default()] {
                let a = MatRef { data: &x, rows, depth: inputs, stride: inputs };
                let (mut want, mut got) = (before.clone(), before.clone());
                let out = MatMut { data: &mut want, columns: outputs, stride: outputs };
                weights.apply(vectors, a, out, &epilogue);
                let out = MatMut { data: &mut got, columns: outputs, stride: outputs };
                weights.apply_tiles(tiles, a, out, &epilogue);
                assert_eq!(got, want, "{rows}x{inputs}x{outputs}");
            }
        }
    }
}
