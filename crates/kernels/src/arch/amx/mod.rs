//! Products by tiles, where the CPU has AMX (Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter
//! 18): an instruction multiplies sixteen rows with sixteen columns, 64 bytes of each.
//!
//! In assembly, as the standard library's intrinsics for tiles are not stable. What is in tiles stays there from one block of
//! assembly to the next: the compiler, which is not told of tiles, has nothing of its own in them.

/// Empties tiles, which the caller must have.
macro_rules! zero_tiles {
    ($($tile:literal)*) => {
        std::arch::asm!($(concat!("tilezero tmm", $tile),)* options(nostack, preserves_flags, nomem))
    };
}

pub(crate) mod bytes;
pub(crate) mod floats;

use std::arch::asm;

/// Rows of a tile.
pub(crate) const ROWS: usize = 16;

/// A row of a tile.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct TileRow([u8; 64]);

impl TileRow {
    pub(crate) const ZERO: TileRow = TileRow([0; 64]);
}

/// The shape of all eight tiles, as LDTILECFG reads it.
#[repr(C, align(64))]
struct Shape {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

static SHAPE: Shape = Shape {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

/// Tiles in use by this thread, of full size all eight, until this is dropped.
pub(crate) struct Tiles(());

impl Tiles {
    /// # Safety
    /// `Isa::Amx` is there, and the thread has no other `Tiles`.
    pub(crate) unsafe fn begin() -> Self {
        // SAFETY: reads the shape and nothing else.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &raw const SHAPE, options(nostack, preserves_flags, readonly));
        };
        Self(())
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: touches nothing but tiles, in which nothing is kept.
        unsafe { asm!("tilerelease", options(nostack, preserves_flags, nomem)) };
    }
}

/// Work in vectors that is spread evenly over what tiles do meanwhile.
#[derive(Clone, Copy)]
pub(crate) struct Interleaver {
    items: usize,
    turns: usize,
    sum: usize,
}

impl Interleaver {
    /// So many items over so many turns.
    pub(crate) fn new(items: usize, turns: usize) -> Self {
        Self { items, turns, sum: 0 }
    }

    /// How many items are due this turn.
    #[inline]
    pub(crate) fn due(&mut self) -> usize {
        let mut due = 0;
        self.sum += self.items;
        while self.sum >= self.turns {
            self.sum -= self.turns;
            due += 1;
        }
        due
    }
}
