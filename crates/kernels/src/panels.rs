//! Packed operands: panels of sixteen columns.

use half::f16;
use half::slice::HalfFloatSliceExt;

/// Columns of a panel: two AVX2 registers of f32.
pub const PANEL: usize = 16;

/// Element type of a panel.
pub trait Element: Copy + Default + Send + Sync {
    /// Rounded from f32.
    fn from_f32(value: f32) -> Self;
    /// Rounds many numbers; the slices have the same length.
    fn from_f32s(values: &[f32], to: &mut [Self]);
    /// Widened to f32.
    fn to_f32(self) -> f32;
}

impl Element for f32 {
    fn from_f32(value: f32) -> Self {
        value
    }
    fn from_f32s(values: &[f32], to: &mut [Self]) {
        to.copy_from_slice(values);
    }
    fn to_f32(self) -> f32 {
        self
    }
}

impl Element for f16 {
    fn from_f32(value: f32) -> Self {
        f16::from_f32(value)
    }
    fn from_f32s(values: &[f32], to: &mut [Self]) {
        to.convert_from_f32_slice(values);
    }
    fn to_f32(self) -> f32 {
        f16::to_f32(self)
    }
}

/// Column `column` of an operand of `depth` rows becomes `values`.
pub(crate) fn set_column<T: Element>(panels: &mut [T], depth: usize, column: usize, values: &[f32]) {
    let first = column / PANEL * depth * PANEL + column % PANEL;
    for (to, &from) in panels[first..].iter_mut().step_by(PANEL).zip(&values[..depth]) {
        *to = T::from_f32(from);
    }
}

/// Interleaves four rows: writes the four numbers of each depth side by side, those of the next depth `step` numbers further on.
/// Blocks of four by four are transposed in registers.
pub(crate) fn interleave_four(rows: [&[f32]; 4], to: &mut [f32], step: usize) {
    let fours = rows.map(|row| row.as_chunks::<4>());
    let squares = fours.map(|(squares, _)| squares);
    for (i, square) in squares[0].iter().enumerate() {
        let square = [square, &squares[1][i], &squares[2][i], &squares[3][i]];
        let to = &mut to[4 * i * step..];
        for k in 0..4 {
            to[k * step..][..4].copy_from_slice(&square.map(|row| row[k]));
        }
    }
    let done = 4 * squares[0].len();
    for k in done..rows[0].len() {
        to[k * step..][..4].copy_from_slice(&rows.map(|row| row[k]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_land_in_their_panels() {
        let (depth, columns) = (3, 21);
        let mut data = vec![0.0_f32; 2 * depth * PANEL];
        for column in 0..columns {
            set_column(&mut data, depth, column, &[0, 1, 2].map(|row| (row * 100 + column) as f32));
        }
        assert_eq!(data[(depth + 2) * PANEL + 4], 220.0);
        assert_eq!(data[(depth + 2) * PANEL + 5], 0.0);
    }
}
