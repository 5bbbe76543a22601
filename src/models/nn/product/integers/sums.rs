use std::ops::Range;

use super::super::super::lanes::{Lanes, WIDEST, prefetch_line};
use super::super::super::{Activation, cpu};
use super::super::sums::{Begin, Block};
use super::instructions::{Instructions, Lines, MANY, Pairs, Vectorised};
use super::{BLOCK, Factor, Layout};

/// Blocks that are added up at a time: a panel of them stays in the first cache while all rows go by.
const BLOCKS: usize = 8;

/// A product, to be computed block by block: see [`product`](super::product).
pub(super) struct Work<'a> {
    pub instructions: Instructions,
    pub rows: (Layout, &'a Factor),
    pub columns: (Layout, &'a Factor),
    pub bias: Option<&'a [f32]>,
    pub activation: Option<Activation>,
    /// `(rows, columns)`.
    pub out: cpu::Shared,
}

impl Work<'_> {
    /// Computes a block of groups of rows and of columns.
    ///
    /// # Safety
    /// It lies in the result, and its place is the caller's alone.
    pub(super) unsafe fn compute(&self, block: &Block) {
        for first in (0..self.rows.0.blocks()).step_by(BLOCKS) {
            for panel in block.panels.clone() {
                self.instructions.run(Tall {
                    work: self,
                    rows: block.rows.clone(),
                    panel,
                    blocks: first..(first + BLOCKS).min(self.rows.0.blocks()),
                });
            }
        }
        if let Some(activation) = self.activation {
            let (width, columns) = (self.columns.0.together, self.columns.0.lines);
            let seen = block.panels.start * width..(block.panels.end * width).min(columns);
            let together = self.rows.0.together;
            let rows =
                block.rows.start * together..(block.rows.end * together).min(self.rows.0.lines);
            for row in rows {
                // SAFETY: the caller's promise.
                let row = unsafe { self.out.slice(row * columns + seen.start, seen.len()) };
                activation.apply_to(row);
            }
        }
    }
}

/// Groups of rows and one panel of columns, and the blocks of their depth that are added up. Whoever makes one promises that its place
/// in the result is no one else's while it runs.
struct Tall<'a> {
    work: &'a Work<'a>,
    rows: Range<usize>,
    panel: usize,
    blocks: Range<usize>,
}

impl Vectorised for Tall<'_> {
    #[inline(always)]
    unsafe fn run<P: Pairs<R>, const R: usize>(self) {
        let ((rows, first_factor), (columns, factor)) = (self.work.rows, self.work.columns);
        let first = self.panel * columns.together;
        let wide = columns.together.min(columns.lines - first);
        let panel = factor.at(columns, self.panel, self.blocks.start);
        let depth = (rows.padded() - self.blocks.start * BLOCK).min(self.blocks.len() * BLOCK);
        let begin = match self.work.bias {
            _ if self.blocks.start > 0 => Begin::There,
            None => Begin::Zero,
            Some(bias) => Begin::Bias(bias[first..].as_ptr()),
        };
        // Two vectors for each of the rows.
        let mut sums = [0f32; MANY * 2 * WIDEST];
        let width = columns.together;
        for group in self.rows.clone() {
            let count = R.min(rows.lines - group * R);
            let place = |r: usize| (group * R + r) * columns.lines + first;
            let row = first_factor.at(rows, group, self.blocks.start);
            sums[..R * width].fill(0.0);
            // SAFETY: the caller's promise, and that of the layout.
            unsafe {
                for r in 0..count {
                    prefetch_line(self.work.out.at(place(r)));
                }
                add_blocks::<P, R>(sums.as_mut_ptr(), row, panel, depth);
                for r in 0..count {
                    let sums = &sums[r * width..][..width];
                    write::<P::Wide>(sums, begin, self.work.out.at(place(r)), wide);
                }
            }
        }
    }
}

/// Adds to `sums`, `(R, two vectors)`, the products of a group of rows with one of columns over `depth` places.
///
/// # Safety
/// The processor has the instructions, and both groups have as many places from a block on.
#[inline(always)]
unsafe fn add_blocks<P: Pairs<R>, const R: usize>(
    sums: *mut f32,
    mut rows: Lines,
    mut columns: Lines,
    depth: usize,
) {
    for first in (0..depth).step_by(BLOCK) {
        let places = BLOCK.min(depth - first);
        // SAFETY: the caller's promise.
        unsafe {
            P::add_block(sums, rows, columns, places);
            (rows, columns) = (
                rows.after(places, R),
                columns.after(places, 2 * P::Wide::WIDTH),
            );
        }
    }
}

/// Adds the product of `rows` with the one group of `columns` to `out`, `(rows, columns)` with as many rows as there are in full groups and
/// as many columns as in one. Nothing is shared out.
pub(in super::super::super) fn panel_product(
    instructions: Instructions,
    rows: (Layout, &Factor),
    columns: (Layout, &Factor, usize),
    out: &mut [f32],
) {
    let (groups, width) = (rows.0.groups(), columns.0.together);
    assert!(rows.0.depth == columns.0.depth);
    assert!(out.len() == groups * rows.0.together * width);
    instructions.run(Panel { rows, columns, out });
}

struct Panel<'a> {
    rows: (Layout, &'a Factor),
    columns: (Layout, &'a Factor, usize),
    out: &'a mut [f32],
}

impl Vectorised for Panel<'_> {
    #[inline(always)]
    unsafe fn run<P: Pairs<R>, const R: usize>(self) {
        let ((rows, first_factor), (columns, factor, panel)) = (self.rows, self.columns);
        let column = factor.at(columns, panel, 0);
        for (group, out) in self.out.chunks_exact_mut(R * columns.together).enumerate() {
            let row = first_factor.at(rows, group, 0);
            // SAFETY: the caller's promise, and that of the layout.
            unsafe { add_blocks::<P, R>(out.as_mut_ptr(), row, column, rows.padded()) };
        }
    }
}

/// Writes the sums of a row, as many as there are columns.
///
/// # Safety
/// The processor has the instructions, and `wide` numbers may be written, and read where they are to begin with something.
#[inline(always)]
unsafe fn write<L: Lanes>(sums: &[f32], begin: Begin, to: *mut f32, wide: usize) {
    let begin = match begin {
        Begin::Zero => None,
        Begin::There => Some(to.cast_const()),
        Begin::Bias(bias) => Some(bias),
    };
    // SAFETY: the caller's promise.
    unsafe {
        if wide == sums.len() {
            for v in (0..wide).step_by(L::WIDTH) {
                let mut sum = L::load(sums.as_ptr().add(v));
                if let Some(begin) = begin {
                    sum = L::load(begin.add(v)).add_product(sum, L::splat(1.0));
                }
                sum.store(to.add(v));
            }
        } else {
            for (i, sum) in sums[..wide].iter().enumerate() {
                *to.add(i) = begin.map_or(0.0, |begin| *begin.add(i)) + sum;
            }
        }
    }
}
