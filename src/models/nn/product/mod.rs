//! Matrix products whose second factor is laid out for them once and used many times, with what follows done while the
//! result is in the cache.

use rayon::prelude::*;

use super::{Activation, cpu};

pub(super) mod integers;
mod numbers;
mod packed;
mod panels;
mod sums;

pub use integers::Integers;
pub(super) use integers::product as integer_product;
pub(super) use numbers::Numbers;
pub(super) use packed::Packed;
pub(super) use panels::Panels;
pub(super) use sums::panel_product;
use sums::{Block, Work};

/// Rows and columns of the result that a task computes at most. What it packs of the first factor stays in the second cache of a
/// core, and is read for so many columns that packing it costs little.
const ROWS: usize = 192;
const COLUMNS: usize = 1024;

/// Tasks that each thread gets at least, where there is enough to share out.
const TASKS_A_THREAD: usize = 2;

/// Rows, and then columns, that a task keeps however many tasks are wanted: for fewer the other factor is read, or packed, more often
/// than it is worth.
const LEAST_ROWS: usize = 48;
const LEAST_COLUMNS: usize = 64;

/// The product of rows `x`, each `layout.depth` numbers, with laid out `panels`: `(rows, layout.columns)`. Each sum begins with the
/// bias of its column, and `activation` follows. Every sum is added up in the same order wherever it lies.
pub(super) fn product(
    x: &[f32],
    layout: Panels,
    panels: Numbers<'_>,
    bias: Option<&[f32]>,
    activation: Option<Activation>,
) -> Vec<f32> {
    let rows = x.len() / layout.depth.max(1);
    assert!(x.len() == rows * layout.depth && panels.len() == layout.len());
    assert!(bias.is_none_or(|bias| bias.len() == layout.columns));
    #[cfg(test)]
    cpu::counting::add(rows * layout.columns * layout.depth);
    let wanted = TASKS_A_THREAD * rayon::current_num_threads();
    let group = Packed::with(layout.instructions, rows, layout.depth).together();
    let (tall, wide) = shares((rows, layout.columns), group, wanted);
    let wide = wide.div_ceil(layout.width());
    // SAFETY: the blocks are the whole result and do not overlap, and every number of a block is written.
    unsafe {
        cpu::written(rows * layout.columns, |out| {
            let work = Work {
                x,
                layout,
                panels,
                bias,
                activation,
                out,
            };
            in_blocks((rows, layout.count()), (tall, wide), |block| {
                work.compute(&block);
            });
        })
    }
}

/// Does `work` for blocks of so many rows and panels, or groups of them, that make up all, each a task.
fn in_blocks(
    (rows, panels): (usize, usize),
    (tall, wide): (usize, usize),
    work: impl Fn(Block) + Sync,
) {
    let (down, across) = (rows.div_ceil(tall), panels.div_ceil(wide));
    (0..down * across).into_par_iter().for_each(|index| {
        let (row, panel) = (index % down * tall, index / down * wide);
        work(Block {
            rows: row..(row + tall).min(rows),
            panels: panel..(panel + wide).min(panels),
        });
    });
}

/// Rows, a multiple of `group`, and columns of a task, such that there are about `wanted` tasks or more, all about the same.
fn shares((rows, columns): (usize, usize), group: usize, wanted: usize) -> (usize, usize) {
    let (mut down, mut across) = (rows.div_ceil(ROWS).max(1), columns.div_ceil(COLUMNS).max(1));
    while down * across < wanted && rows > 2 * down * LEAST_ROWS {
        down *= 2;
    }
    while down * across < wanted && columns > 2 * across * LEAST_COLUMNS {
        across *= 2;
    }
    let tall = rows.div_ceil(down).next_multiple_of(group);
    (tall.max(group), columns.div_ceil(across).max(1))
}

#[cfg(test)]
mod tests {
    use super::super::lanes::Instructions;
    use super::*;

    /// Numbers from -1 to 1 that have nothing to do with those of another `stride`.
    fn numbers(len: usize, stride: usize) -> Vec<f32> {
        (0..len)
            .map(|i| (i * stride % 1009) as f32 / 504.0 - 1.0)
            .collect()
    }

    /// A row of `x` times a column of a factor whose columns are the rows of `weight`.
    fn exact(x: &[f32], weight: &[f32]) -> f64 {
        let products = x
            .iter()
            .zip(weight)
            .map(|(a, b)| f64::from(*a) * f64::from(*b));
        products.sum()
    }

    const SHAPES: [(usize, usize, usize); 6] = [
        (1, 1, 1),
        (7, 300, 33),
        (6, 5, 16),
        (13, 256, 64),
        (97, 513, 70),
        (500, 3, 90),
    ];

    #[test]
    fn every_set_of_instructions_agrees_with_the_definition() {
        for ((rows, depth, columns), instructions) in all() {
            let (x, weight) = (numbers(rows * depth, 619), numbers(columns * depth, 271));
            let layout = Panels::with(instructions, depth, columns);
            let panels = laid_out(layout, &weight);
            let bias = numbers(columns, 97);
            for bias in [None, Some(&bias[..])] {
                let out = product(&x, layout, Numbers::F32(&panels), bias, None);
                assert_eq!(out.len(), rows * columns);
                for (i, got) in out.iter().enumerate() {
                    let (row, column) = (i / columns, i % columns);
                    let want = exact(
                        &x[row * depth..][..depth],
                        &weight[column * depth..][..depth],
                    ) + bias.map_or(0.0, |bias| f64::from(bias[column]));
                    assert!(
                        (f64::from(*got) - want).abs() < 2e-5,
                        "{instructions:?} {rows} {depth} {columns}: {got} and {want}"
                    );
                }
            }
        }
    }

    #[test]
    fn one_panel_is_written_and_added_to() {
        for ((rows, depth, _), instructions) in all() {
            let layout = Panels::with(instructions, depth, 5);
            let width = layout.width();
            let (x, weight) = (numbers(rows * depth, 619), numbers(5 * depth, 271));
            let panel = laid_out(layout, &weight);
            let packed = Packed::with(instructions, rows, depth);
            // Rows and columns of a factor that has more than is taken of it.
            let (mut from_rows, mut from_columns) =
                (vec![f32::NAN; packed.len()], vec![0.0; packed.len()]);
            let wide: Vec<f32> = (0..rows * (depth + 3))
                .map(|i| {
                    *x.get(i / (depth + 3) * depth + i % (depth + 3))
                        .unwrap_or(&9.0)
                })
                .collect();
            packed.fill_from_rows(&mut from_rows, &wide, depth + 3);
            let turned: Vec<f32> = (0..depth * (rows + 2))
                .map(|i| {
                    *x.get(i % (rows + 2) * depth + i / (rows + 2))
                        .unwrap_or(&9.0)
                })
                .collect();
            packed.fill_from_columns(&mut from_columns, &turned, rows + 2);
            assert_eq!(from_rows, from_columns, "{instructions:?} {rows} {depth}");
            let mut out = vec![7.0; rows * width];
            for times in [1.0, 2.0] {
                panel_product(packed, &from_rows, &panel, &mut out, times > 1.0);
                for (i, got) in out.iter().enumerate() {
                    let (row, column) = (i / width, i % width);
                    let want = match column < 5 {
                        true => exact(
                            &x[row * depth..][..depth],
                            &weight[column * depth..][..depth],
                        ),
                        false => 0.0,
                    };
                    assert!(
                        (f64::from(*got) - times * want).abs() < 2e-5,
                        "{instructions:?} {rows} {depth}: {got} and {want}"
                    );
                }
            }
        }
    }

    fn all() -> impl Iterator<Item = ((usize, usize, usize), Instructions)> {
        SHAPES
            .into_iter()
            .flat_map(|shape| Instructions::all().map(move |instructions| (shape, instructions)))
    }

    fn laid_out(layout: Panels, weight: &[f32]) -> Vec<f32> {
        let mut panels = vec![f32::NAN; layout.len()];
        for (index, panel) in panels.chunks_exact_mut(layout.panel_len()).enumerate() {
            layout.fill_from_columns(index, panel, weight, layout.depth);
        }
        panels
    }
}
