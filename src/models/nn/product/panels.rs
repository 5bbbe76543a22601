use super::super::lanes::{Instructions, turn};

/// How a second factor of `(depth, columns)` is laid out: `(panels, depth, width)`, each panel some neighbouring columns, zeros where
/// the last is not full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Panels {
    pub depth: usize,
    pub columns: usize,
    pub(super) instructions: Instructions,
}

impl Panels {
    /// The layout for this processor.
    pub(in super::super) fn new(depth: usize, columns: usize) -> Self {
        Self::with(Instructions::best(), depth, columns)
    }

    pub(super) fn with(instructions: Instructions, depth: usize, columns: usize) -> Self {
        Self {
            depth,
            columns,
            instructions,
        }
    }

    /// Columns of a panel: two vectors.
    pub(in super::super) fn width(&self) -> usize {
        2 * self.instructions.width()
    }

    /// How many there are.
    pub(in super::super) fn count(&self) -> usize {
        self.columns.div_ceil(self.width())
    }

    /// Numbers of all of them.
    pub(in super::super) fn len(&self) -> usize {
        self.count() * self.panel_len()
    }

    /// Numbers of one.
    pub(in super::super) fn panel_len(&self) -> usize {
        self.depth * self.width()
    }

    /// Lays out panel `index` of a factor whose columns lie `step` apart in `from`. `to` has [`panel_len`](Self::panel_len) numbers.
    pub(in super::super) fn fill_from_columns(
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

    /// The layout of panel `index` by itself.
    pub(in super::super) fn alone(&self, index: usize) -> Self {
        Self {
            columns: self.columns_of(index).1,
            ..*self
        }
    }

    /// The first column of a panel, and how many it has.
    fn columns_of(&self, index: usize) -> (usize, usize) {
        let first = index * self.width();
        (first, self.width().min(self.columns - first))
    }
}
