use std::ops::Range;

use super::super::lanes::{Instructions, WIDEST, turn};
use super::sums::{FEW, MANY};

/// How a first factor of `(rows, depth)` is packed: its rows in groups that are added up together, of each group the numbers of the same
/// place in the depth one after the other.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Packed {
    pub rows: usize,
    pub depth: usize,
    pub(super) instructions: Instructions,
}

impl Packed {
    /// The layout for this processor.
    pub(in super::super) fn new(rows: usize, depth: usize) -> Self {
        Self::with(Instructions::best(), rows, depth)
    }

    pub(super) fn with(instructions: Instructions, rows: usize, depth: usize) -> Self {
        Self {
            rows,
            depth,
            instructions,
        }
    }

    /// Numbers of it.
    pub(in super::super) fn len(&self) -> usize {
        self.rows * self.depth
    }

    /// Packs a factor whose rows lie `step` apart in `from`. `to` has [`len`](Self::len) numbers.
    pub(in super::super) fn fill_from_rows(&self, to: &mut [f32], from: &[f32], step: usize) {
        assert!(to.len() == self.len() && from.len() >= reach(self.rows, self.depth, step));
        match self.together() {
            MANY => pack_rows::<MANY>(from, step, to, self.depth),
            _ => pack_rows::<FEW>(from, step, to, self.depth),
        }
    }

    /// The same of a factor whose columns, the places of the depth, lie `step` apart.
    pub(in super::super) fn fill_from_columns(&self, to: &mut [f32], from: &[f32], step: usize) {
        assert!(to.len() == self.len() && from.len() >= reach(self.depth, self.rows, step));
        let mut fill = |(row, count): (usize, usize)| {
            let to = &mut to[row * self.depth..][..count * self.depth];
            for (place, to) in to.chunks_exact_mut(count).enumerate() {
                to.copy_from_slice(&from[place * step + row..][..count]);
            }
        };
        match self.together() {
            MANY => Groups::<MANY>(0..self.rows).for_each(&mut fill),
            _ => Groups::<FEW>(0..self.rows).for_each(&mut fill),
        }
    }

    /// Rows of a full group.
    pub(super) fn together(&self) -> usize {
        match self.instructions.width() {
            WIDEST => MANY,
            _ => FEW,
        }
    }
}

/// Numbers from the first to the last of `lines`, each `long`, that lie `step` apart.
fn reach(lines: usize, long: usize, step: usize) -> usize {
    match lines {
        0 => 0,
        lines => (lines - 1) * step + long,
    }
}

/// Rows in groups of `R` and, at the end, four, two and one: the first of each, and how many it has.
pub(super) struct Groups<const R: usize>(pub Range<usize>);

impl<const R: usize> Iterator for Groups<R> {
    type Item = (usize, usize);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let first = self.0.start;
        let count = match self.0.len() {
            0 => return None,
            1 => 1,
            2 | 3 => 2,
            left if left >= R => R,
            _ => 4,
        };
        self.0.start += count;
        Some((first, count))
    }
}

/// Packs rows of `deep` numbers, `step` apart, in groups of `R`: as many as `to` has room for.
#[inline(always)]
fn pack_rows<const R: usize>(from: &[f32], step: usize, to: &mut [f32], deep: usize) {
    for (row, count) in Groups::<R>(0..to.len() / deep.max(1)) {
        let (from, to) = (&from[row * step..], &mut to[row * deep..][..count * deep]);
        match count {
            1 => pack::<1>(from, step, to, deep),
            2 => pack::<2>(from, step, to, deep),
            4 => pack::<4>(from, step, to, deep),
            _ => pack::<R>(from, step, to, deep),
        }
    }
}

/// Packs one group.
#[inline(always)]
fn pack<const R: usize>(from: &[f32], step: usize, to: &mut [f32], deep: usize) {
    assert!(from.len() >= (R - 1) * step + deep && to.len() == R * deep);
    let whole = deep / 4 * 4;
    for place in (0..whole).step_by(4) {
        for first in (0..R / 4 * 4).step_by(4) {
            let rows =
                std::array::from_fn(|i| from.as_ptr().wrapping_add((first + i) * step + place));
            let places =
                std::array::from_fn(|i| to.as_mut_ptr().wrapping_add((place + i) * R + first));
            // SAFETY: four places of four rows lie in both, as was looked at.
            unsafe { turn(rows, places) };
        }
        for row in R / 4 * 4..R {
            for place in place..place + 4 {
                to[place * R + row] = from[row * step + place];
            }
        }
    }
    for place in whole..deep {
        for row in 0..R {
            to[place * R + row] = from[row * step + place];
        }
    }
}
