//! Input buffer of a streaming convolution.
//!
//! It keeps the rows that later outputs still need, and pads with zeros before the first row and after the
//! last, so that a signal in chunks has the same outputs as the whole signal.

/// The input of a convolution that reads `half` rows to either side.
pub(super) struct ConvBuffer {
    width: usize,
    half: usize,
    /// The `half` rows before the next output's row, then those not yet used.
    rows: Vec<f32>,
}

impl ConvBuffer {
    /// For rows of `width` numbers.
    pub(super) fn new(width: usize, half: usize) -> Self {
        Self { width, half, rows: vec![0.0; half * width] }
    }

    /// Appends the next rows; `end` is true with the last.
    pub(super) fn push(&mut self, rows: &[f32], end: bool) {
        self.rows.extend_from_slice(rows);
        if end {
            self.rows.resize(self.rows.len() + self.half * self.width, 0.0);
        }
    }

    /// Number of outputs that can be computed.
    pub(super) fn ready(&self) -> usize {
        (self.rows.len() / self.width).saturating_sub(2 * self.half)
    }

    /// The rows that the outputs read: `half` rows, those of the outputs, and `half` rows.
    pub(super) fn rows(&self) -> &[f32] {
        &self.rows
    }

    /// The rows at the positions of the outputs.
    pub(super) fn own(&self) -> &[f32] {
        &self.rows[self.half * self.width..][..self.ready() * self.width]
    }

    /// Drops rows that later outputs do not need.
    pub(super) fn advance(&mut self) {
        self.rows.drain(..self.ready() * self.width);
    }
}
