//! Matrix products whose second factor is laid out for them once and used many times, with what follows done while the
//! result is in the cache.

use rayon::prelude::*;

#[cfg(target_arch = "x86_64")]
use super::lanes::x86;
use super::lanes::{Instructions, Lanes, Plain, turn};
use super::{Activation, cpu};

/// The largest depth that is added up at a time: a panel of it stays in the first cache while all rows go by.
const DEPTH: usize = 256;

/// Rows and columns of the result that a task computes at most: their part of the first factor stays in the second cache.
const ROWS: usize = 96;
const COLUMNS: usize = 256;

/// Tasks that each thread gets at least, where there is enough to share out.
const TASKS_A_THREAD: usize = 2;

/// Rows or columns that a task keeps however many tasks are wanted: fewer are read more often than they are worth.
const LEAST: usize = 48;

/// How a second factor of `(depth, columns)` is laid out: `(panels, depth, width)`, each panel some neighbouring columns, zeros where
/// the last is not full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Panels {
    pub depth: usize,
    pub columns: usize,
    instructions: Instructions,
}

impl Panels {
    /// The layout for this processor.
    pub(super) fn new(depth: usize, columns: usize) -> Self {
        Self::with(Instructions::best(), depth, columns)
    }

    fn with(instructions: Instructions, depth: usize, columns: usize) -> Self {
        Self {
            depth,
            columns,
            instructions,
        }
    }

    /// Columns of a panel: two vectors.
    pub(super) fn width(&self) -> usize {
        match self.instructions {
            Instructions::Plain => 2 * Plain::WIDTH,
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => 2 * x86::Avx2::WIDTH,
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => 2 * x86::Avx512::WIDTH,
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.columns.div_ceil(self.width())
    }

    /// Numbers of all of them.
    pub(super) fn len(&self) -> usize {
        self.count() * self.panel_len()
    }

    /// Numbers of one.
    pub(super) fn panel_len(&self) -> usize {
        self.depth * self.width()
    }

    /// Lays out panel `index` of a factor whose rows, one for each place in the depth, lie `step` apart in `from`. `to` has
    /// [`panel_len`](Self::panel_len) numbers.
    pub(super) fn fill_from_rows(&self, index: usize, to: &mut [f32], from: &[f32], step: usize) {
        let (first, wide) = self.columns_of(index);
        for (place, row) in to.chunks_exact_mut(self.width()).enumerate() {
            let (row, rest) = row.split_at_mut(wide);
            row.copy_from_slice(&from[place * step + first..][..wide]);
            rest.fill(0.0);
        }
    }

    /// The same of a factor whose columns lie `step` apart.
    pub(super) fn fill_from_columns(
        &self,
        index: usize,
        to: &mut [f32],
        from: &[f32],
        step: usize,
    ) {
        let (first, wide) = self.columns_of(index);
        let width = self.width();
        if wide < width {
            to.fill(0.0);
        }
        let (deep, whole) = (self.depth / 4 * 4, wide / 4 * 4);
        for column in (0..whole).step_by(4) {
            let seen = &from[(first + column) * step..];
            assert!(seen.len() >= 3 * step + self.depth && to.len() >= self.depth * width);
            for place in (0..deep).step_by(4) {
                let rows = std::array::from_fn(|i| seen.as_ptr().wrapping_add(i * step + place));
                let turned = std::array::from_fn(|i| {
                    to.as_mut_ptr().wrapping_add((place + i) * width + column)
                });
                // SAFETY: four places of four columns lie in both, as was looked at.
                unsafe { turn(rows, turned) };
            }
        }
        for column in 0..wide {
            let left = if column < whole { deep } else { 0 };
            for place in left..self.depth {
                to[place * width + column] = from[(first + column) * step + place];
            }
        }
    }

    /// The first column of a panel, and how many it has.
    fn columns_of(&self, index: usize) -> (usize, usize) {
        let first = index * self.width();
        (first, self.width().min(self.columns - first))
    }
}

/// Rows that lie `step` numbers apart.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    pub start: *const f32,
    pub step: usize,
    pub count: usize,
}

// SAFETY: they are only read, and outlive the product.
unsafe impl Send for Rows {}
// SAFETY: as above.
unsafe impl Sync for Rows {}

/// Where a result goes, and what becomes of it on the way.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    /// The result's buffer, and where in it the first number lies.
    pub out: cpu::Shared,
    pub at: usize,
    /// Numbers between two rows.
    pub step: usize,
    /// What each sum begins with: nothing, the number of its column, or what lies there already.
    pub begin: Begin<'a>,
    pub activation: Option<Activation>,
}

/// What the sums of a product begin with.
#[derive(Clone, Copy)]
pub(super) enum Begin<'a> {
    Zero,
    Bias(&'a [f32]),
    Out,
}

/// The product of `rows`, each `layout.depth` numbers, with laid out `panels`. Every sum is added up in the same order
/// wherever it lies; with `shared_out` all threads take part.
///
/// # Safety
/// The rows may be read, and what `into` names may be written and is the caller's alone.
pub(super) unsafe fn product(
    rows: Rows,
    layout: Panels,
    panels: &[f32],
    into: Target<'_>,
    shared_out: bool,
) {
    #[cfg(test)]
    cpu::counting::add(rows.count * layout.columns * layout.depth);
    assert!(panels.len() == layout.len());
    if let Begin::Bias(bias) = into.begin {
        assert!(bias.len() == layout.columns);
    }
    let width = layout.width();
    let (mut tall, mut wide) = (ROWS, (COLUMNS / width).max(1));
    if shared_out {
        let wanted = TASKS_A_THREAD * rayon::current_num_threads();
        while rows.count.div_ceil(tall) * layout.count().div_ceil(wide) < wanted
            && tall.max(wide * width) > LEAST
        {
            match tall >= wide * width {
                true => tall = tall.div_ceil(2).next_multiple_of(6),
                false => wide = wide.div_ceil(2),
            }
        }
    }
    let (down, across) = (rows.count.div_ceil(tall), layout.count().div_ceil(wide));
    let task = |index: usize| {
        let (first, panel) = (index % down * tall, index / down * wide);
        let block = Block {
            rows: first..(first + tall).min(rows.count),
            panels: panel..(panel + wide).min(layout.count()),
        };
        // SAFETY: the caller's promise; blocks do not overlap.
        unsafe { compute(rows, layout, panels, into, block) };
    };
    match shared_out {
        true => (0..down * across).into_par_iter().for_each(task),
        false => (0..down * across).for_each(task),
    }
}

/// A part of the result.
struct Block {
    rows: std::ops::Range<usize>,
    panels: std::ops::Range<usize>,
}

unsafe fn compute(rows: Rows, layout: Panels, panels: &[f32], into: Target<'_>, block: Block) {
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn avx2(rows: Rows, layout: Panels, panels: &[f32], into: Target<'_>, block: &Block) {
        // SAFETY: the caller's promise.
        unsafe { sums::<x86::Avx2, 6>(rows, layout, panels, into, block) };
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f")]
    unsafe fn avx512(rows: Rows, layout: Panels, panels: &[f32], into: Target<'_>, block: &Block) {
        // SAFETY: the caller's promise.
        unsafe { sums::<x86::Avx512, 12>(rows, layout, panels, into, block) };
    }
    // SAFETY: the caller's promise; the processor was looked at where the instructions were chosen.
    unsafe {
        match layout.instructions {
            Instructions::Plain => sums::<Plain, 6>(rows, layout, panels, into, &block),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => avx2(rows, layout, panels, into, &block),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => avx512(rows, layout, panels, into, &block),
        }
    }
    let Some(activation) = into.activation else {
        return;
    };
    let columns = block.panels.start * layout.width()
        ..(block.panels.end * layout.width()).min(layout.columns);
    for row in block.rows {
        let at = into.at + row * into.step + columns.start;
        // SAFETY: the caller's promise.
        activation.apply_to(unsafe { into.out.slice(at, columns.len()) });
    }
}

/// The sums of a block, `R` rows and a panel at a time.
#[inline(always)]
unsafe fn sums<L: Lanes, const R: usize>(
    rows: Rows,
    layout: Panels,
    panels: &[f32],
    into: Target<'_>,
    block: &Block,
) {
    let width = 2 * L::WIDTH;
    let mut depth = 0;
    while depth < layout.depth || (depth == 0 && layout.depth == 0) {
        let deep = DEPTH.min(layout.depth - depth);
        for panel in block.panels.clone() {
            let place = &panels[(panel * layout.depth + depth) * width..][..deep * width];
            let first = panel * width;
            let wide = width.min(layout.columns - first);
            let mut row = block.rows.start;
            while row < block.rows.end {
                // SAFETY: the caller's promise.
                unsafe {
                    let from = rows.start.add(row * rows.step + depth);
                    let to = into.out.at(into.at + row * into.step + first);
                    let tile = Tile {
                        deep,
                        from,
                        step: rows.step,
                        panel: place.as_ptr(),
                        to,
                        to_step: into.step,
                        wide,
                        begin: match into.begin {
                            _ if depth > 0 => Start::There,
                            Begin::Zero => Start::Zero,
                            Begin::Out => Start::There,
                            Begin::Bias(bias) => Start::Bias(bias.as_ptr().add(first)),
                        },
                    };
                    row += match block.rows.end - row {
                        left if left >= R => tile.run::<L, R>(),
                        left if left >= 4 => tile.run::<L, 4>(),
                        left if left >= 2 => tile.run::<L, 2>(),
                        _ => tile.run::<L, 1>(),
                    };
                }
            }
        }
        depth += deep.max(1);
    }
}

/// A few rows of a panel.
struct Tile {
    deep: usize,
    from: *const f32,
    step: usize,
    panel: *const f32,
    to: *mut f32,
    to_step: usize,
    /// Columns that there are; the rest of the panel is zeros.
    wide: usize,
    begin: Start,
}

enum Start {
    Zero,
    There,
    Bias(*const f32),
}

impl Tile {
    /// Adds up and writes `R` rows; gives their number.
    #[expect(
        clippy::needless_range_loop,
        reason = "plain counts are what unrolls into registers"
    )]
    #[inline(always)]
    unsafe fn run<L: Lanes, const R: usize>(&self) -> usize {
        // SAFETY: the caller's promise.
        unsafe {
            let mut held = [[L::splat(0.0); 2]; R];
            let mut panel = self.panel;
            for place in 0..self.deep {
                let columns = [L::load(panel), L::load(panel.add(L::WIDTH))];
                panel = panel.add(2 * L::WIDTH);
                for r in 0..R {
                    let number = L::splat(*self.from.add(r * self.step + place));
                    for v in 0..2 {
                        held[r][v] = held[r][v].add_product(number, columns[v]);
                    }
                }
            }
            let one = L::splat(1.0);
            // A panel that is not full goes through memory of its own.
            let mut part = [0f32; 64];
            for r in 0..R {
                let to = self.to.add(r * self.to_step);
                let full = self.wide == 2 * L::WIDTH;
                let begin = match self.begin {
                    Start::Zero => None,
                    Start::There => Some(to.cast_const()),
                    Start::Bias(bias) => Some(bias),
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
            R
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(len: usize, seed: usize) -> Vec<f32> {
        (0..len)
            .map(|i| ((i * 7919 + seed * 104_729) % 1000) as f32 * 0.002 - 1.0)
            .collect()
    }

    #[test]
    fn every_set_of_instructions_agrees_with_the_definition() {
        for (rows, depth, columns) in [
            (1, 1, 1),
            (7, 300, 33),
            (6, 5, 16),
            (13, 256, 64),
            (97, 513, 70),
            (3, 0, 5),
        ] {
            let (a, b) = (numbers(rows * (depth + 2), 1), numbers(depth * columns, 2));
            let bias = numbers(columns, 3);
            let product_of = |row: usize, column: usize| -> f64 {
                (0..depth)
                    .map(|i| {
                        f64::from(a[row * (depth + 2) + i]) * f64::from(b[i * columns + column])
                    })
                    .sum()
            };
            for instructions in Instructions::all() {
                let layout = Panels::with(instructions, depth, columns);
                let mut panels = vec![f32::NAN; layout.len()];
                let turned: Vec<f32> = (0..columns * depth)
                    .map(|i| b[i % depth.max(1) * columns + i / depth.max(1)])
                    .collect();
                let mut again = panels.clone();
                for (index, panel) in panels
                    .chunks_exact_mut(layout.panel_len().max(1))
                    .enumerate()
                {
                    layout.fill_from_rows(index, panel, &b, columns);
                    let again = &mut again[index * panel.len()..][..panel.len()];
                    layout.fill_from_columns(index, again, &turned, depth);
                }
                assert_eq!(panels, again, "{instructions:?} {depth} {columns}");
                for (shared_out, begin) in [
                    (false, Begin::Zero),
                    (true, Begin::Bias(&bias)),
                    (true, Begin::Out),
                ] {
                    // A column before and one after are not to be touched.
                    let step = columns + 2;
                    let mut out = vec![5.0; rows * step];
                    let into = Target {
                        out: cpu::Shared::new(&mut out),
                        at: 1,
                        step,
                        begin,
                        activation: None,
                    };
                    let from = Rows {
                        start: a.as_ptr(),
                        step: depth + 2,
                        count: rows,
                    };
                    // SAFETY: the rows lie in `a` and the result in `out`.
                    unsafe { product(from, layout, &panels, into, shared_out) };
                    for (i, got) in out.iter().enumerate() {
                        let (row, column) = (i / step, i % step);
                        let want = match column.checked_sub(1).filter(|column| *column < columns) {
                            None => 5.0,
                            Some(column) => {
                                product_of(row, column)
                                    + match begin {
                                        Begin::Zero => 0.0,
                                        Begin::Bias(bias) => f64::from(bias[column]),
                                        Begin::Out => 5.0,
                                    }
                            }
                        };
                        assert!(
                            (f64::from(*got) - want).abs() < 2e-5,
                            "{instructions:?} {rows} {depth} {columns}: {got} and {want}"
                        );
                    }
                }
            }
        }
    }
}
