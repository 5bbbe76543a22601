//! Products of integers: numbers in blocks of neighbours along the depth, each block with a scale of its own (block floating point).
//! Processors multiply and add twice as many of 16 bits as of f32 at a time.

use candle_core::{Result, Storage, Tensor, bail};
use rayon::prelude::*;

use super::super::{Activation, cpu};
use super::{Numbers, TASKS_A_THREAD, in_blocks, shares};

mod instructions;
mod sums;

pub(in super::super) use instructions::Instructions;
use instructions::Lines;
use sums::Work;
pub(in super::super) use sums::panel_product;

/// Neighbours along the depth that share a scale.
pub(in super::super) const BLOCK: usize = 64;

/// The largest integer, such that the products of two blocks add up to what 32 bits hold.
pub(in super::super) const MOST: i32 = 5791;
const _: () = assert!(BLOCK as i64 * (MOST as i64 * MOST as i64) <= i32::MAX as i64);

/// Places of the depth are a multiple of this; what there is none of is zeros.
pub(in super::super) const PLACES: usize = 8;

/// How the lines of a factor `(lines, depth)` lie, rows of a first factor or columns of a second: in groups that are added up together, of
/// each group the blocks one after the other, of each block pairs of places, of each pair those of all lines.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Layout {
    pub lines: usize,
    pub depth: usize,
    together: usize,
}

impl Layout {
    /// That of rows.
    pub(in super::super) fn rows(instructions: Instructions, lines: usize, depth: usize) -> Self {
        Self {
            lines,
            depth,
            together: instructions.rows(),
        }
    }

    /// That of columns.
    pub(in super::super) fn columns(
        instructions: Instructions,
        lines: usize,
        depth: usize,
    ) -> Self {
        Self {
            lines,
            depth,
            together: instructions.columns(),
        }
    }

    /// Lines of a full group.
    pub(in super::super) fn together(&self) -> usize {
        self.together
    }

    pub(in super::super) fn groups(&self) -> usize {
        self.lines.div_ceil(self.together)
    }

    /// Places of the depth, with those that fill it up.
    fn padded(&self) -> usize {
        self.depth.next_multiple_of(PLACES)
    }

    fn blocks(&self) -> usize {
        self.depth.div_ceil(BLOCK)
    }

    /// Pairs of a group, and scales.
    fn of_group(&self) -> (usize, usize) {
        let together = self.together;
        (self.padded() / 2 * together, self.blocks() * together)
    }

    /// Writes line `index` of a group.
    fn fill(&self, group: (&mut [u32], &mut [f32]), index: usize, line: &[f32]) {
        for (number, block) in line.chunks(BLOCK).enumerate() {
            let pairs = &mut group.0[number * BLOCK / 2 * self.together + index..];
            let scale = &mut group.1[number * self.together + index];
            fill(block, pairs, self.together, scale);
        }
    }
}

/// The integers of a factor, two neighbours in a number of 32 bits, the first in its lower half, and of each group, of each block, the
/// scale of every line.
#[derive(Debug, Default)]
pub(in super::super) struct Factor {
    pub pairs: Vec<u32>,
    pub scales: Vec<f32>,
}

impl Factor {
    /// Makes it zeros.
    pub(in super::super) fn clear(&mut self, layout: Layout) {
        self.pairs.clear();
        self.scales.clear();
        self.resize(layout);
    }

    /// Makes it as large, of whatever numbers.
    pub(in super::super) fn resize(&mut self, layout: Layout) {
        let (pairs, scales) = layout.of_group();
        self.pairs.resize(layout.groups() * pairs, 0);
        self.scales.resize(layout.groups() * scales, 0.0);
    }

    /// Writes a line of what was [cleared](Self::clear).
    pub(in super::super) fn fill(&mut self, layout: Layout, line: usize, numbers: &[f32]) {
        assert!(numbers.len() == layout.depth);
        let (group, index) = (line / layout.together, line % layout.together);
        let (pairs, scales) = layout.of_group();
        let pairs = &mut self.pairs[group * pairs..][..pairs];
        let scales = &mut self.scales[group * scales..][..scales];
        layout.fill((pairs, scales), index, numbers);
    }

    /// What lies from block `block` of group `group` on.
    fn at(&self, layout: Layout, group: usize, block: usize) -> Lines {
        let (pairs, scales) = layout.of_group();
        let pair = group * pairs + block * BLOCK / 2 * layout.together;
        let scale = group * scales + block * layout.together;
        Lines {
            pairs: &raw const self.pairs[pair],
            scales: &raw const self.scales[scale],
        }
    }
}

/// The weight of a layer as integers. Each is off by at most half the largest number of its block over 5791.
#[derive(Debug)]
pub struct Integers {
    layout: Layout,
    factor: Factor,
    instructions: Instructions,
}

impl Integers {
    /// A weight `(outputs, inputs)` on the CPU in f32, bf16 or f16; `None` where this processor is no faster with integers.
    ///
    /// # Errors
    /// Where it is something else.
    pub fn of_weight(weight: &Tensor) -> Result<Option<Self>> {
        let Some(instructions) = Instructions::best() else {
            return Ok(None);
        };
        let inputs = weight.dims2()?.1;
        let (storage, layout) = weight.storage_and_layout();
        let Storage::Cpu(storage) = &*storage else {
            bail!("a weight for the CPU was given on {:?}", weight.device());
        };
        let numbers = Numbers::of(storage, layout)?;
        Ok(Some(Self::of_columns(instructions, numbers, inputs)))
    }

    fn of_columns(instructions: Instructions, weight: Numbers<'_>, depth: usize) -> Self {
        let layout = Layout::columns(instructions, weight.len() / depth.max(1), depth);
        Self {
            factor: laid_out(layout, weight),
            layout,
            instructions,
        }
    }

    /// Whether this processor makes products of them faster than of f32.
    pub fn are_faster() -> bool {
        Instructions::best().is_some()
    }

    /// Bytes that so many numbers take.
    pub fn bytes(numbers: u64) -> u64 {
        2 * numbers + 4 * numbers.div_ceil(BLOCK as u64)
    }

    /// A layer's outputs and inputs.
    pub(in super::super) fn dims(&self) -> (usize, usize) {
        (self.layout.lines, self.layout.depth)
    }
}

/// A factor whose lines lie one after the other in `from`.
fn laid_out(layout: Layout, from: Numbers<'_>) -> Factor {
    let (depth, together) = (layout.depth, layout.together);
    assert!(depth > 0 && from.len() == layout.lines * depth);
    let (pairs, scales) = layout.of_group();
    let mut factor = Factor {
        pairs: vec![0; layout.groups() * pairs],
        scales: vec![0.0; layout.groups() * scales],
    };
    cpu::in_large_pages(&mut factor.pairs);
    let each = factor.pairs.par_chunks_mut(pairs);
    let each = each.zip(factor.scales.par_chunks_mut(scales)).enumerate();
    each.for_each_init(Vec::new, |wide, (group, (pairs, scales))| {
        for line in group * together..((group + 1) * together).min(layout.lines) {
            let numbers = from.wide(line * depth..(line + 1) * depth, wide);
            layout.fill((&mut *pairs, &mut *scales), line % together, numbers);
        }
    });
    factor
}

cpu::vectorised! {
    /// Writes the numbers of a block as integers, pairs of them `step` apart, and their scale. Where one is not finite the scale is NaN,
    /// and so is every sum of its line.
    fn fill(from: &[f32], to: &mut [u32], step: usize, scale: &mut f32) {
        // Of finite numbers, infinities and NaN in turn the bits grow.
        let bits = |number: f32| (number.to_bits() & 0x7fff_ffff) as i32;
        let largest = from.iter().fold(0, |largest, number| largest.max(bits(*number)));
        let largest = f32::from_bits(largest as u32);
        // Numbers so small that they have no inverse count as zero.
        let inverse = match largest {
            _ if !largest.is_finite() => {
                *scale = f32::NAN;
                return;
            }
            _ if largest < 1e-30 => {
                *scale = 0.0;
                return;
            }
            _ => MOST as f32 / largest,
        };
        *scale = largest / MOST as f32;
        let mut integers = [0u32; BLOCK];
        for (to, from) in integers.iter_mut().zip(from) {
            *to = integer(from * inverse);
        }
        let both = integers.chunks_exact(2).take(from.len().div_ceil(2));
        for (both, to) in both.zip(to.iter_mut().step_by(step)) {
            *to = pair(both[0], both[1]);
        }
    }
}

/// A number rounded to the nearest integer, which is in the lower half of the result: that is where adding puts it.
#[inline(always)]
pub(in super::super) fn integer(number: f32) -> u32 {
    (number + cpu::ROUND).to_bits()
}

/// Two [`integer`]s side by side.
#[inline(always)]
pub(in super::super) fn pair(first: u32, second: u32) -> u32 {
    (first & 0xffff) | (second << 16)
}

/// The product of rows `x` with `columns`: `(rows, columns)`. Each sum begins with the bias of its column, and `activation` follows.
/// Every sum is added up in the same order wherever it lies.
pub(in super::super) fn product(
    x: &[f32],
    columns: &Integers,
    bias: Option<&[f32]>,
    activation: Option<Activation>,
) -> Vec<f32> {
    let (instructions, depth) = (columns.instructions, columns.layout.depth);
    let layout = Layout::rows(instructions, x.len() / depth, depth);
    let rows = laid_out(layout, Numbers::F32(x));
    let counts = [layout.lines, columns.layout.lines];
    assert!(bias.is_none_or(|bias| bias.len() == counts[1]));
    #[cfg(test)]
    cpu::counting::add(counts[0] * counts[1] * depth);
    let wanted = TASKS_A_THREAD * rayon::current_num_threads();
    let together = [layout, columns.layout].map(|layout| layout.together);
    let (tall, wide) = shares((counts[0], counts[1]), together[0], wanted);
    let (tall, wide) = (tall / together[0], wide.div_ceil(together[1]));
    let groups = (layout.groups(), columns.layout.groups());
    // SAFETY: the blocks are the whole result and do not overlap, and every number of a block is written.
    unsafe {
        cpu::written(counts[0] * counts[1], |out| {
            let work = Work {
                instructions,
                rows: (layout, &rows),
                columns: (columns.layout, &columns.factor),
                bias,
                activation,
                out,
            };
            in_blocks(groups, (tall, wide), |block| work.compute(&block));
        })
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha12Rng;
    use rand_chacha::rand_core::SeedableRng as _;
    use rand_distr::{Distribution as _, StandardNormal};

    use super::*;

    /// Numbers from -1 to 1 that have nothing to do with those of another `stride`.
    fn numbers(len: usize, stride: usize) -> Vec<f32> {
        (0..len)
            .map(|i| (i * stride % 1009) as f32 / 504.0 - 1.0)
            .collect()
    }

    fn of(instructions: Instructions, x: &[f32], weight: &[f32], depth: usize) -> Vec<f32> {
        let columns = Integers::of_columns(instructions, Numbers::F32(weight), depth);
        product(x, &columns, None, None)
    }

    #[test]
    fn every_set_of_instructions_agrees_with_the_definition() {
        for instructions in Instructions::all() {
            for (rows, depth, columns) in [
                (1, 1, 1),
                (7, 300, 33),
                (6, 5, 16),
                (13, 64, 64),
                (97, 1513, 70),
                (500, 3, 90),
            ] {
                let (x, weight) = (numbers(rows * depth, 619), numbers(columns * depth, 271));
                let bias = numbers(columns, 97);
                let panels = Integers::of_columns(instructions, Numbers::F32(&weight), depth);
                for bias in [None, Some(&bias[..])] {
                    let out = product(&x, &panels, bias, None);
                    assert_eq!(out.len(), rows * columns);
                    for (i, got) in out.iter().enumerate() {
                        let (row, column) = (i / columns, i % columns);
                        let terms = x[row * depth..][..depth].iter();
                        let terms = terms.zip(&weight[column * depth..][..depth]);
                        let bias = bias.map_or(0.0, |bias| f64::from(bias[column]));
                        let (mut want, mut most) = (bias, 1e-6);
                        for (a, b) in terms {
                            want += f64::from(*a) * f64::from(*b);
                            // Each is off by half a unit at most, of blocks whose largest number is at most 1.
                            most += f64::from(a.abs() + b.abs() + 1e-4) * 0.5 / f64::from(MOST);
                        }
                        let error = (f64::from(*got) - want).abs();
                        assert!(
                            error < most,
                            "{instructions:?} {rows} {depth} {columns}: {got} and {want}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn blocks_have_scales_of_their_own() {
        for instructions in Instructions::all() {
            // What is a million times smaller counts beside nothing, and the largest sums still fit.
            let depth = 3 * BLOCK;
            let sizes = [1e-6f32, 1.0, 1e6];
            let x: Vec<f32> = (0..7 * depth).map(|i| sizes[i % depth / BLOCK]).collect();
            let weight: Vec<f32> = (0..5 * depth)
                .map(|i| 1.0 / sizes[i % depth / BLOCK])
                .collect();
            for got in of(instructions, &x, &weight, depth) {
                assert!((got - depth as f32).abs() < 1e-4 * depth as f32, "{got}");
            }
        }
    }

    #[test]
    fn outliers_cost_less_than_rounding_to_bf16() {
        // Two channels of the first factor are a hundred times the others, and the weight undoes it: so the others count for as much
        // as ever, with a hundredth of the digits where they share a block.
        const OUTLIERS: [usize; 2] = [40, 700];
        let (rows, depth, columns) = (32, 1536, 48);
        let mut rng = ChaCha12Rng::seed_from_u64(0);
        let mut numbers = |len| -> Vec<f32> {
            let normal = StandardNormal.sample_iter(&mut rng);
            normal.take(len).collect()
        };
        let (mut x, mut weight) = (numbers(rows * depth), numbers(columns * depth));
        for (factor, by) in [(&mut x, 100.0), (&mut weight, 0.01)] {
            for line in factor.chunks_mut(depth) {
                OUTLIERS.iter().for_each(|channel| line[*channel] *= by);
            }
        }
        let sum = |row: usize, column: usize, of: fn(f32) -> f64| -> f64 {
            let terms = x[row * depth..][..depth].iter();
            let terms = terms.zip(&weight[column * depth..][..depth]);
            terms.map(|(a, b)| of(*a) * of(*b)).sum()
        };
        for instructions in Instructions::all() {
            let (mut ours, mut rounded) = (0.0, 0.0);
            for (i, got) in of(instructions, &x, &weight, depth).iter().enumerate() {
                let (row, column) = (i / columns, i % columns);
                let want = sum(row, column, f64::from);
                ours += (f64::from(*got) - want).powi(2);
                rounded += (sum(row, column, |n| half::bf16::from_f32(n).to_f64()) - want).powi(2);
            }
            assert!(
                ours < rounded,
                "{instructions:?}: {ours:.1e} and {rounded:.1e}"
            );
        }
    }

    #[test]
    fn what_is_not_finite_reaches_its_row_or_column_alone() {
        for instructions in Instructions::all() {
            for bad in [f32::NAN, f32::INFINITY] {
                let (mut x, mut weight) = (numbers(8 * 100, 619), numbers(20 * 100, 271));
                x[3 * 100 + 70] = bad;
                weight[17 * 100 + 5] = bad;
                for (i, got) in of(instructions, &x, &weight, 100).iter().enumerate() {
                    assert_eq!(got.is_nan(), i / 20 == 3 || i % 20 == 17, "{i}");
                }
            }
        }
    }

    #[test]
    fn zeros_and_what_is_next_to_them_give_zeros() {
        for instructions in Instructions::all() {
            let tiny = vec![f32::MIN_POSITIVE / 4.0; 100];
            assert_eq!(of(instructions, &tiny, &[0.0; 200], 100), [0.0; 2]);
            assert_eq!(of(instructions, &[0.0; 100], &tiny, 100), [0.0]);
        }
    }
}
