//! Rows that pass through a convolution piece by piece.
//!
//! Between pieces the rows that later outputs still need are kept, and zeros stand before the first row and behind the
//! last, so that a signal in pieces gives what it gives as a whole.

/// The input of a convolution that sees `half` rows to either side.
pub(super) struct Window {
    width: usize,
    half: usize,
    /// Rows in front of the next output's, `half` of them, then those not yet used.
    rows: Vec<f32>,
}

impl Window {
    /// For rows of `width` numbers.
    pub(super) fn new(width: usize, half: usize) -> Self {
        Self { width, half, rows: vec![0.0; half * width] }
    }

    /// Takes the next rows; behind the last, `end` is true.
    pub(super) fn push(&mut self, rows: &[f32], end: bool) {
        self.rows.extend_from_slice(rows);
        if end {
            self.rows.resize(self.rows.len() + self.half * self.width, 0.0);
        }
    }

    /// How many outputs can be made.
    pub(super) fn ready(&self) -> usize {
        (self.rows.len() / self.width).saturating_sub(2 * self.half)
    }

    /// The rows that the outputs see: `half`, those of the outputs, and `half`.
    pub(super) fn rows(&self) -> &[f32] {
        &self.rows
    }

    /// The outputs' own rows.
    pub(super) fn own(&self) -> &[f32] {
        &self.rows[self.half * self.width..][..self.ready() * self.width]
    }

    /// Forgets what later outputs do not need.
    pub(super) fn advance(&mut self) {
        self.rows.drain(..self.ready() * self.width);
    }
}
