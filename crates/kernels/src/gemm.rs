//! `C = A B` with B in panels.
//!
//! Few rows (a decoder step): each panel is read once and used for all rows while it is in the first-level cache; the
//! panels are divided among the tasks. Many rows (the encoder): blocks of [`BLOCK_ROWS`] rows are divided among the tasks; a
//! block's A is packed into strips, and each block of B of [`BLOCK_DEPTH`] by one panel, widened to f32 if needed, is multiplied
//! with all strips: a strip stays in the first-level cache, the block in the second.

#[cfg(target_arch = "x86_64")]
mod tiled;

use std::cell::RefCell;

use half::f16;

use crate::arch::{self, TILE_ROWS, Tile, panel_count};
use crate::cpu::Isa;
use crate::epilogue::Epilogue;
use crate::panels::{self, PANEL};
use crate::pool::{self, SharedMut};

use sealed::Panels;

/// A strip of this depth takes 24 KB, three quarters of the first-level cache; the panel is streamed from the
/// second level. Shallower blocks would keep the panel in the first level as well, but each block reads and writes C once more,
/// which costs more than it saves.
const BLOCK_DEPTH: usize = 1024;
/// Rows whose packed A of BLOCK_DEPTH takes 384 KB of the second-level cache.
const BLOCK_ROWS: usize = 96;
/// Minimum number of rows per block, if there are as many.
const MIN_ROWS: usize = 24;
/// Panels whose part of C, with BLOCK_ROWS rows, takes 96 KB of the second-level cache.
const BLOCK_PANELS: usize = 16;
/// Up to this number of rows the product is computed panel by panel, and each sum over the whole depth at once: a row's numbers do
/// not depend on the number of other rows, which the shared steps of decoders rely on.
const FEW_ROWS: usize = 64;

/// The left operand: `rows` rows of `depth` numbers, `stride` numbers apart (less than `depth` where rows overlap, as
/// in a convolution).
#[derive(Clone, Copy)]
pub(crate) struct MatRef<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) depth: usize,
    pub(crate) stride: usize,
}

impl MatRef<'_> {
    pub(crate) fn check(&self) {
        let needed = if self.rows == 0 { 0 } else { (self.rows - 1) * self.stride + self.depth };
        assert!(self.data.len() >= needed, "left operand has {} of {needed} numbers", self.data.len());
    }
}

/// Element types of panels: f32 or f16.
pub trait Float: sealed::Kernel {}

impl Float for f32 {}
impl Float for f16 {}

pub(crate) mod sealed {
    #[cfg(target_arch = "x86_64")]
    use crate::arch::amx::{TileRow, floats};
    use crate::arch::{self, Tile};
    #[cfg(target_arch = "x86_64")]
    use crate::cpu::Amx;
    use crate::cpu::Isa;
    use crate::panels::Element;
    use half::f16;

    /// Panels with a kernel.
    pub trait Kernel: Element {
        /// # Safety
        /// See [`Tile`].
        unsafe fn tile(isa: Isa, tile: &Tile<f32>, panel: *const Self);

        /// [`floats::split_panel`].
        #[cfg(target_arch = "x86_64")]
        fn split_panel(amx: Amx, panel: &[Self], which: usize, lines: &mut [TileRow]);

        /// The panels in f32: themselves, or widened into `scratch`.
        fn widened<'a>(isa: Isa, panels: Panels<'a, Self>, scratch: &'a mut Vec<f32>) -> Panels<'a, f32>;
    }

    /// The same range of depth of several panels.
    pub struct Panels<'a, T> {
        pub(crate) data: &'a [T],
        /// Numbers of each panel.
        pub(crate) len: usize,
        /// Distance from one panel to the next.
        pub(crate) step: usize,
    }

    impl Kernel for f32 {
        unsafe fn tile(isa: Isa, tile: &Tile<f32>, panel: *const f32) {
            // SAFETY: by the caller's contract.
            unsafe { arch::tile_f32(isa, tile, panel) }
        }

        #[cfg(target_arch = "x86_64")]
        fn split_panel(_: Amx, panel: &[f32], which: usize, lines: &mut [TileRow]) {
            // SAFETY: `Amx` proves AVX-512 too.
            unsafe { floats::split_panel(panel, which, lines) }
        }

        fn widened<'a>(_: Isa, panels: Panels<'a, f32>, _: &'a mut Vec<f32>) -> Panels<'a, f32> {
            panels
        }
    }

    impl Kernel for f16 {
        unsafe fn tile(isa: Isa, tile: &Tile<f32>, panel: *const f16) {
            // SAFETY: by the caller's contract.
            unsafe { arch::tile_f16(isa, tile, panel) }
        }

        #[cfg(target_arch = "x86_64")]
        fn split_panel(_: Amx, panel: &[f16], which: usize, lines: &mut [TileRow]) {
            // SAFETY: `Amx` proves AVX-512 too.
            unsafe { floats::split_panel(panel, which, lines) }
        }

        fn widened<'a>(isa: Isa, panels: Panels<'a, f16>, scratch: &'a mut Vec<f32>) -> Panels<'a, f32> {
            let Panels { data, len, step } = panels;
            scratch.resize(data.len().div_ceil(step) * len, 0.0);
            for (panel, wide) in data.chunks(step).zip(scratch.chunks_exact_mut(len)) {
                arch::widen(isa, &panel[..len], wide);
            }
            Panels { data: scratch, len, step: len }
        }
    }
}

/// The output: rows of `columns` numbers, `stride` numbers apart.
pub(crate) struct MatMut<'a> {
    pub(crate) data: &'a mut [f32],
    pub(crate) columns: usize,
    pub(crate) stride: usize,
}

impl MatMut<'_> {
    pub(crate) fn check(&self, rows: usize) {
        assert!(self.columns <= self.stride || rows <= 1, "rows of the product overlap");
        let needed = if rows == 0 { 0 } else { (rows - 1) * self.stride + self.columns };
        assert!(self.data.len() >= needed, "product has {} of {needed} numbers", self.data.len());
    }
}

/// `out = epilogue(a b)`; `panels` are b's, as many as `out` has columns for.
pub(crate) fn gemm<T: Float>(
    isa: Isa,
    a: MatRef<'_>,
    panels: &[T],
    out: MatMut<'_>,
    epilogue: &Epilogue<'_>,
) {
    a.check();
    out.check(a.rows);
    epilogue.check(out.columns);
    assert_eq!(panels.len(), panel_count(out.columns) * a.depth * PANEL, "panels do not fit the product");
    if a.rows <= FEW_ROWS {
        return few_rows(isa, a, panels, out, epilogue);
    }
    #[cfg(target_arch = "x86_64")]
    if let Isa::Amx(amx) = isa {
        return tiled::multiply(amx, &a, panels, out, epilogue);
    }
    {
        many_rows(isa, a, panels, out, epilogue);
    }
}

/// Panels per task, such that each thread gets several tasks, as threads differ in speed.
pub(crate) fn panels_per_task(panels: usize) -> usize {
    panels.div_ceil(4 * pool::threads()).max(1)
}

fn few_rows<T: Float>(isa: Isa, a: MatRef<'_>, panels: &[T], out: MatMut<'_>, epilogue: &Epilogue<'_>) {
    let count = panel_count(out.columns);
    let share = panels_per_task(count);
    let (columns, stride) = (out.columns, out.stride);
    let c = SharedMut::new(out.data);
    pool::run(count.div_ceil(share), |task| {
        for p in task * share..((task + 1) * share).min(count) {
            let panel = &panels[p * a.depth * PANEL..(p + 1) * a.depth * PANEL];
            for first in (0..a.rows).step_by(TILE_ROWS) {
                let tile = Tile {
                    rows: TILE_ROWS.min(a.rows - first),
                    columns: PANEL.min(columns - p * PANEL),
                    depth: a.depth,
                    a: a.data[first * a.stride..].as_ptr(),
                    a_row: a.stride,
                    a_step: 1,
                    panel_step: 0,
                    // Inside `c`: both were checked in `gemm`.
                    to: epilogue.target(c.as_mut_ptr(), stride, first, p * PANEL),
                    streamed: first == 0,
                };
                // SAFETY: a, panel, bias and c cover the tile by the checks in `gemm`; panel p's columns of c are
                // this task's alone.
                unsafe { T::tile(isa, &tile, panel.as_ptr()) };
            }
        }
    });
}

fn many_rows<T: Float>(isa: Isa, a: MatRef<'_>, panels: &[T], out: MatMut<'_>, epilogue: &Epilogue<'_>) {
    thread_local! {
        static SCRATCH: RefCell<(Vec<f32>, Vec<f32>)> = const { RefCell::new((Vec::new(), Vec::new())) };
    }
    let (tile_rows, tile_columns) = (arch::tall_tile_rows(isa), arch::wide_tile_columns(isa));
    let count = panel_count(out.columns);
    let (columns, stride) = (out.columns, out.stride);
    // Two blocks per thread, as long as they are worth packing.
    let block_rows =
        a.rows.div_ceil(2 * pool::threads()).next_multiple_of(tile_rows).clamp(MIN_ROWS, BLOCK_ROWS);
    let row_blocks = a.rows.div_ceil(block_rows);
    // A product of few rows is divided by columns as well, so that every thread has work.
    let column_blocks = if row_blocks >= 4 * pool::threads() {
        1
    } else {
        (4 * pool::threads() / row_blocks).clamp(1, count.div_ceil(BLOCK_PANELS))
    };
    let share = count.div_ceil(column_blocks);
    let c = SharedMut::new(out.data);
    pool::run(row_blocks * column_blocks, |task| {
        let (row_block, column_block) = (task / column_blocks, task % column_blocks);
        let first_row = row_block * block_rows;
        let rows = block_rows.min(a.rows - first_row);
        let my_panels = column_block * share..((column_block + 1) * share).min(count);
        SCRATCH.with_borrow_mut(|(strips, wide)| {
            pack_strips(&a, first_row, rows, tile_rows, strips);
            for group in my_panels.clone().step_by(BLOCK_PANELS) {
                for first_k in (0..a.depth).step_by(BLOCK_DEPTH) {
                    let depth = BLOCK_DEPTH.min(a.depth - first_k);
                    let block_epilogue = epilogue.of_block(first_k == 0, first_k + depth == a.depth);
                    let group = group..(group + BLOCK_PANELS).min(my_panels.end);
                    for p in group.clone().step_by(tile_columns / PANEL) {
                        let side_by_side = (tile_columns / PANEL).min(group.end - p);
                        let (step, first) = (a.depth * PANEL, first_k * PANEL);
                        let data = &panels[p * step + first..(p + side_by_side) * step];
                        let side_by_side_panels = Panels { data, len: depth * PANEL, step };
                        let panel = T::widened(isa, side_by_side_panels, wide);
                        for strip in (0..rows).step_by(tile_rows) {
                            let tile = Tile {
                                rows: tile_rows.min(rows - strip),
                                columns: (side_by_side * PANEL).min(columns - p * PANEL),
                                depth,
                                a: strips[strip * a.depth + first_k * tile_rows..].as_ptr(),
                                a_row: 1,
                                a_step: tile_rows,
                                panel_step: panel.step,
                                to: block_epilogue.target(
                                    c.as_mut_ptr(),
                                    stride,
                                    first_row + strip,
                                    p * PANEL,
                                ),
                                streamed: false,
                            };
                            // SAFETY: strips hold all rows of the block (padded to whole strips) over the whole
                            // depth; panel, bias and c are covered by the checks in `gemm`; this block of c is this
                            // task's alone.
                            unsafe { arch::tile_f32(isa, &tile, panel.data.as_ptr()) };
                        }
                    }
                }
            }
        });
    });
}

/// Rows `first..first + rows` as strips of `tile_rows` rows, each `[depth][tile_rows]`.
fn pack_strips(a: &MatRef<'_>, first: usize, rows: usize, tile_rows: usize, strips: &mut Vec<f32>) {
    strips.resize(rows.div_ceil(tile_rows) * tile_rows * a.depth, 0.0);
    for (s, strip) in strips.chunks_exact_mut(tile_rows * a.depth).enumerate() {
        let row = |r: usize| &a.data[(first + s * tile_rows + r) * a.stride..][..a.depth];
        let filled = tile_rows.min(rows - s * tile_rows);
        let fours = filled / 4 * 4;
        for r in (0..fours).step_by(4) {
            panels::interleave_four([row(r), row(r + 1), row(r + 2), row(r + 3)], &mut strip[r..], tile_rows);
        }
        for r in fours..filled {
            strip[r..].iter_mut().step_by(tile_rows).zip(row(r)).for_each(|(to, from)| *to = *from);
        }
    }
}
