mod mixes;

use std::cell::{Cell, RefCell};
use std::ops::Range;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Storage, Tensor, bail};
use rayon::prelude::*;

pub(super) use self::mixes::pack;
use self::mixes::{Grid, Mixer, SQUARE, TILE, unmix_places, weave};
use super::super::cpu;
use super::super::lanes::{Instructions, WIDEST};
use super::Conv3dConfig;
use super::sums::{BLOCK, Blocks, Work, add_up};

/// The CPU form of kernels of 3 x 3 in each frame, with a quarter of the products: tiles of four by four outputs are
/// found together, from 36 mixes of the 36 inputs that they see, in place of nine products each (Winograd's minimal
/// filtering F(4 x 4, 3 x 3); Lavin & Gray 2016, arXiv 1509.09308). Over channels and frames the mixes are added up as the
/// direct form does, all tiles of a few rows and frames at once.
///
/// The mixes make rounding errors several times larger than those of plain sums.
pub(super) struct Winograd {
    config: Conv3dConfig,
    past: usize,
    size: [usize; 3],
    outputs: usize,
    instructions: Instructions,
    /// Frames `(B, inputs, t, H, W)` that come before the input.
    pub(super) earlier: Option<Tensor>,
    /// What the result is added to.
    pub(super) onto: Option<Tensor>,
    /// The input counts as twice as high and wide.
    pub(super) doubled: bool,
}

impl Winograd {
    /// Whether the form is for these convolutions.
    pub(super) fn fits(config: &Conv3dConfig) -> bool {
        config.kernel[1..] == [3, 3] && config.stride == [1, 1, 1]
    }

    /// The operation for inputs with `past` frames of zeros before them and `outputs` channels of `size`, frames,
    /// height and width. Its weight is [`pack`]ed.
    pub(super) fn new(config: Conv3dConfig, past: usize, size: [usize; 3], outputs: usize) -> Self {
        Self {
            config,
            past,
            size,
            outputs,
            instructions: Instructions::best(),
            earlier: None,
            onto: None,
            doubled: false,
        }
    }
}

/// Runs `work` on the numbers of a contiguous f32 tensor on the CPU, or on none.
fn with_numbers<T>(
    tensor: Option<&Tensor>,
    work: impl FnOnce(Option<&[f32]>) -> Result<T>,
) -> Result<T> {
    let Some(tensor) = tensor else {
        return work(None);
    };
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => work(Some(cpu::slice(storage, layout)?)),
        _ => bail!("a convolution on the CPU was given {:?}", tensor.device()),
    }
}

/// Numbers that the mixes of a task take, about: half of what the second cache of a core holds.
const MIXED: usize = 96 * 1024;

/// So many times that are still better than fewer frames, each of which is mixed anew with those before it.
const MORE_MIXED: usize = 8;

/// The most frames a task computes.
const RUN: usize = 8;

/// Tiles that a task has at least, where there are so many: vectors enough to hide what a sum waits for the one before.
const LEAST_TILES: usize = 48;

/// Tasks that each thread gets at least, where there is enough to share out.
const TASKS_A_THREAD: usize = 2;

/// What a thread works in.
#[derive(Default)]
struct Buffers {
    mixer: Mixer,
    /// What is added up of the mixes for every tile.
    taps: Vec<usize>,
    gathered: Vec<f32>,
    /// Their sums: `(blocks of outputs, mixes, outputs, frames and tiles)`.
    sums: Vec<f32>,
    /// Outputs of a channel: `(row within the tile, column within the tile, frames and tiles)`.
    tiles: Vec<f32>,
    /// A row of them.
    row: Vec<f32>,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::default();
    /// Room for mixes. Whoever works with it takes it: while it waits, the thread may do another task.
    static MIXES: Cell<Vec<f32>> = Cell::default();
}

/// Runs `work` on `len` numbers of the thread's own, of any value.
fn with_mixed(len: usize, work: impl FnOnce(&mut [f32])) {
    let mut mixed = MIXES.take();
    work(at_least(&mut mixed, len));
    MIXES.set(mixed);
}

/// The first `len` numbers of a buffer that grows where it has to, of any value.
fn at_least(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    buffer.resize(buffer.len().max(len), 0.0);
    &mut buffer[..len]
}

/// A band of the output: some rows of tiles in some frames, in all channels.
struct Band {
    /// Item of the batch.
    item: usize,
    /// Its frames.
    frames: Range<usize>,
    /// Those that it sees, counted with the zeros before the first.
    seen: Range<usize>,
    grid: Grid,
    /// Numbers that a mix takes of one channel, and of all.
    plane: usize,
    step: usize,
}

/// What the tensors hold.
struct Operands<'a> {
    /// `(batch, inputs, frames, height, width)`.
    x: &'a [f32],
    dims: (usize, usize, usize, usize, usize),
    /// Frames before it, and how many.
    earlier: &'a [f32],
    kept: usize,
    onto: Option<&'a [f32]>,
    weight: &'a [f32],
    bias: &'a [f32],
}

impl CustomOp3 for Winograd {
    fn name(&self) -> &'static str {
        "winograd-causal-conv3d"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let dims = x_layout.shape().dims5()?;
        let x = cpu::slice(x, x_layout)?;
        let weight = cpu::slice(weight, weight_layout)?;
        let bias = cpu::slice(bias, bias_layout)?;
        with_numbers(self.earlier.as_ref(), |earlier| {
            with_numbers(self.onto.as_ref(), |onto| {
                let (batch, inputs, _, height, width) = dims;
                let earlier = earlier.unwrap_or_default();
                self.run(&Operands {
                    x,
                    dims,
                    earlier,
                    kept: earlier.len() / (batch * inputs * height * width).max(1),
                    onto,
                    weight,
                    bias,
                })
            })
        })
    }
}

impl Winograd {
    /// The convolution of `x` with a packed weight.
    fn run(&self, of: &Operands<'_>) -> Result<(CpuStorage, Shape)> {
        let (batch, inputs, _, height, width) = of.dims;
        let [out_frames, out_height, out_width] = self.size;
        let kernel_t = self.config.kernel[0];
        let blocks = self.outputs.div_ceil(BLOCK);
        if of.weight.len() != blocks * SQUARE * inputs * kernel_t * BLOCK
            || of.bias.len() != self.outputs
        {
            bail!(
                "the weight of a convolution is not packed for {} outputs",
                self.outputs
            );
        }
        let len = batch * self.outputs * out_frames * out_height * out_width;
        if of.onto.is_some_and(|onto| onto.len() != len)
            || of.earlier.len() != batch * inputs * of.kept * height * width
            || (self.doubled && of.kept > 0)
        {
            bail!("what belongs to the input of a convolution is not of its size");
        }

        let tiles = out_width.div_ceil(TILE);
        let lines = out_height.div_ceil(TILE);
        // Numbers mixed for a row of tiles in a run of frames.
        let mixed = |run: usize| (inputs * SQUARE * (run + kernel_t - 1) * tiles).max(1);
        let run = (1..=RUN.min(out_frames))
            .rev()
            .find(|run| mixed(*run) <= MORE_MIXED * MIXED)
            .unwrap_or(1);
        let rows = (MIXED / mixed(run))
            .max(LEAST_TILES.div_ceil((run * tiles).max(1)))
            .clamp(1, lines.max(1));
        let (runs, bands) = (out_frames.div_ceil(run), lines.div_ceil(rows));
        let rows = lines.div_ceil(bands.max(1));
        let band = |index: usize| {
            let first = index / bands % runs * run;
            let frames = first..(first + run).min(out_frames);
            // Frames of zeros that all of the band see add nothing.
            let skipped = (self.past + 1).saturating_sub(frames.end).min(kernel_t);
            let seen = first + skipped..frames.end + kernel_t - 1;
            let top = index % bands * rows;
            let grid = Grid {
                size: (height, width),
                doubled: self.doubled,
                before: self.config.border[0],
                top,
                rows: rows.min(lines - top),
                tiles,
            };
            let plane = grid.plane(seen.len());
            Band {
                item: index / (runs * bands),
                frames,
                seen,
                grid,
                plane,
                // Vectors of sums reach past the last tile.
                step: inputs * plane + WIDEST,
            }
        };
        let bands: Vec<Band> = (0..batch * runs * bands).map(band).collect();
        // Where there are few bands, their blocks are shared out as well.
        let wanted = TASKS_A_THREAD * rayon::current_num_threads();
        let groups = wanted.div_ceil(bands.len().max(1)).clamp(1, blocks.max(1));
        let work = |out: cpu::Shared| match groups {
            1 => bands.par_iter().for_each(|band| {
                with_mixed(SQUARE * band.step, |mixed| {
                    let all = cpu::Shared::new(mixed);
                    (0..inputs).for_each(|channel| self.mix(of, band, channel, all, 0));
                    self.compute(of, band, 0..blocks, mixed, out);
                });
            }),
            _ => {
                let room = SQUARE * bands.iter().map(|band| band.step).max().unwrap_or(0);
                with_mixed(bands.len() * room, |mixed| {
                    let all = cpu::Shared::new(mixed);
                    let channels = (0..bands.len() * inputs).into_par_iter();
                    channels.for_each(|index| {
                        let (band, channel) = (index / inputs, index % inputs);
                        self.mix(of, &bands[band], channel, all, band * room);
                    });
                    let shares = (0..bands.len() * groups).into_par_iter();
                    shares.for_each(|index| {
                        let (band, group) = (index / groups, index % groups);
                        let share = group * blocks / groups..(group + 1) * blocks / groups;
                        self.compute(of, &bands[band], share, &mixed[band * room..], out);
                    });
                });
            }
        };
        // SAFETY: the bands make up the whole output, and the groups of a band all its blocks.
        let out = unsafe { cpu::written(len, work) };
        let shape = (batch, self.outputs, out_frames, out_height, out_width);
        cpu::output(out, shape)
    }

    /// The mixes of a channel that a band sees. Those of all channels are in `mixed` from `start` on: `(mixes, channels, frames,
    /// tiles)`.
    fn mix(
        &self,
        of: &Operands<'_>,
        band: &Band,
        channel: usize,
        mixed: cpu::Shared,
        start: usize,
    ) {
        let (_, inputs, frames, height, width) = of.dims;
        let area = band.grid.rows * band.grid.tiles;
        // Images are read in this order, and the next is brought near while one is mixed.
        let image = |place: usize| {
            let channel = band.item * inputs + place / band.seen.len();
            let frame = (band.seen.start + place % band.seen.len()).checked_sub(self.past)?;
            let (from, at) = match frame.checked_sub(of.kept) {
                Some(frame) => (of.x, channel * frames + frame),
                None => (of.earlier, channel * of.kept + frame),
            };
            from.get(at * height * width..)?.get(..height * width)
        };
        BUFFERS.with_borrow_mut(|buffers| {
            for i in 0..band.seen.len() {
                let place = channel * band.seen.len() + i;
                if let Some(next) = image(place + 1) {
                    band.grid.fetch(next);
                }
                let at = start + channel * band.plane + i * area;
                // SAFETY: the channel's part of each mix is this call's alone.
                unsafe {
                    match image(place) {
                        Some(image) => buffers.mixer.run(
                            self.instructions,
                            &band.grid,
                            image,
                            mixed.at(at),
                            band.step,
                        ),
                        None => (0..SQUARE)
                            .for_each(|mix| mixed.slice(mix * band.step + at, area).fill(0.0)),
                    }
                }
            }
        });
    }

    /// The outputs of a band in a `share` of the blocks, from its mixes. `out` is the whole output.
    fn compute(
        &self,
        of: &Operands<'_>,
        band: &Band,
        share: Range<usize>,
        mixed: &[f32],
        out: cpu::Shared,
    ) {
        BUFFERS.with_borrow_mut(|buffers| {
            let Buffers {
                taps,
                gathered,
                sums,
                tiles,
                row,
                ..
            } = buffers;
            let inputs = of.dims.1;
            let kernel_t = self.config.kernel[0];
            let area = band.grid.rows * band.grid.tiles;
            let positions = band.frames.len() * area;
            let room = positions.next_multiple_of(WIDEST);
            // Rows are put together from four tiles at a time.
            let tiles = at_least(tiles, TILE * TILE * room + TILE);
            let skipped = band.seen.start - band.frames.start;
            taps.clear();
            taps.extend(
                (0..kernel_t - skipped).flat_map(|kt| {
                    (0..inputs).map(move |channel| channel * band.plane + kt * area)
                }),
            );
            let outputs = share.start * BLOCK..(share.end * BLOCK).min(self.outputs);
            let work = Work::new(taps, positions, room, outputs.len());
            let place_len = inputs * kernel_t * BLOCK;
            let block_len = SQUARE * BLOCK * room;
            let sums = at_least(sums, share.len() * block_len);
            // One mix of the input stays in the second cache for all outputs.
            for mix in 0..SQUARE {
                let place = (share.start * SQUARE + mix) * place_len + skipped * inputs * BLOCK;
                let weights = Blocks {
                    first: &of.weight[place..],
                    step: SQUARE * place_len,
                };
                let into = Blocks {
                    first: &mut sums[mix * BLOCK * room..],
                    step: block_len,
                };
                let mixed = &mixed[mix * band.step..];
                add_up(self.instructions, &work, mixed, weights, into, gathered);
            }
            for (i, output) in outputs.enumerate() {
                let sums = &sums[i / BLOCK * block_len + i % BLOCK * room..];
                let (step, bias) = (BLOCK * room, of.bias[output]);
                unmix_places(self.instructions, sums, step, positions, bias, tiles);
                self.put(of, band, output, tiles, row, out);
            }
        });
    }

    /// Puts the outputs of a channel, a band's `tiles`, where they belong.
    fn put(
        &self,
        of: &Operands<'_>,
        band: &Band,
        output: usize,
        tiles: &[f32],
        row: &mut Vec<f32>,
        out: cpu::Shared,
    ) {
        let [out_frames, out_height, out_width] = self.size;
        let Grid {
            top,
            rows,
            tiles: in_row,
            ..
        } = band.grid;
        let room = (band.frames.len() * rows * in_row).next_multiple_of(WIDEST);
        let whole = in_row.next_multiple_of(TILE);
        row.resize(whole * TILE, 0.0);
        for (line, frame) in band.frames.clone().enumerate() {
            let image = (band.item * self.outputs + output) * out_frames + frame;
            for y in top * TILE..((top + rows) * TILE).min(out_height) {
                let first = y % TILE * TILE * room + (line * rows + y / TILE - top) * in_row;
                let columns = std::array::from_fn(|x| &tiles[first + x * room..][..whole]);
                let start = (image * out_height + y) * out_width;
                // SAFETY: a task owns its band of rows in its frames, in its blocks of outputs.
                let target = unsafe { out.slice(start, out_width) };
                if out_width == whole * TILE {
                    weave(columns, target);
                } else {
                    weave(columns, row);
                    target.copy_from_slice(&row[..out_width]);
                }
                if let Some(onto) = of.onto {
                    add(target, &onto[start..start + out_width]);
                }
            }
        }
    }
}

cpu::vectorised! {
    fn add(sums: &mut [f32], more: &[f32]) {
        for (sum, more) in sums.iter_mut().zip(more) {
            *sum += more;
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::{Winograd, pack};
    use crate::models::nn::Conv3dConfig;
    use crate::models::nn::lanes::Instructions;

    #[test]
    fn every_set_of_instructions_finds_the_same_sums() {
        let dev = Device::Cpu;
        // The last has more taps than are read where they lie.
        for (outputs, inputs, width) in [
            (13, 5, 70),
            (16, 5, 9),
            (17, 5, 32),
            (4, 5, 21),
            (23, 50, 12),
        ] {
            let x = Tensor::randn(0f32, 1.0, (2, inputs, 4, 11, width), &dev).unwrap();
            let scale = 0.45 / (inputs as f64).sqrt();
            let weight = Tensor::randn(0.0, scale, (outputs, inputs, 3, 3, 3), &dev).unwrap();
            let weight = weight.to_dtype(candle_core::DType::F32).unwrap();
            let bias = Tensor::randn(0f32, 1.0, outputs, &dev).unwrap();
            let weight = pack(&weight).unwrap();
            let sums = |instructions| {
                let mut op = Winograd::new(Conv3dConfig::CAUSAL_3, 2, [4, 11, width], outputs);
                op.instructions = instructions;
                let sums = x.apply_op3_no_bwd(&weight, &bias, &op).unwrap();
                sums.flatten_all().unwrap().to_vec1::<f32>().unwrap()
            };
            let plain = sums(Instructions::Plain);
            for instructions in Instructions::all() {
                // Products that are rounded before they are added lie as far off as the form does from its definition.
                for (a, b) in plain.iter().zip(sums(instructions)) {
                    assert!((a - b).abs() < 1e-4, "{instructions:?}: {a} and {b}");
                }
            }
        }
    }
}
