mod mixes;

use std::cell::RefCell;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Storage, Tensor, bail};
use rayon::prelude::*;

pub(super) use self::mixes::pack;
use self::mixes::{Mixer, OF_ALL, SQUARE, TILE, Unmixer, weave};
use super::super::cpu;
use super::super::lanes::{Instructions, WIDEST};
use super::Conv3dConfig;
use super::sums::{BLOCK, Tap, Work, add_up};

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
    /// The mixes of all that a task sees: `(mixes, channels, frames, tiles)`.
    mixed: Vec<f32>,
    /// What is added up of them for every tile.
    taps: Vec<Tap>,
    /// Their sums: `(blocks of outputs, mixes, outputs, frames and tiles)`.
    sums: Vec<f32>,
    unmixer: Unmixer,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

/// Which part of the output a task computes.
struct Task {
    /// Item of the batch.
    item: usize,
    /// Its frames, from the first to before the last.
    first: usize,
    last: usize,
    /// Its rows of tiles.
    top: usize,
    rows: usize,
    /// Its blocks of outputs.
    share: std::ops::Range<usize>,
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
        // Where there are few bands, blocks are shared out as well, which costs a second mixing of the input.
        let wanted = TASKS_A_THREAD * rayon::current_num_threads();
        let groups = wanted
            .div_ceil((batch * runs * bands).max(1))
            .clamp(1, blocks.max(1));

        let mut out = vec![0.0; len];
        let shared = cpu::Shared::new(&mut out);
        (0..batch * runs * bands * groups)
            .into_par_iter()
            .for_each(|index| {
                let (group, index) = (index % groups, index / groups);
                let (top, first) = (index % bands * rows, index / bands % runs * run);
                let task = Task {
                    item: index / (runs * bands),
                    first,
                    last: (first + run).min(out_frames),
                    top,
                    rows: rows.min(lines - top),
                    share: group * blocks / groups..(group + 1) * blocks / groups,
                };
                BUFFERS.with_borrow_mut(|buffers| self.compute(of, &task, tiles, shared, buffers));
            });
        let shape = (batch, self.outputs, out_frames, out_height, out_width);
        cpu::output(out, shape)
    }

    /// One task. `shared` is the whole output, of which it writes what is its own.
    fn compute(
        &self,
        of: &Operands<'_>,
        task: &Task,
        tiles: usize,
        shared: cpu::Shared,
        buffers: &mut Buffers,
    ) {
        let inputs = of.dims.1;
        let kernel_t = self.config.kernel[0];
        let area = task.rows * tiles;
        // Frames are counted with the zeros before the first. Those that are zeros for all frames of the task add nothing.
        let skipped = (self.past + 1).saturating_sub(task.last).min(kernel_t);
        let seen = task.first + skipped..task.last + kernel_t - 1;
        let plane = seen.len() * area;
        let positions = (task.last - task.first) * area;
        let room = positions.next_multiple_of(WIDEST);
        let Buffers {
            mixer,
            mixed,
            taps,
            sums,
            unmixer,
        } = buffers;

        // Vectors reach past the last of each mix.
        let step = inputs * plane + WIDEST;
        mixed.resize(SQUARE * step, 0.0);
        self.mix(of, task, tiles, seen, mixer, mixed);

        taps.clear();
        taps.extend((0..inputs).flat_map(|channel| {
            (skipped..kernel_t).map(move |kt| Tap {
                input: channel * plane + (kt - skipped) * area,
                weight: (channel * kernel_t + kt) * BLOCK,
            })
        }));
        let work = Work::new(taps, positions, room);
        let place_len = inputs * kernel_t * BLOCK;
        sums.resize(task.share.len() * SQUARE * BLOCK * room, 0.0);
        let outputs = |block: usize| BLOCK.min(self.outputs - block * BLOCK);
        // One mix of the input stays in the first cache for all outputs.
        for mix in 0..SQUARE {
            let mixed = &mixed[mix * step..];
            let blocks = sums.chunks_exact_mut(SQUARE * BLOCK * room);
            for (block, sums) in task.share.clone().zip(blocks) {
                let weight = &of.weight[(block * SQUARE + mix) * place_len..][..place_len];
                let sums = &mut sums[mix * BLOCK * room..];
                add_up(
                    self.instructions,
                    &work,
                    outputs(block),
                    mixed,
                    weight,
                    sums,
                );
            }
        }

        let [out_frames, out_height, out_width] = self.size;
        let blocks = sums.chunks_exact_mut(SQUARE * BLOCK * room);
        for (block, sums) in task.share.clone().zip(blocks) {
            for i in 0..outputs(block) {
                let output = block * BLOCK + i;
                for sum in &mut sums[(OF_ALL * BLOCK + i) * room..][..positions] {
                    *sum += of.bias[output];
                }
                let channel = (task.item * self.outputs + output) * out_frames;
                let sums = &sums[i * room..];
                unmixer.run(
                    self.instructions,
                    sums,
                    BLOCK * room,
                    positions,
                    |y, columns| {
                        for line in 0..(task.last - task.first) * task.rows {
                            let frame = task.first + line / task.rows;
                            let y = (task.top + line % task.rows) * TILE + y;
                            if y >= out_height {
                                continue;
                            }
                            let start = ((channel + frame) * out_height + y) * out_width;
                            // SAFETY: a task owns its band of rows in its frames, in its blocks of outputs.
                            let target = unsafe { shared.slice(start, out_width) };
                            let columns = columns.map(|column| &column[line * tiles..][..tiles]);
                            if out_width == tiles * TILE {
                                weave(columns, target);
                            } else {
                                let whole = &mut mixer.row[..tiles * TILE];
                                weave(columns, whole);
                                target.copy_from_slice(&whole[..out_width]);
                            }
                            if let Some(onto) = of.onto {
                                let onto = &onto[start..start + out_width];
                                add(target, onto);
                            }
                        }
                    },
                );
            }
        }
    }

    /// The mixes of all channels in the frames `seen` that a task's rows of tiles see.
    fn mix(
        &self,
        of: &Operands<'_>,
        task: &Task,
        tiles: usize,
        seen: std::ops::Range<usize>,
        mixer: &mut Mixer,
        mixed: &mut [f32],
    ) {
        let (_, inputs, frames, height, width) = of.dims;
        let (scale, before) = (if self.doubled { 2 } else { 1 }, self.config.border[0]);
        let area = task.rows * tiles;
        let plane = seen.len() * area;
        mixer.fit(task.rows, tiles);
        for channel in 0..inputs {
            for (i, frame) in seen.clone().enumerate() {
                let own = task.item * inputs + channel;
                let image = frame.checked_sub(self.past).map(|frame| {
                    let (from, at) = match frame.checked_sub(of.kept) {
                        Some(frame) => (of.x, own * frames + frame),
                        None => (of.earlier, own * of.kept + frame),
                    };
                    &from[at * height * width..][..height * width]
                });
                for line in mixer.lines() {
                    let y = (task.top * TILE + line).checked_sub(before);
                    let y = y.map(|y| y / scale).filter(|y| *y < height);
                    match (image, y) {
                        (Some(image), Some(y)) => {
                            let values = &image[y * width..][..width];
                            let row = &mut mixer.row[before..];
                            match self.doubled {
                                false => row[..width].copy_from_slice(values),
                                true => {
                                    for (pair, value) in row.chunks_exact_mut(2).zip(values) {
                                        pair.fill(*value);
                                    }
                                }
                            }
                            mixer.add_row(self.instructions, line, false);
                        }
                        _ => mixer.add_row(self.instructions, line, true),
                    }
                }
                let at = channel * plane + i * area;
                mixer.finish(self.instructions, mixed, inputs * plane + WIDEST, at);
            }
        }
    }
}

cpu::vectorised! {
    fn add(sums: &mut [f32], x: &[f32]) {
        for (sum, x) in sums.iter_mut().zip(x) {
            *sum += x;
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
        for (outputs, width) in [(13, 70), (16, 9), (17, 32), (4, 21)] {
            let x = Tensor::randn(0f32, 1.0, (2, 5, 4, 11, width), &dev).unwrap();
            let weight = Tensor::randn(0f32, 0.2, (outputs, 5, 3, 3, 3), &dev).unwrap();
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
