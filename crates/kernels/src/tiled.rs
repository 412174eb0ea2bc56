//! Rounded weights in the order of AMX's tiles, and the product with them.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::arch::amx::{self, Few, Height, Line, Many, Weights};
use crate::arch::{self, Integer, Scales, Tile, panel_count};
use crate::cpu::Isa;
use crate::gemm::{Out, Rows};
use crate::integers::{even, largest_input, round_panel};
use crate::matrix::Epilogue;
use crate::panels::PANEL;
use crate::pool::{self, SharedMut};

/// Streams of a matrix come in whole groups of so many.
const STREAMS: usize = Few::STREAMS;

/// Bytes of split inputs that a task takes at most: they stay in the second-level cache while all its panels pass.
const BLOCK_BYTES: usize = 768 << 10;

/// [`Integers`](crate::integers::Integers) in the order of tiles.
#[derive(Clone, Debug)]
pub(crate) struct Tiled {
    /// Of each weight.
    bytes: usize,
    /// `[streams][steps of amx::DEPTH inputs][amx::ROWS]`, a stream for each panel and byte, zeros where the matrix ends.
    lines: Vec<Line>,
    /// What a step of each output is worth, rounded up to whole groups.
    scales: Vec<f32>,
    /// Largest input after rounding, as there.
    largest_input: f32,
}

impl Tiled {
    /// See [`Matrix::pack`](crate::Matrix::pack). `Isa::Amx` has to be there.
    pub(crate) fn pack<T: Integer + Weights>(
        outputs: usize,
        inputs: usize,
        fill: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Self {
        let panel_lines = T::BYTES * inputs.div_ceil(amx::DEPTH) * amx::ROWS;
        let panels = panel_count(outputs).next_multiple_of(STREAMS / T::BYTES);
        let mut lines = vec![Line::ZERO; panels * panel_lines];
        let mut scales = vec![0.0_f32; panels * PANEL];
        let shared_scales = SharedMut::new(&mut scales);
        let largest_sum = AtomicI64::new(0);
        pool::for_each_chunk(&mut lines, panel_lines.max(1), |p, lines| {
            // SAFETY: panel p's scales are this task's alone; there are PANEL for each panel.
            let scales = unsafe { shared_scales.slice(p * PANEL, PANEL) };
            let mut panel = vec![T::default(); even(inputs) * PANEL];
            let columns = p * PANEL..outputs.min((p + 1) * PANEL);
            let sum = round_panel(columns, inputs, &fill, &mut panel, scales);
            largest_sum.fetch_max(sum, Ordering::Relaxed);
            // SAFETY: who has `Isa::Amx` has AVX-512; these are all the panel's lines.
            unsafe { T::arrange(&panel, lines) };
        });
        Self { bytes: T::BYTES, lines, scales, largest_input: largest_input(largest_sum.into_inner()) }
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.lines.as_slice()) + size_of_val(self.scales.as_slice())
    }

    /// Row `output`, as floats.
    pub(crate) fn row(&self, output: usize, to: &mut [f32]) {
        let stream_lines = to.len().div_ceil(amx::DEPTH) * amx::ROWS;
        let first = output / PANEL * self.bytes * stream_lines;
        for (k, to) in to.iter_mut().enumerate() {
            let byte = |b: usize| {
                i32::from(self.lines[first + b * stream_lines + k / 4].0[output % PANEL * 4 + k % 4])
            };
            let steps = if self.bytes == 1 { byte(0) } else { 256 * byte(0) + byte(1) };
            *to = steps as f32 * self.scales[output];
        }
    }

    /// `out = epilogue(a W^T)`, the numbers that the other instruction sets give.
    pub(crate) fn apply(&self, a: Rows<'_>, out: Out<'_>, epilogue: &Epilogue<'_>) {
        a.check();
        out.check(a.rows);
        epilogue.check(out.columns);
        let stream_lines = a.depth.div_ceil(amx::DEPTH) * amx::ROWS;
        let panels = panel_count(out.columns).next_multiple_of(STREAMS / self.bytes);
        assert_eq!(self.scales.len(), panels * PANEL, "panels do not fit");
        assert_eq!(self.lines.len(), panels * self.bytes * stream_lines, "panels do not fit");
        match (a.rows <= amx::FEW_ROWS, self.bytes) {
            (true, 1) => self.multiply::<Few, 1>(a, out, epilogue),
            (true, _) => self.multiply::<Few, 2>(a, out, epilogue),
            (false, 1) => self.multiply::<Many, 1>(a, out, epilogue),
            (false, _) => self.multiply::<Many, 2>(a, out, epilogue),
        }
    }

    fn multiply<H: Height, const BYTES: usize>(&self, a: Rows<'_>, out: Out<'_>, epilogue: &Epilogue<'_>) {
        let steps = a.depth.div_ceil(amx::DEPTH);
        let (tile_rows, step_lines) = (amx::ROWS * H::INPUT_TILES / 2, H::INPUT_TILES * amx::ROWS);
        let tiles = a.rows.div_ceil(tile_rows);
        let tile_lines = steps * step_lines;
        let mut inputs = vec![Line::ZERO; tiles * tile_lines];
        let mut row_scales = vec![0.0_f32; tiles * tile_rows];
        let shared_scales = SharedMut::new(&mut row_scales);
        pool::for_each_chunk(&mut inputs, tile_lines.max(1), |tile, lines| {
            // SAFETY: this tile's scales are this task's alone.
            let scales = unsafe { shared_scales.slice(tile * tile_rows, tile_rows) };
            let mut rounded = vec![0; steps * amx::DEPTH];
            let rows = tile_rows.min(a.rows - tile * tile_rows);
            for (r, scale) in scales[..rows].iter_mut().enumerate() {
                let row = &a.data[(tile * tile_rows + r) * a.stride..][..a.depth];
                *scale = arch::quantise(Isa::Amx, row, self.largest_input, &mut rounded[..a.depth]);
                amx::split_row(&rounded, lines, step_lines, [r, step_lines / 2 + r]);
            }
        });
        // As few blocks of rows as fit, of equal size, and shares of panels that give each thread several tasks.
        let blocks = tiles.div_ceil((BLOCK_BYTES / size_of::<Line>() / tile_lines.max(1)).max(1));
        let block_tiles = tiles.div_ceil(blocks.max(1));
        let group_columns = H::STREAMS / BYTES * PANEL;
        let groups = out.columns.div_ceil(group_columns);
        let share = groups.div_ceil((4 * pool::threads()).div_ceil(blocks.max(1))).max(1);
        let shares = groups.div_ceil(share);
        let (columns, stride) = (out.columns, out.stride);
        let c = SharedMut::new(out.data);
        pool::run(shares * blocks, |task| {
            let first_tile = task / shares * block_tiles;
            let end_tile = (first_tile + block_tiles).min(tiles);
            let first_row = first_tile * tile_rows;
            let inputs = &inputs[first_tile * tile_lines..end_tile * tile_lines];
            let product = |group: usize| {
                let column = group * group_columns;
                Tile {
                    rows: (end_tile * tile_rows).min(a.rows) - first_row,
                    columns: group_columns.min(columns - column),
                    depth: a.depth,
                    a: std::ptr::null::<i16>(),
                    a_row: 0,
                    a_step: 0,
                    panel_step: 0,
                    c: c.as_mut_ptr().wrapping_add(first_row * stride + column),
                    c_row: stride,
                    accumulate: epilogue.add,
                    bias: epilogue.bias_at(column),
                    gelu: epilogue.gelu,
                    streamed: false,
                }
            };
            let my_groups = (task % shares * share)..((task % shares + 1) * share).min(groups);
            // SAFETY: everything was sized by the caller and above; sums fit i32 by `largest_input`; these columns of these
            // rows of c are this task's alone.
            unsafe {
                amx::shaped(|| {
                    for group in my_groups {
                        let weights = &self.lines[group * H::STREAMS * steps * amx::ROWS..];
                        let weights = &weights[..H::STREAMS * steps * amx::ROWS];
                        let scales = Scales {
                            rows: row_scales[first_row..].as_ptr(),
                            columns: self.scales[group * group_columns..].as_ptr(),
                        };
                        amx::multiply::<H, BYTES>(inputs, weights, &product(group), scales);
                    }
                });
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::integers::Integers;
    use crate::noise::floats;

    #[test]
    fn tiles_give_the_same_bits_as_vectors() {
        compare::<i8>();
        compare::<i16>();
    }

    fn compare<T: Integer + Weights>() {
        if !Isa::available().contains(&Isa::Amx) {
            return;
        }
        // Tiles that are not full either way, few rows and several blocks of them, rests of groups and of quads.
        for (rows, inputs, outputs) in [
            (1, 1, 1),
            (5, 512, 70),
            (8, 130, 64),
            (9, 64, 32),
            (17, 66, 33),
            (50, 62, 100),
            (97, 513, 40),
            (900, 1030, 16),
        ] {
            let (x, w) = (floats(rows * inputs, 1), floats(outputs * inputs, 2));
            let (bias, before) = (floats(outputs, 3), floats(rows * outputs, 4));
            let fill = |o: usize, row: &mut [f32]| row.copy_from_slice(&w[o * inputs..(o + 1) * inputs]);
            let integers = Integers::<T>::pack(outputs, inputs, fill);
            let tiled = Tiled::pack::<T>(outputs, inputs, fill);
            for epilogue in [Epilogue::bias_gelu(&bias), Epilogue::bias_add(&bias), Epilogue::default()] {
                let a = Rows { data: &x, rows, depth: inputs, stride: inputs };
                let (mut want, mut got) = (before.clone(), before.clone());
                let out = Out { data: &mut want, columns: outputs, stride: outputs };
                integers.apply(Isa::Avx512Vnni, a, out, &epilogue);
                let out = Out { data: &mut got, columns: outputs, stride: outputs };
                tiled.apply(a, out, &epilogue);
                assert_eq!(got, want, "{rows}x{inputs}x{outputs}");
            }
            let (mut want, mut got) = (vec![0.0; inputs], vec![0.0; inputs]);
            for output in 0..outputs {
                integers.row(output, &mut want);
                tiled.row(output, &mut got);
                assert_eq!(got, want, "row {output} of {inputs}x{outputs}");
            }
        }
    }
}
