//! Packed weights in four precisions, and the product with them.

use std::sync::atomic::{AtomicI64, Ordering};

use half::f16;

use crate::arch::{self, Integer, Scales, Tile, panel_count};
use crate::cpu::Isa;
use crate::gemm::{self, Out, Rows};
use crate::panels::{self, PANEL};
use crate::pool::{self, SharedMut};

/// How a [`Matrix`] keeps its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floats.
    F32,
    /// 16-bit floats; arithmetic is done in 32 bits.
    F16,
    /// 8-bit integers with one scale an output; inputs are rounded to 16-bit integers with one scale a row.
    Int8,
    /// As [`Precision::Int8`], with weights of eleven bits in two bytes: as fast where weights come from a cache, and nearly as
    /// exact as floats of 16 bits.
    Int16,
}

/// A weight matrix `[outputs, inputs]`, packed for the product with its transpose: `y = x W^T`.
#[derive(Clone, Debug)]
pub struct Matrix {
    inputs: usize,
    outputs: usize,
    storage: Storage,
}

#[derive(Clone, Debug)]
enum Storage {
    F32(Vec<f32>),
    F16(Vec<f16>),
    Int8(Integers<i8>),
    Int16(Integers<i16>),
}

/// Rounded weights.
#[derive(Clone, Debug)]
struct Integers<T> {
    /// `[inputs / 2][PANEL][2]` each, inputs rounded up to even.
    panels: Vec<T>,
    /// What a step of each output is worth, rounded up to whole panels.
    scales: Vec<f32>,
    /// Largest input after rounding: as fine as i16 allows while no sum of products can leave i32.
    largest_input: f32,
}

/// What happens to a product before it is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// Added to every row.
    pub bias: Option<&'a [f32]>,
    /// Apply GELU after the bias.
    pub gelu: bool,
    /// Add to what the output holds (a residual connection) instead of replacing it.
    pub add: bool,
}

impl<'a> Epilogue<'a> {
    /// Nothing but a bias.
    pub fn bias(bias: &'a [f32]) -> Self {
        Self { bias: Some(bias), ..Self::default() }
    }

    /// Bias, then GELU.
    pub fn bias_gelu(bias: &'a [f32]) -> Self {
        Self { bias: Some(bias), gelu: true, add: false }
    }

    /// Bias, then added to the output.
    pub fn bias_add(bias: &'a [f32]) -> Self {
        Self { bias: Some(bias), gelu: false, add: true }
    }

    pub(crate) fn check(&self, columns: usize) {
        assert!(self.bias.is_none_or(|b| b.len() >= columns), "bias is too short");
    }

    pub(crate) fn bias_at(&self, column: usize) -> *const f32 {
        self.bias.map_or(std::ptr::null(), |b| b[column..].as_ptr())
    }
}

impl Matrix {
    /// Packs `outputs` rows of `inputs` numbers; `fill(o, row)` writes row `o`. Rows are asked for once each, from
    /// several threads.
    pub fn pack(
        precision: Precision,
        outputs: usize,
        inputs: usize,
        fill: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Self {
        let storage = match precision {
            Precision::F32 => Storage::F32(pack_floats(outputs, inputs, fill)),
            Precision::F16 => Storage::F16(pack_floats(outputs, inputs, fill)),
            Precision::Int8 => Storage::Int8(Integers::pack(outputs, inputs, fill)),
            Precision::Int16 => Storage::Int16(Integers::pack(outputs, inputs, fill)),
        };
        Self { inputs, outputs, storage }
    }

    /// Numbers in a row of the input.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Numbers in a row of the output.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        match &self.storage {
            Storage::F32(p) => size_of_val(p.as_slice()),
            Storage::F16(p) => size_of_val(p.as_slice()),
            Storage::Int8(weights) => weights.bytes(),
            Storage::Int16(weights) => weights.bytes(),
        }
    }

    /// `out = epilogue(x W^T)`: `x` is `[rows, inputs]`, `out` `[rows, outputs]`.
    pub fn apply(&self, x: &[f32], rows: usize, out: &mut [f32], epilogue: &Epilogue<'_>) {
        self.apply_strided(x, rows, self.inputs, out, self.outputs, epilogue);
    }

    /// [`Matrix::apply`] with rows of `x` that lie `x_stride` numbers apart (they may overlap, as in a convolution) and
    /// rows of `out` that lie `out_stride` apart.
    pub fn apply_strided(
        &self,
        x: &[f32],
        rows: usize,
        x_stride: usize,
        out: &mut [f32],
        out_stride: usize,
        epilogue: &Epilogue<'_>,
    ) {
        self.apply_with(Isa::current(), x, rows, x_stride, out, out_stride, epilogue);
    }

    #[expect(clippy::too_many_arguments, reason = "the two strided operands, spelled out")]
    fn apply_with(
        &self,
        isa: Isa,
        x: &[f32],
        rows: usize,
        x_stride: usize,
        out: &mut [f32],
        out_stride: usize,
        epilogue: &Epilogue<'_>,
    ) {
        let a = Rows { data: x, rows, depth: self.inputs, stride: x_stride };
        let out = Out { data: out, columns: self.outputs, stride: out_stride };
        match &self.storage {
            Storage::F32(panels) => gemm::gemm(isa, a, panels, out, epilogue),
            Storage::F16(panels) => gemm::gemm(isa, a, panels, out, epilogue),
            Storage::Int8(weights) => weights.apply(isa, a, out, epilogue),
            Storage::Int16(weights) => weights.apply(isa, a, out, epilogue),
        }
    }

    /// Row `output` of the weights, widened (an embedding's lookup).
    pub fn row(&self, output: usize, to: &mut [f32]) {
        assert!(output < self.outputs && to.len() == self.inputs);
        let (panel, column) = (output / PANEL, output % PANEL);
        let first = panel * self.inputs * PANEL + column;
        match &self.storage {
            Storage::F32(p) => to.iter_mut().zip(p[first..].iter().step_by(PANEL)).for_each(|(t, f)| *t = *f),
            Storage::F16(p) => {
                to.iter_mut().zip(p[first..].iter().step_by(PANEL)).for_each(|(t, f)| *t = f.to_f32());
            }
            Storage::Int8(weights) => weights.row(output, to),
            Storage::Int16(weights) => weights.row(output, to),
        }
    }
}

fn even(n: usize) -> usize {
    n.next_multiple_of(2)
}

fn pack_floats<T: panels::Element>(
    outputs: usize,
    inputs: usize,
    fill: impl Fn(usize, &mut [f32]) + Sync,
) -> Vec<T> {
    let mut data = vec![T::default(); panel_count(outputs) * inputs * PANEL];
    pool::for_each_chunk(&mut data, inputs * PANEL, |p, panel| {
        let mut row = vec![0.0; inputs];
        for column in 0..PANEL.min(outputs - p * PANEL) {
            fill(p * PANEL + column, &mut row);
            panels::set_column(panel, inputs, column, &row);
        }
    });
    data
}

/// Rows whose rounded inputs of depth 512 take 96 KB of the second-level cache.
const BLOCK_ROWS: usize = 96;

impl<T: Integer> Integers<T> {
    fn pack(outputs: usize, inputs: usize, fill: impl Fn(usize, &mut [f32]) + Sync) -> Self {
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
        // Of the weights as they are: were each the largest there is, inputs would lose two bits.
        let largest_input = i64::from(i32::MAX) / largest_sum.into_inner();
        let largest_input = largest_input.min(i64::from(arch::LARGEST_INPUT)) as f32;
        Self { panels, scales, largest_input }
    }

    fn bytes(&self) -> usize {
        size_of_val(self.panels.as_slice()) + size_of_val(self.scales.as_slice())
    }

    /// Row `output`, as floats.
    fn row(&self, output: usize, to: &mut [f32]) {
        let (panel, column) = (output / PANEL, output % PANEL);
        let panel = &self.panels[panel * even(to.len()) * PANEL..];
        for (k, to) in to.iter_mut().enumerate() {
            let steps: i32 = panel[(k / 2 * PANEL + column) * 2 + k % 2].into();
            *to = steps as f32 * self.scales[output];
        }
    }

    fn apply(&self, isa: Isa, a: Rows<'_>, out: Out<'_>, epilogue: &Epilogue<'_>) {
        let depth = even(a.depth);
        let count = panel_count(out.columns);
        epilogue.check(out.columns);
        assert!(
            a.rows == 0 || a.data.len() >= (a.rows - 1) * a.stride + a.depth,
            "left operand is too short"
        );
        assert!(
            a.rows == 0 || out.data.len() >= (a.rows - 1) * out.stride + out.columns,
            "product is too short"
        );
        assert!(out.columns <= out.stride || a.rows <= 1, "rows of the product overlap");
        assert!(
            self.panels.len() == count * depth * PANEL && self.scales.len() == count * PANEL,
            "panels do not fit"
        );
        let mut rounded = vec![0_i16; a.rows * depth];
        let mut row_scales = vec![0.0_f32; a.rows];
        let shared_scales = SharedMut::new(&mut row_scales);
        let rows_a_task = (16 * 1024 / depth).max(1);
        pool::for_each_chunk(&mut rounded, rows_a_task * depth, |task, rounded| {
            let first = task * rows_a_task;
            // SAFETY: these rows' scales are this task's alone.
            let scales = unsafe { shared_scales.slice(first, rounded.len() / depth) };
            for (i, (rounded, scale)) in rounded.chunks_exact_mut(depth).zip(scales).enumerate() {
                let row = &a.data[(first + i) * a.stride..][..a.depth];
                *scale = arch::quantise(isa, row, self.largest_input, &mut rounded[..a.depth]);
            }
        });
        let row_blocks = a.rows.div_ceil(BLOCK_ROWS);
        // Few rows are shared out by panels alone; many by blocks of rows that stay in the second-level cache.
        let share = if row_blocks >= 4 * pool::threads() { count } else { gemm::panels_a_task(count) };
        let shares = count.div_ceil(share);
        let (columns, stride) = (out.columns, out.stride);
        let c = SharedMut::new(out.data);
        pool::run(shares * row_blocks, |task| {
            let rows = (task / shares * BLOCK_ROWS)..((task / shares + 1) * BLOCK_ROWS).min(a.rows);
            let my_panels = (task % shares * share)..((task % shares + 1) * share).min(count);
            // Equal tiles: a small one at the end would wait for the panel more than it counts.
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
                        c: c.as_mut_ptr().wrapping_add(first * stride + p * PANEL),
                        c_row: stride,
                        accumulate: epilogue.add,
                        bias: epilogue.bias_at(p * PANEL),
                        gelu: epilogue.gelu,
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

/// What a step of a row's rounded weights is worth, and how many make 1; no steps make a row of (next to) zeros.
#[inline(always)]
pub(crate) fn step_of<T: Integer>(row: &[f32]) -> (f32, f32) {
    let end = f32::from(T::LARGEST);
    let largest = row.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    let steps_in_one = end / largest;
    (largest / end, if steps_in_one.is_finite() { steps_in_one } else { 0.0 })
}

/// The nearest whole number, halves away from zero.
#[inline(always)]
pub(crate) fn nearest(steps: f32) -> f32 {
    // Unlike `round` this is one instruction, or no call at least, for each of millions.
    (steps + 0.5_f32.copysign(steps)) as i32 as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::floats;

    /// Numbers in -1..1.
    fn noise(count: usize, seed: u32) -> Vec<f32> {
        floats(count, seed).into_iter().map(|v| v / 2.0).collect()
    }

    fn reference(x: &[f32], w: &[f32], rows: usize, inputs: usize, outputs: usize) -> Vec<f64> {
        let mut y = vec![0.0; rows * outputs];
        for r in 0..rows {
            for o in 0..outputs {
                y[r * outputs + o] =
                    (0..inputs).map(|k| f64::from(x[r * inputs + k]) * f64::from(w[o * inputs + k])).sum();
            }
        }
        y
    }

    /// Sizes on both sides of every block edge.
    const SIZES: [(usize, usize, usize); 14] = [
        (1, 1, 1),
        (1, 64, 33),
        (2, 7, 16),
        (5, 512, 17),
        (6, 32, 100),
        (7, 33, 15),
        (12, 256, 48),
        (13, 257, 31),
        (14, 255, 16),
        (95, 40, 300),
        (96, 256, 256),
        (97, 513, 40),
        (200, 96, 272),
        (385, 24, 20),
    ];

    #[test]
    fn products_match_the_definition_on_every_instruction_set() {
        for isa in Isa::available() {
            for (precision, tolerance) in [
                (Precision::F32, 2e-6),
                (Precision::F16, 4e-4),
                (Precision::Int8, 8e-3),
                (Precision::Int16, 2e-3),
            ] {
                for (rows, inputs, outputs) in SIZES {
                    let (x, w) = (noise(rows * inputs, 1), noise(outputs * inputs, 2));
                    let bias = noise(outputs, 3);
                    let want = reference(&x, &w, rows, inputs, outputs);
                    let matrix = Matrix::pack(precision, outputs, inputs, |o, row| {
                        row.copy_from_slice(&w[o * inputs..(o + 1) * inputs]);
                    });
                    let before = noise(rows * outputs, 4);
                    let mut got = before.clone();
                    let epilogue = Epilogue::bias_add(&bias);
                    matrix.apply_with(isa, &x, rows, inputs, &mut got, outputs, &epilogue);
                    let allowed = tolerance * (inputs as f64).sqrt().max(1.0) * 2.0;
                    for (i, &got) in got.iter().enumerate() {
                        let want = want[i] + f64::from(before[i]) + f64::from(bias[i % outputs]);
                        assert!(
                            (f64::from(got) - want).abs() <= allowed,
                            "{isa:?} {precision:?} {rows}x{inputs}x{outputs} at {i}: {got}, expected {want}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn every_variant_gives_what_the_scalar_one_gives() {
        for precision in [Precision::F32, Precision::F16, Precision::Int8, Precision::Int16] {
            for (rows, inputs, outputs) in SIZES {
                let (x, w, bias) = (noise(rows * inputs, 5), noise(outputs * inputs, 6), noise(outputs, 7));
                let matrix = Matrix::pack(precision, outputs, inputs, |o, row| {
                    row.copy_from_slice(&w[o * inputs..(o + 1) * inputs]);
                });
                let run = |isa| {
                    let mut y = vec![0.0; rows * outputs];
                    matrix.apply_with(isa, &x, rows, inputs, &mut y, outputs, &Epilogue::bias_gelu(&bias));
                    y
                };
                let want = run(Isa::Scalar);
                for isa in Isa::available() {
                    for (got, want) in run(isa).iter().zip(&want) {
                        assert!((got - want).abs() <= 2e-5 * want.abs().max(1.0), "{isa:?}: {got}, {want}");
                    }
                }
            }
        }
    }

    #[test]
    fn overlapping_rows_make_a_convolution() {
        // Two channels, width 3, stride 2 over five time steps.
        let x = noise(2 * 7, 8);
        let w = noise(4 * 6, 9);
        let matrix = Matrix::pack(Precision::F32, 4, 6, |o, row| row.copy_from_slice(&w[o * 6..(o + 1) * 6]));
        let mut y = vec![0.0; 3 * 4];
        matrix.apply_strided(&x, 3, 4, &mut y, 4, &Epilogue::default());
        for t in 0..3 {
            for o in 0..4 {
                let want: f32 = (0..6).map(|k| x[t * 4 + k] * w[o * 6 + k]).sum();
                assert!((y[t * 4 + o] - want).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn integer_sums_cannot_overflow() {
        let inputs = 5120;
        for precision in [Precision::Int8, Precision::Int16] {
            let matrix = Matrix::pack(precision, 1, inputs, |_, row| row.fill(1.0));
            for isa in Isa::available() {
                let mut y = [0.0];
                matrix.apply_with(isa, &vec![3.0; inputs], 1, inputs, &mut y, 1, &Epilogue::default());
                assert!((y[0] - 15360.0).abs() < 2.0, "{isa:?} {precision:?}: {}", y[0]);
            }
        }
    }

    #[test]
    fn inputs_are_rounded_as_finely_as_the_weights_allow() {
        let inputs = 2048;
        let input_limit = |small: f32| {
            let weights = Integers::<i16>::pack(1, inputs, |_, row| {
                row.fill(small);
                row[7] = 1.0;
            });
            weights.largest_input
        };
        assert!((1024.0..1026.0).contains(&input_limit(1.0)), "{}", input_limit(1.0));
        assert_eq!(input_limit(0.0), f32::from(arch::LARGEST_INPUT));
    }

    #[test]
    fn rows_can_be_looked_up() {
        let w = noise(37 * 10, 10);
        for (precision, tolerance) in
            [(Precision::F32, 0.0), (Precision::F16, 5e-4), (Precision::Int8, 4e-3), (Precision::Int16, 1e-3)]
        {
            let matrix =
                Matrix::pack(precision, 37, 10, |o, row| row.copy_from_slice(&w[o * 10..(o + 1) * 10]));
            let mut row = [0.0; 10];
            for o in 0..37 {
                matrix.row(o, &mut row);
                for (got, want) in row.iter().zip(&w[o * 10..]) {
                    assert!((got - want).abs() <= tolerance, "{precision:?} row {o}: {got}, {want}");
                }
            }
        }
    }
}
