//! An append-only list of byte buffers that never move, so that references to earlier ones stay valid.

use std::cell::{Cell, OnceCell};

type Row = Box<[OnceCell<Vec<u8>>]>;

/// The buffers, in rows of which each is twice as long as the one before.
#[derive(Default)]
pub(crate) struct Chunks {
    rows: [OnceCell<Row>; 24],
    count: Cell<usize>,
    bytes: Cell<usize>,
}

impl Chunks {
    /// Stores a buffer; returns it as the error if there are already some millions.
    pub(crate) fn keep(&self, bytes: Vec<u8>) -> Result<&[u8], Vec<u8>> {
        let number = self.count.get() + 1;
        let row_number = number.ilog2() as usize;
        let Some(row) = self.rows.get(row_number) else { return Err(bytes) };
        let row = row.get_or_init(|| (0..1 << row_number).map(|_| OnceCell::new()).collect());
        self.count.set(number);
        self.bytes.set(self.bytes.get() + bytes.len());
        Ok(row[number - (1 << row_number)].get_or_init(|| bytes))
    }

    /// Total number of bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_stay_valid() {
        let chunks = Chunks::default();
        let kept: Vec<&[u8]> = (0..1000_u16).map(|n| chunks.keep(n.to_le_bytes().into()).unwrap()).collect();
        assert!((0..1000_u16).zip(kept).all(|(n, kept)| kept == n.to_le_bytes()));
        assert_eq!(chunks.bytes(), 2000);
    }
}
