//! Products by AMX tiles (Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter
//! 18): one instruction multiplies sixteen rows with sixteen columns, 64 bytes of each.
//!
//! In assembly, as the standard library's intrinsics for tiles are not stable. Tiles keep their contents from one block of
//! assembly to the next, as the compiler does not use them.

/// Sets tiles to zero. The caller must hold [`Tiles`].
macro_rules! zero_tiles {
    ($($tile:literal)*) => {
        std::arch::asm!($(concat!("tilezero tmm", $tile),)* options(nostack, preserves_flags, nomem))
    };
}

pub(crate) mod bytes;
pub(crate) mod floats;

use std::arch::asm;

use crate::cpu::Amx;

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

/// This thread's use of all eight tiles, at full size, until dropped.
pub(crate) struct Tiles(());

impl Tiles {
    /// # Safety
    /// The thread has no other `Tiles`.
    pub(crate) unsafe fn begin(_: Amx) -> Self {
        // SAFETY: reads only the shape.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &raw const SHAPE, options(nostack, preserves_flags, readonly));
        };
        Self(())
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: changes only tiles, whose contents are no longer needed.
        unsafe { asm!("tilerelease", options(nostack, preserves_flags, nomem)) };
    }
}

/// Interleaves work of vector instructions evenly with tile instructions, which run meanwhile.
#[derive(Clone, Copy)]
pub(crate) struct Interleaver {
    items: usize,
    turns: usize,
    sum: usize,
}

impl Interleaver {
    /// Distributes `items` evenly over `turns`.
    pub(crate) fn new(items: usize, turns: usize) -> Self {
        Self { items, turns, sum: 0 }
    }

    /// Number of items that are due in this turn.
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
