use std::cell::RefCell;
use std::ops::Range;

use super::super::lanes::{Lanes, Vectorised, WIDEST, prefetch_line};
use super::super::{Activation, cpu};
use super::packed::Groups;
use super::{Numbers, Packed, Panels};

/// The largest depth that is added up at a time: a panel of it stays in the first cache while all rows go by.
const DEPTH: usize = 256;

/// Places of the depth that the innermost loop takes at a time.
const UNROLLED: usize = 4;

/// Rows that are added up together: as many as there are registers for, of the widest vectors and of others.
pub(super) const MANY: usize = 12;
pub(super) const FEW: usize = 6;

/// A product, to be computed block by block: see [`product`](super::product).
pub(super) struct Work<'a> {
    pub x: &'a [f32],
    pub layout: Panels,
    pub panels: Numbers<'a>,
    pub bias: Option<&'a [f32]>,
    pub activation: Option<Activation>,
    /// `(rows, layout.columns)`.
    pub out: cpu::Shared,
}

/// A part of the result.
pub(super) struct Block {
    pub rows: Range<usize>,
    pub panels: Range<usize>,
}

thread_local! {
    /// A block's rows, packed, and what it needs at a time of a panel that is kept in fewer bits.
    static BUFFERS: RefCell<(Vec<f32>, Vec<f32>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

impl Work<'_> {
    /// Computes a block.
    ///
    /// # Safety
    /// It lies in the result, and its place is the caller's alone.
    pub(super) unsafe fn compute(&self, block: &Block) {
        let Panels { depth, columns, .. } = self.layout;
        let instructions = self.layout.instructions;
        let width = self.layout.width();
        let most = depth
            .div_ceil(depth.div_ceil(DEPTH).max(1))
            .next_multiple_of(UNROLLED);
        BUFFERS.with_borrow_mut(|(packed, wide)| {
            for start in (0..depth).step_by(most.max(1)) {
                let deep = most.min(depth - start);
                let rows = Packed::with(instructions, block.rows.len(), deep);
                packed.resize(packed.len().max(rows.len()), 0.0);
                let packed = &mut packed[..rows.len()];
                rows.fill_from_rows(packed, &self.x[block.rows.start * depth + start..], depth);
                for panel in block.panels.clone() {
                    let first = panel * width;
                    let place = (panel * depth + start) * width;
                    instructions.run(&Tall {
                        count: rows.rows,
                        deep,
                        rows: packed.as_ptr(),
                        panel: self.panels.wide(place..place + deep * width, wide).as_ptr(),
                        // SAFETY: the caller's promise.
                        to: unsafe { self.out.at(block.rows.start * columns + first) },
                        to_step: columns,
                        wide: width.min(columns - first),
                        begin: match self.bias {
                            _ if start > 0 => Begin::There,
                            None => Begin::Zero,
                            Some(bias) => Begin::Bias(bias[first..].as_ptr()),
                        },
                    });
                }
            }
        });
        if let Some(activation) = self.activation {
            let (first, end) = (block.panels.start * width, block.panels.end * width);
            let wide = end.min(columns) - first;
            for row in block.rows.clone() {
                // SAFETY: the caller's promise.
                activation.apply_to(unsafe { self.out.slice(row * columns + first, wide) });
            }
        }
    }
}

/// The product of packed `rows` with a laid out `panel` of the same depth, written or, with `add`, added to `out`, which is
/// `(rows, width of a panel)`. Nothing is shared out.
pub(in super::super) fn panel_product(
    layout: Packed,
    rows: &[f32],
    panel: &[f32],
    out: &mut [f32],
    add: bool,
) {
    let width = 2 * layout.instructions.width();
    assert!(
        rows.len() == layout.len()
            && panel.len() == layout.depth * width
            && out.len() == layout.rows * width
    );
    layout.instructions.run(&Tall {
        count: layout.rows,
        deep: layout.depth,
        rows: rows.as_ptr(),
        panel: panel.as_ptr(),
        to: out.as_mut_ptr(),
        to_step: width,
        wide: width,
        begin: if add { Begin::There } else { Begin::Zero },
    });
}

/// Packed rows and one panel. Whoever makes one promises that all of it may be read and written while it runs.
struct Tall {
    count: usize,
    deep: usize,
    rows: *const f32,
    panel: *const f32,
    to: *mut f32,
    to_step: usize,
    /// Columns that there are; the rest of the panel is zeros.
    wide: usize,
    begin: Begin,
}

/// What sums begin with.
#[derive(Clone, Copy)]
pub(super) enum Begin {
    Zero,
    /// What lies where they go.
    There,
    /// The number of their column.
    Bias(*const f32),
}

impl Vectorised for &Tall {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        // SAFETY: the caller's promise.
        unsafe {
            match L::WIDTH {
                WIDEST => self.groups::<L, MANY>(),
                _ => self.groups::<L, FEW>(),
            }
        }
    }
}

impl Tall {
    #[inline(always)]
    unsafe fn groups<L: Lanes, const R: usize>(&self) {
        for (row, count) in Groups::<R>(0..self.count) {
            // SAFETY: the caller's promise.
            unsafe {
                let rows = self.rows.add(row * self.deep);
                let to = self.to.add(row * self.to_step);
                match count {
                    1 => self.tile::<L, 1>(rows, to),
                    2 => self.tile::<L, 2>(rows, to),
                    4 => self.tile::<L, 4>(rows, to),
                    _ => self.tile::<L, R>(rows, to),
                }
            }
        }
    }

    /// Adds up and writes `R` rows.
    #[expect(
        clippy::needless_range_loop,
        reason = "plain counts are what unrolls into registers"
    )]
    #[inline(always)]
    unsafe fn tile<L: Lanes, const R: usize>(&self, rows: *const f32, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe {
            // What is added to in the end comes from afar while the sums are made.
            for r in 0..R {
                let to = to.add(r * self.to_step);
                prefetch_line(to);
                prefetch_line(to.add(self.wide - 1));
            }
            let mut held = [[L::splat(0.0); 2]; R];
            let (mut rows, mut panel) = (rows, self.panel);
            for _ in 0..self.deep / UNROLLED {
                for place in 0..UNROLLED {
                    add_place(
                        &mut held,
                        rows.add(place * R),
                        panel.add(place * 2 * L::WIDTH),
                    );
                }
                rows = rows.add(UNROLLED * R);
                panel = panel.add(UNROLLED * 2 * L::WIDTH);
            }
            for place in 0..self.deep % UNROLLED {
                add_place(
                    &mut held,
                    rows.add(place * R),
                    panel.add(place * 2 * L::WIDTH),
                );
            }
            let one = L::splat(1.0);
            // A panel that is not full goes through memory of its own.
            let mut part = [0f32; 64];
            for r in 0..R {
                let to = to.add(r * self.to_step);
                let full = self.wide == 2 * L::WIDTH;
                let begin = match self.begin {
                    Begin::Zero => None,
                    Begin::There => Some(to.cast_const()),
                    Begin::Bias(bias) => Some(bias),
                };
                let target = match full {
                    true => to,
                    false => {
                        part.fill(0.0);
                        part.as_mut_ptr()
                    }
                };
                if let Some(begin) = begin {
                    let begin = match full {
                        true => begin,
                        false => {
                            std::ptr::copy_nonoverlapping(begin, target, self.wide);
                            target.cast_const()
                        }
                    };
                    for v in 0..2 {
                        held[r][v] = held[r][v].add_product(one, L::load(begin.add(v * L::WIDTH)));
                    }
                }
                for v in 0..2 {
                    held[r][v].store(target.add(v * L::WIDTH));
                }
                if !full {
                    std::ptr::copy_nonoverlapping(target, to, self.wide);
                }
            }
        }
    }
}

/// Adds to the sums of `R` rows and two vectors of columns what one place of the depth gives.
#[inline(always)]
unsafe fn add_place<L: Lanes, const R: usize>(
    held: &mut [[L; 2]; R],
    rows: *const f32,
    panel: *const f32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let columns = [L::load(panel), L::load(panel.add(L::WIDTH))];
        for (r, held) in held.iter_mut().enumerate() {
            let number = L::splat(*rows.add(r));
            for (sum, columns) in held.iter_mut().zip(columns) {
                *sum = sum.add_product(number, columns);
            }
        }
    }
}
