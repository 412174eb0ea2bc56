//! Operations on a product before it is written.

use crate::arch::Target;

/// Operations on a product before it is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// Added to every row.
    pub bias: Option<&'a [f32]>,
    /// Apply GELU after the bias.
    pub gelu: bool,
    /// Add to the output (a residual connection) instead of replacing it.
    pub add: bool,
}

impl<'a> Epilogue<'a> {
    /// A bias only.
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

    /// The epilogue of one block of depth: blocks after the first add to the output; bias and GELU are applied with the last one.
    pub(crate) fn of_block(&self, first: bool, last: bool) -> Self {
        Self { add: self.add || !first, bias: self.bias.filter(|_| last), gelu: last && self.gelu }
    }

    pub(crate) fn check(&self, columns: usize) {
        assert!(self.bias.is_none_or(|b| b.len() >= columns), "bias is too short");
    }

    /// The destination of the product from `row` and `column` on, in `c`, whose rows are `c_row` numbers apart.
    pub(crate) fn target(&self, c: *mut f32, c_row: usize, row: usize, column: usize) -> Target {
        Target {
            c: c.wrapping_add(row * c_row + column),
            c_row,
            accumulate: self.add,
            bias: self.bias.map_or(std::ptr::null(), |b| b[column..].as_ptr()),
            gelu: self.gelu,
        }
    }
}
