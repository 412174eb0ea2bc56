//! Products of 8-bit inputs with 8-bit weights, as in ONNX's dynamic quantization.
//!
//! The input is quantized to 256 levels that cover the whole tensor (ONNX's `DynamicQuantizeLinear`), the weights
//! have one scale and are symmetric (`MatMulInteger` with a zero point of 0), and sums are exact in 32 bits: every
//! instruction set gives the same integers. Each product also returns the range of its output, from which the next
//! product's quantization parameters follow, so that no tensor is read twice.

use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};

use crate::arch::u8i8_gemm::{self, GROUP, QUAD, TILE_ROWS};
use crate::cpu::Isa;
use crate::pool::{self, SharedMut};
use crate::vecmath::{TO_INTEGER, gelu_of};
use crate::vectorize::vectorized;

/// Maximum rows per task: 48 x 768 inputs and their sums stay in the second-level cache.
const BLOCK_ROWS: usize = 8 * TILE_ROWS;

/// The smallest and the largest of some numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ValueRange {
    /// The smallest; infinity if there are none.
    pub min: f32,
    /// The largest; minus infinity if there are none.
    pub max: f32,
}

impl ValueRange {
    /// The empty range.
    pub const EMPTY: ValueRange = ValueRange { min: f32::INFINITY, max: f32::NEG_INFINITY };

    /// The range of `values`.
    pub fn of(values: &[f32]) -> Self {
        vectorized(
            Isa::current(),
            #[inline(always)]
            || value_range(values),
        )
    }

    /// The smallest range that covers both.
    pub fn union(self, other: ValueRange) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }
}

#[inline(always)]
pub(crate) fn value_range(values: &[f32]) -> ValueRange {
    let mut lanes = Lanes::EMPTY;
    lanes.take_in(values);
    lanes.range()
}

/// Ranges of every sixteenth number, kept in registers.
#[derive(Clone, Copy)]
struct Lanes {
    min: [f32; 16],
    max: [f32; 16],
}

impl Lanes {
    const EMPTY: Lanes = Lanes { min: [f32::INFINITY; 16], max: [f32::NEG_INFINITY; 16] };

    #[inline(always)]
    fn take_in(&mut self, values: &[f32]) {
        let (chunks, rest) = values.as_chunks::<16>();
        for chunk in chunks {
            for ((min, max), &v) in self.min.iter_mut().zip(&mut self.max).zip(chunk) {
                *min = if v < *min { v } else { *min };
                *max = if v > *max { v } else { *max };
            }
        }
        for &v in rest {
            self.min[0] = if v < self.min[0] { v } else { self.min[0] };
            self.max[0] = if v > self.max[0] { v } else { self.max[0] };
        }
    }

    fn range(&self) -> ValueRange {
        let min = self.min.iter().fold(f32::INFINITY, |m, &v| m.min(v));
        let max = self.max.iter().fold(f32::NEG_INFINITY, |m, &v| m.max(v));
        ValueRange { min, max }
    }
}

/// Quantization parameters: 256 evenly spaced levels, one of which is zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QuantParams {
    /// Distance between neighbouring levels.
    pub scale: f32,
    /// Zero point: the level that stands for 0.
    pub zero: u8,
}

impl QuantParams {
    /// The finest parameters that cover `range` and zero.
    pub fn covering(range: ValueRange) -> Self {
        let (min, max) = (range.min.min(0.0), range.max.max(0.0));
        let scale = (max - min) / 255.0;
        if scale > 0.0 && scale.is_finite() {
            Self { scale, zero: (-min / scale).round_ties_even().clamp(0.0, 255.0) as u8 }
        } else {
            Self { scale: 1.0, zero: 0 }
        }
    }

    /// Quantizes each number to its level.
    fn round(self, from: &[f32], to: &mut [u8]) {
        vectorized(
            Isa::current(),
            #[inline(always)]
            || round_to(self, from, to),
        );
    }
}

#[inline(always)]
fn round_to(params: QuantParams, from: &[f32], to: &mut [u8]) {
    let zero = i32::from(params.zero);
    for (to, &from) in to.iter_mut().zip(from) {
        let steps = (from / params.scale).clamp(-256.0, 256.0) + TO_INTEGER;
        *to = (steps.to_bits() as i32 - TO_INTEGER.to_bits() as i32 + zero).clamp(0, 255) as u8;
    }
}

/// Operations on a product before it is written.
#[derive(Clone, Copy, Debug)]
pub enum QuantEpilogue<'a> {
    /// The bias only.
    Plain,
    /// GELU, by the error function.
    Gelu,
    /// Added to the output.
    Add,
    /// Multiplied by one number per column, then added to the output.
    ScaleAdd(&'a [f32]),
}

/// 8-bit weights with their bias, packed for products with rounded inputs.
#[derive(Clone, Debug)]
pub struct QuantizedMatrix {
    inputs: usize,
    outputs: usize,
    scale: f32,
    bias: Vec<f32>,
    /// Sum of each column's weights; this times the inputs' zero point is subtracted.
    column_sums: Vec<i32>,
    /// Groups of GROUP columns, each `[inputs / QUAD][GROUP][QUAD]`; zeros where the matrix ends.
    groups: Vec<i8>,
}

impl QuantizedMatrix {
    /// Packs `weights`, `[inputs, outputs]` in steps of `scale`; `bias` has one number per output.
    pub fn pack(inputs: usize, outputs: usize, weights: &[i8], scale: f32, bias: &[f32]) -> Self {
        assert_eq!(weights.len(), inputs * outputs, "weights do not fit {inputs} x {outputs}");
        assert_eq!(bias.len(), outputs, "bias does not fit {outputs} outputs");
        assert!(inputs < 1 << 16, "sums over {inputs} inputs could leave 32 bits");
        let padded = outputs.next_multiple_of(GROUP);
        let quads = inputs.div_ceil(QUAD);
        let mut groups = vec![0_i8; padded * quads * QUAD];
        let mut column_sums = vec![0_i32; padded];
        for (k, row) in weights.chunks_exact(outputs.max(1)).enumerate() {
            for (column, &weight) in row.iter().enumerate() {
                let group = column / GROUP * quads * GROUP * QUAD;
                groups[group + (k / QUAD * GROUP + column % GROUP) * QUAD + k % QUAD] = weight;
                column_sums[column] += i32::from(weight);
            }
        }
        let mut bias = bias.to_vec();
        bias.resize(padded, 0.0);
        Self { inputs, outputs, scale, bias, column_sums, groups }
    }

    /// Number of inputs: the length of a row of `x`.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Number of outputs: the length of a row of `out`.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        self.groups.len() + size_of_val(self.column_sums.as_slice()) + size_of_val(self.bias.as_slice())
    }

    /// `out = epilogue(x W + bias)` with `x`, `[rows, inputs]`, quantized by `params`; `out` is `[rows, outputs]`. Runs on
    /// the pool. Returns the range of `out`.
    pub fn apply(
        &self,
        x: &[f32],
        params: QuantParams,
        rows: usize,
        out: &mut [f32],
        epilogue: QuantEpilogue<'_>,
    ) -> ValueRange {
        assert_eq!(x.len(), rows * self.inputs, "input does not fit {rows} rows");
        assert_eq!(out.len(), rows * self.outputs, "output does not fit {rows} rows");
        let total = Mutex::new(ValueRange::EMPTY);
        // Whole tiles, and the same number of blocks for each thread: two, or more if blocks would be too large.
        let rounds = rows.div_ceil(BLOCK_ROWS * pool::threads()).max(2);
        let block = rows.div_ceil(rounds * pool::threads()).next_multiple_of(TILE_ROWS).max(TILE_ROWS);
        let shared = SharedMut::new(out);
        pool::run(rows.div_ceil(block), |task| {
            let first = task * block;
            let rows = block.min(rows - first);
            // SAFETY: task i's rows are i * block.., cut at the end: disjoint and, by the check above, in bounds.
            let out = unsafe { shared.slice(first * self.outputs, rows * self.outputs) };
            let range = self.apply_block(&x[first * self.inputs..], params, rows, out, epilogue);
            let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
            *total = total.union(range);
        });
        total.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// [`QuantizedMatrix::apply`] on the calling thread alone, for callers that already are a task of the pool.
    pub fn apply_block(
        &self,
        x: &[f32],
        params: QuantParams,
        rows: usize,
        out: &mut [f32],
        epilogue: QuantEpilogue<'_>,
    ) -> ValueRange {
        thread_local! {
            static ROUNDED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        assert!(x.len() >= rows * self.inputs && out.len() >= rows * self.outputs, "{rows} rows do not fit");
        if let QuantEpilogue::ScaleAdd(factors) = epilogue {
            assert_eq!(factors.len(), self.outputs, "one factor per output is needed");
        }
        let (isa, depth) = (Isa::current(), self.inputs.next_multiple_of(QUAD));
        let mut lanes = Lanes::EMPTY;
        ROUNDED.with_borrow_mut(|rounded| {
            rounded.resize(rows * depth, 0);
            for (to, from) in rounded.chunks_exact_mut(depth.max(1)).zip(x.chunks_exact(self.inputs.max(1))) {
                let (to, padding) = to.split_at_mut(self.inputs);
                params.round(from, to);
                padding.fill(0);
            }
            let mut sums = [0_i32; TILE_ROWS * GROUP];
            for (g, group) in self.groups.chunks_exact(depth.max(1) * GROUP).enumerate() {
                // The zero point's contribution to each column, except for the part that the kernel subtracts itself, is
                // subtracted beforehand.
                let offset = u8i8_gemm::input_offset(isa) - i32::from(params.zero);
                let mut start = [0_i32; GROUP];
                for (start, sum) in start.iter_mut().zip(&self.column_sums[g * GROUP..]) {
                    *start = offset * sum;
                }
                for first in (0..rows).step_by(TILE_ROWS) {
                    let tile_rows = TILE_ROWS.min(rows - first);
                    let a = &rounded[first * depth..(first + tile_rows) * depth];
                    u8i8_gemm::multiply(isa, a, depth, group, &start, &mut sums);
                    let out = &mut out[first * self.outputs..(first + tile_rows) * self.outputs];
                    vectorized(
                        isa,
                        #[inline(always)]
                        || self.write(&sums, params.scale * self.scale, g * GROUP, out, epilogue, &mut lanes),
                    );
                }
            }
        });
        lanes.range()
    }

    /// Dequantizes and writes the sums of a tile's rows, in the columns from `first` on.
    #[inline(always)]
    fn write(
        &self,
        sums: &[i32],
        scale: f32,
        first: usize,
        out: &mut [f32],
        epilogue: QuantEpilogue<'_>,
        lanes: &mut Lanes,
    ) {
        let columns = GROUP.min(self.outputs - first);
        let bias = &self.bias[first..][..columns];
        let mut range = *lanes;
        for (sums, out) in sums.chunks_exact(GROUP).zip(out.chunks_exact_mut(self.outputs)) {
            let (sums, out) = (&sums[..columns], &mut out[first..][..columns]);
            match epilogue {
                QuantEpilogue::Plain => {
                    for ((out, &sum), bias) in out.iter_mut().zip(sums).zip(bias) {
                        *out = sum as f32 * scale + bias;
                    }
                }
                QuantEpilogue::Gelu => {
                    for ((out, &sum), bias) in out.iter_mut().zip(sums).zip(bias) {
                        *out = gelu_of(sum as f32 * scale + bias);
                    }
                }
                QuantEpilogue::Add => {
                    for ((out, &sum), bias) in out.iter_mut().zip(sums).zip(bias) {
                        *out += sum as f32 * scale + bias;
                    }
                }
                QuantEpilogue::ScaleAdd(factors) => {
                    let factors = &factors[first..][..columns];
                    for (((out, &sum), bias), factor) in out.iter_mut().zip(sums).zip(bias).zip(factors) {
                        *out += factor * (sum as f32 * scale + bias);
                    }
                }
            }
            range.take_in(out);
        }
        *lanes = range;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::words;

    #[test]
    fn products_match_their_definition() {
        for (rows, inputs, outputs) in [(1, 1, 1), (7, 30, 65), (50, 128, 64), (100, 33, 130)] {
            let x: Vec<f32> = words(rows * inputs, 3).map(|v| v as f32 / (1 << 22) as f32 - 1.5).collect();
            let weights: Vec<i8> = words(inputs * outputs, 4).map(|v| v as i8).collect();
            let bias: Vec<f32> = (0..outputs).map(|o| o as f32 * 0.1).collect();
            let factors: Vec<f32> = (0..outputs).map(|o| 1.0 - o as f32 * 0.01).collect();
            let params = QuantParams::covering(ValueRange::of(&x));
            let matrix = QuantizedMatrix::pack(inputs, outputs, &weights, 0.01, &bias);
            let mut got = vec![2.0; rows * outputs];
            let range = matrix.apply(&x, params, rows, &mut got, QuantEpilogue::ScaleAdd(&factors));
            for r in 0..rows {
                for o in 0..outputs {
                    let sum: f64 = (0..inputs)
                        .map(|k| {
                            let steps = f64::from(x[r * inputs + k] / params.scale).round_ties_even()
                                + f64::from(params.zero);
                            let rounded =
                                (steps.clamp(0.0, 255.0) - f64::from(params.zero)) * f64::from(params.scale);
                            rounded * f64::from(weights[k * outputs + o]) * 0.01
                        })
                        .sum();
                    let want = 2.0 + f64::from(factors[o]) * (sum + f64::from(bias[o]));
                    let got = f64::from(got[r * outputs + o]);
                    assert!((got - want).abs() < 1e-4 * want.abs().max(1.0), "{r}, {o}: {got}, {want}");
                }
            }
            assert_eq!(range, ValueRange::of(&got));
        }
    }

    #[test]
    fn parameters_cover_zero_and_both_ends() {
        let params = QuantParams::covering(ValueRange { min: -1.0, max: 3.0 });
        let mut rounded = [0; 5];
        params.round(&[-1.0, 0.0, 3.0, 100.0, -100.0], &mut rounded);
        assert_eq!(rounded, [0, params.zero, 255, 255, 0]);
        // Numbers on one side of zero, none, and no finite ones.
        assert_eq!(QuantParams::covering(ValueRange { min: 1.0, max: 2.0 }).zero, 0);
        assert_eq!(QuantParams::covering(ValueRange { min: -2.0, max: -1.0 }).zero, 255);
        assert_eq!(QuantParams::covering(ValueRange::EMPTY), QuantParams { scale: 1.0, zero: 0 });
        assert_eq!(QuantParams::covering(ValueRange { min: 0.0, max: f32::INFINITY }).scale, 1.0);
    }
}
