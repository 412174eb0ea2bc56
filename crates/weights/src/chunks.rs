//! Pieces of bytes that stay where they are while more are added, so that what was read of them can be borrowed.

use std::cell::{Cell, OnceCell};

type Row = Box<[OnceCell<Vec<u8>>]>;

/// The pieces, in rows of which each is twice as long as the one before.
#[derive(Default)]
pub(crate) struct Chunks {
    rows: [OnceCell<Row>; 24],
    count: Cell<usize>,
    bytes: Cell<usize>,
}

impl Chunks {
    /// Keeps a piece; gives it back if there are some millions already.
    pub(crate) fn keep(&self, bytes: Vec<u8>) -> Result<&[u8], Vec<u8>> {
        let number = self.count.get() + 1;
        let row_number = number.ilog2() as usize;
        let Some(row) = self.rows.get(row_number) else { return Err(bytes) };
        let row = row.get_or_init(|| (0..1 << row_number).map(|_| OnceCell::new()).collect());
        self.count.set(number);
        self.bytes.set(self.bytes.get() + bytes.len());
        Ok(row[number - (1 << row_number)].get_or_init(|| bytes))
    }

    /// All bytes that are kept.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_stay_as_they_were() {
        let chunks = Chunks::default();
        let kept: Vec<&[u8]> = (0..1000_u16).map(|n| chunks.keep(n.to_le_bytes().into()).unwrap()).collect();
        assert!((0..1000_u16).zip(kept).all(|(n, kept)| kept == n.to_le_bytes()));
        assert_eq!(chunks.bytes(), 2000);
    }
}
