//! The product of many rows by AMX tiles of bfloat16 numbers: a task splits its panels once and multiplies all of its rows with
//! them, one strip at a time.

use std::cell::RefCell;

use super::{Float, MatMut, MatRef};
use crate::arch::amx::floats;
use crate::arch::amx::{Interleaver, TileRow, Tiles};
use crate::arch::{Target, avx512, panel_count};
use crate::cpu::Amx;
use crate::epilogue::Epilogue;
use crate::panels::PANEL;
use crate::pool::{self, SharedMut};

/// Depth of a block: the product is read and written once for each.
const BLOCK_DEPTH: usize = 512;
/// Maximum bytes of split panels per task: they stay in the second-level cache while all its strips are multiplied.
const SHARE_BYTES: usize = 768 << 10;
/// Rows of a product that are finished at a time: few enough that vector instructions do not delay the tiles.
const ROWS_PER_ITEM: usize = 2;

#[derive(Default)]
struct Scratch {
    /// Split panels, by pairs.
    panels: Vec<TileRow>,
    /// The current strip and the next one.
    strips: [Vec<TileRow>; 2],
}

/// The product of a strip with two panels.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Sums([[f32; floats::COLUMNS]; floats::STRIP]);

/// [`super::gemm`] by tiles; the sizes were checked.
pub(super) fn multiply<T: Float>(
    amx: Amx,
    a: &MatRef<'_>,
    panels: &[T],
    out: MatMut<'_>,
    epilogue: &Epilogue<'_>,
) {
    thread_local! {
        static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::default());
    }
    let count = panel_count(out.columns);
    let (groups, strips) = (count.div_ceil(floats::PANELS), a.rows.div_ceil(floats::STRIP));
    // As many panels as fit, and several tasks for each thread.
    let group_bytes = floats::pair_lines(a.depth.min(BLOCK_DEPTH)) * size_of::<TileRow>();
    let shares = groups.div_ceil((SHARE_BYTES / group_bytes).max(1));
    let shares = if strips < 16 { shares.max(4 * pool::threads()).min(groups) } else { shares };
    let share = groups.div_ceil(shares);
    let shares = groups.div_ceil(share);
    let ranges = (4 * pool::threads()).div_ceil(shares).min(strips.div_ceil(4));
    let range = strips.div_ceil(ranges);
    let ranges = strips.div_ceil(range);
    let (columns, stride) = (out.columns, out.stride);
    let c = SharedMut::new(out.data);
    pool::run(shares * ranges, |task| {
        let rows =
            task / shares * range * floats::STRIP..((task / shares + 1) * range * floats::STRIP).min(a.rows);
        let my_groups = task % shares * share..((task % shares + 1) * share).min(groups);
        SCRATCH.with_borrow_mut(|scratch| {
            for first_k in (0..a.depth).step_by(BLOCK_DEPTH) {
                let depth = BLOCK_DEPTH.min(a.depth - first_k);
                let block_epilogue = epilogue.of_block(first_k == 0, first_k + depth == a.depth);
                let group_lines = floats::pair_lines(depth);
                scratch.panels.resize(my_groups.len() * group_lines, TileRow::ZERO);
                for p in my_groups.start * floats::PANELS..(my_groups.end * floats::PANELS).min(count) {
                    let lines = &mut scratch.panels[(p / floats::PANELS - my_groups.start) * group_lines..]
                        [..group_lines];
                    let panel = &panels[(p * a.depth + first_k) * PANEL..][..depth * PANEL];
                    T::split_panel(amx, panel, p % floats::PANELS, lines);
                }
                let block = Block { a, first_k, depth, rows: rows.clone() };
                let target = |row: usize, group: usize| {
                    let column = group * floats::COLUMNS;
                    let columns = floats::COLUMNS.min(columns - column);
                    (block_epilogue.target(c.as_mut_ptr(), stride, row, column), columns)
                };
                // SAFETY: the CPU has AVX-512, and targets meet the contract of `Target`: out, bias and columns were checked,
                // and no other task has these columns of these rows.
                unsafe { block.multiply(amx, scratch, my_groups.clone(), target) };
            }
        });
    });
}

/// Rows of the left operand, and a part of their depth.
struct Block<'a> {
    a: &'a MatRef<'a>,
    first_k: usize,
    depth: usize,
    rows: std::ops::Range<usize>,
}

impl Block<'_> {
    /// Multiplies all rows with all panels of the scratch. Meanwhile vector instructions finish the previous product and split the
    /// next strip.
    ///
    /// # Safety
    /// `target` returns the destination and the number of columns of the product of a strip, by its first row, and a pair of
    /// panels; see [`Target`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn multiply(
        &self,
        amx: Amx,
        scratch: &mut Scratch,
        groups: std::ops::Range<usize>,
        target: impl Fn(usize, usize) -> (Target, usize),
    ) {
        let (group_lines, row_lines) = (floats::pair_lines(self.depth), floats::row_lines(self.depth));
        let products = floats::steps(self.depth) * floats::PRODUCTS;
        let Scratch { panels, strips: [strip, next] } = scratch;
        for lines in [&mut *strip, &mut *next] {
            lines.resize(floats::STRIP * row_lines, TileRow::ZERO);
        }
        let mut sums = [Sums([[0.0; floats::COLUMNS]; floats::STRIP]); 2];
        let (mut strip, mut next) = (strip, next);
        Splitting::new(self, self.rows.start, next, products).finish();
        // SAFETY: the contract; no function called here uses tiles of its own.
        let mut tiles = unsafe { Tiles::begin(amx) };
        let mut finishing = Finishing::new(target(self.rows.start, groups.start), 0, products);
        let mut which = 0;
        for row in self.rows.clone().step_by(floats::STRIP) {
            (strip, next) = (next, strip);
            let mut splitting = Splitting::new(self, row + floats::STRIP, next, products * groups.len());
            for (group, panels) in groups.clone().zip(panels.chunks_exact(group_lines)) {
                let [even, odd] = &mut sums;
                let (sums, before) = if which == 0 { (even, odd) } else { (odd, even) };
                which = 1 - which;
                floats::multiply(
                    &mut tiles,
                    (strip, row_lines),
                    panels,
                    (sums.0.as_flattened_mut(), floats::COLUMNS),
                    false,
                    || {
                        // SAFETY: the contract.
                        unsafe { finishing.advance(before) };
                        splitting.advance();
                    },
                );
                // SAFETY: the contract.
                unsafe { finishing.finish(before) };
                let rows = floats::STRIP.min(self.rows.end - row);
                finishing = Finishing::new(target(row, group), rows, products);
            }
            splitting.finish();
        }
        // SAFETY: the contract.
        unsafe { finishing.finish(&sums[1 - which]) };
    }
}

/// A product that is being finished and written.
struct Finishing {
    to: Target,
    rows: usize,
    columns: usize,
    /// Rows finished so far.
    done: usize,
    interleaver: Interleaver,
}

impl Finishing {
    fn new((to, columns): (Target, usize), rows: usize, products: usize) -> Self {
        Self {
            to,
            rows,
            columns,
            done: 0,
            interleaver: Interleaver::new(rows.div_ceil(ROWS_PER_ITEM), products),
        }
    }

    /// Does the work that is due during one product.
    ///
    /// # Safety
    /// See [`Target`]; the CPU has AVX-512 F.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn advance(&mut self, sums: &Sums) {
        for _ in 0..self.interleaver.due() {
            // SAFETY: by the caller's contract.
            unsafe { self.run_item(sums) };
        }
    }

    /// Does the remaining work.
    ///
    /// # Safety
    /// As above.
    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn finish(&mut self, sums: &Sums) {
        while self.done < self.rows {
            // SAFETY: by the caller's contract.
            unsafe { self.run_item(sums) };
        }
    }

    #[inline(never)]
    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn run_item(&mut self, sums: &Sums) {
        let rows = &sums.0[self.done..self.rows.min(self.done + ROWS_PER_ITEM)];
        // SAFETY: these are rows of the product, which the caller grants.
        unsafe { avx512::finish_rows(&self.to.at_row(self.done), self.columns, rows) };
        self.done += ROWS_PER_ITEM;
    }
}

/// A strip that is being split into bfloat16 parts.
struct Splitting<'a> {
    block: &'a Block<'a>,
    first_row: usize,
    lines: &'a mut [TileRow],
    /// The next item: a step of a row. `rows` is the number of rows.
    row: usize,
    step: usize,
    rows: usize,
    interleaver: Interleaver,
}

impl<'a> Splitting<'a> {
    fn new(block: &'a Block<'a>, first_row: usize, lines: &'a mut [TileRow], products: usize) -> Self {
        let rows = block.rows.end.saturating_sub(first_row).min(floats::STRIP);
        let interleaver = Interleaver::new(rows * floats::steps(block.depth), products);
        Self { block, first_row, lines, row: 0, step: 0, rows, interleaver }
    }

    /// Does the work that is due during one product.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn advance(&mut self) {
        for _ in 0..self.interleaver.due() {
            self.run_item();
        }
    }

    /// Does the remaining work.
    #[target_feature(enable = "avx512f,avx512bw")]
    fn finish(mut self) {
        while self.row < self.rows {
            self.run_item();
        }
    }

    #[inline(never)]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn run_item(&mut self) {
        if self.row == self.rows {
            return;
        }
        let Block { a, first_k, depth, .. } = self.block;
        let k = self.step * floats::DEPTH;
        let at = (self.first_row + self.row) * a.stride + first_k + k;
        let numbers = &a.data[at..at + floats::DEPTH.min(depth - k)];
        let line = self.row * floats::row_lines(*depth) + self.step * floats::PARTS;
        if let Some(lines) = self.lines[line..].first_chunk_mut() {
            floats::split_step(numbers, 1.0, lines);
        }
        self.step += 1;
        if self.step == floats::steps(*depth) {
            (self.row, self.step) = (self.row + 1, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::cpu::Isa;
    use crate::epilogue::Epilogue;
    use crate::gemm::{MatMut, MatRef, gemm};
    use crate::noise::floats;
    use crate::panels::{self, PANEL};

    #[test]
    fn parts_of_floats_are_as_exact_as_floats() {
        let sets = Isa::available();
        let [Some(tiles), Some(vectors)] =
            ["amx", "avx512vnni"].map(|name| sets.iter().copied().find(|isa| isa.name() == name))
        else {
            return;
        };
        // Depths on both sides of a step and of a block.
        for (rows, depth, columns) in [(65, 31, 16), (97, 33, 40), (300, 515, 70), (200, 1100, 33)] {
            let (x, w) = (floats(rows * depth, 1), floats(columns * depth, 2));
            let mut data = vec![0.0; columns.div_ceil(PANEL) * depth * PANEL];
            (0..columns)
                .for_each(|c| panels::set_column(&mut data, depth, c, &w[c * depth..(c + 1) * depth]));
            let error = |isa: Isa| {
                let mut c = vec![0.0; rows * columns];
                let a = MatRef { data: &x, rows, depth, stride: depth };
                gemm(isa, a, &data, MatMut { data: &mut c, columns, stride: columns }, &Epilogue::default());
                let squares = c.iter().enumerate().map(|(i, got)| {
                    let (x, w) = (&x[i / columns * depth..][..depth], &w[i % columns * depth..][..depth]);
                    let want: f64 = x.iter().zip(w).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
                    (f64::from(*got) - want).powi(2)
                });
                (squares.sum::<f64>() / c.len() as f64).sqrt()
            };
            let (tiles, vectors) = (error(tiles), error(vectors));
            assert!(tiles < 1.5 * vectors, "{rows}x{depth}x{columns}: {tiles:e}, in vectors {vectors:e}");
        }
    }
}
