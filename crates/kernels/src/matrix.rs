//! Packed weights in four precisions, and the product with them.

use half::f16;

use crate::arch::panel_count;
use crate::cpu::Isa;
use crate::epilogue::Epilogue;
use crate::gemm::{self, MatMut, MatRef};
use crate::panels::{self, PANEL};
use crate::pool;
use crate::quantized_panels::QuantizedPanels;

/// From this number of rows on, AMX tiles are faster although the weights are rearranged for each product.
#[cfg(target_arch = "x86_64")]
const MIN_TILED_ROWS: usize = 48;

/// Storage type of a [`Matrix`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floats.
    F32,
    /// 16-bit floats; arithmetic is done in 32 bits.
    F16,
    /// 8-bit integers with one scale per output; inputs are rounded to 16-bit integers with one scale per row.
    Int8,
    /// As [`Precision::Int8`], with weights of eleven bits in two bytes: as fast if weights are in a cache, and nearly as
    /// exact as 16-bit floats.
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
    Int8(QuantizedPanels<i8>),
    Int16(QuantizedPanels<i16>),
}

impl Matrix {
    /// Packs `outputs` rows of `inputs` numbers; `fill(o, row)` writes row `o`. It is called once per row, from
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
            Precision::Int8 => Storage::Int8(QuantizedPanels::pack(outputs, inputs, fill)),
            Precision::Int16 => Storage::Int16(QuantizedPanels::pack(outputs, inputs, fill)),
        };
        Self { inputs, outputs, storage }
    }

    /// Number of inputs: the length of a row of `x`.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Number of outputs: the length of a row of `y`.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Bytes in memory.
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

    /// [`Matrix::apply`] with rows of `x` that are `x_stride` numbers apart (they may overlap, as in a convolution) and
    /// rows of `out` that are `out_stride` apart.
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
        let a = MatRef { data: x, rows, depth: self.inputs, stride: x_stride };
        let out = MatMut { data: out, columns: self.outputs, stride: out_stride };
        #[cfg(target_arch = "x86_64")]
        if let Isa::Amx(amx) = isa
            && rows >= MIN_TILED_ROWS
        {
            match &self.storage {
                Storage::Int8(weights) => return weights.apply_tiles(amx, a, out, epilogue),
                Storage::Int16(weights) => return weights.apply_tiles(amx, a, out, epilogue),
                Storage::F32(_) | Storage::F16(_) => {}
            }
        }
        match &self.storage {
            Storage::F32(panels) => gemm::gemm(isa, a, panels, out, epilogue),
            Storage::F16(panels) => gemm::gemm(isa, a, panels, out, epilogue),
            #[cfg(target_arch = "x86_64")]
            Storage::Int8(weights) => weights.apply(isa, a, out, epilogue),
            Storage::Int16(weights) => weights.apply(isa, a, out, epilogue),
        }
    }

    /// Row `output` of the weights as f32 (embedding lookup).
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
    fn every_variant_agrees_with_the_scalar_one() {
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
