use std::cell::RefCell;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::super::cpu;
use super::super::lanes::{Instructions, WIDEST};
use super::Conv3dConfig;
use super::sums::{BLOCK, Blocks, Work, add_up};

/// The CPU form of convolutions that leave out no position. Nothing is laid out in columns: a task copies the input
/// under its band of rows once, with the zeros around it, and a kernel then keeps the sums of a few outputs at
/// a few dozen neighbouring positions in registers while it goes over all that they see.
///
/// Positions are counted through a band whose rows are as wide as the padded input's, so that what a position sees
/// lies at the same distances from each. Those past a row's end are computed and dropped.
pub(super) struct Direct {
    config: Conv3dConfig,
    past: usize,
    size: [usize; 3],
    outputs: usize,
    instructions: Instructions,
}

impl Direct {
    /// The operation for inputs with `past` frames of zeros before them and `outputs` channels of `size`, frames,
    /// height and width. Its weight is [`pack`]ed.
    pub(super) fn new(config: Conv3dConfig, past: usize, size: [usize; 3], outputs: usize) -> Self {
        Self {
            config,
            past,
            size,
            outputs,
            instructions: Instructions::best(),
        }
    }
}

/// Positions in a band: few enough for what they see to stay in the cache.
const BAND: usize = 768;

/// Bands that each thread gets at least, where there are rows enough.
const BANDS_A_THREAD: usize = 2;

/// The weight `(outputs, inputs, *kernel)` in the order in which the kernel reads it: `(blocks of outputs, kernel
/// frames, inputs, kernel height * kernel width, outputs of the block)`, zeros where the last block is not full.
pub(super) fn pack(weight: &Tensor) -> Result<Tensor> {
    let (outputs, inputs, t, h, w) = weight.dims5()?;
    let blocks = outputs.div_ceil(BLOCK);
    weight
        .pad_with_zeros(0, 0, blocks * BLOCK - outputs)?
        .reshape((blocks, BLOCK, inputs, t, h * w))?
        .permute((0, 3, 2, 4, 1))?
        .contiguous()
}

/// What a thread works in.
#[derive(Default)]
struct Buffers {
    /// The padded input of a band.
    padded: Vec<f32>,
    /// What is added up of it.
    taps: Vec<usize>,
    gathered: Vec<f32>,
    /// The sums: `(blocks of outputs, outputs, positions)`.
    sums: Vec<f32>,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

impl CustomOp3 for Direct {
    fn name(&self) -> &'static str {
        "direct-causal-conv3d"
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
        let (batch, inputs, frames, height, width) = x_layout.shape().dims5()?;
        let [out_frames, out_height, out_width] = self.size;
        let [kernel_t, kernel_h, kernel_w] = self.config.kernel;
        let x = cpu::slice(x, x_layout)?;
        let weight = cpu::slice(weight, weight_layout)?;
        let bias = cpu::slice(bias, bias_layout)?;
        let taps = kernel_h * kernel_w;
        let block_len = kernel_t * inputs * taps * BLOCK;
        let blocks = self.outputs.div_ceil(BLOCK);
        if weight.len() != blocks * block_len || bias.len() != self.outputs {
            bail!(
                "the weight of a convolution is not packed for {} outputs",
                self.outputs
            );
        }

        let plane = out_height * out_width;
        let tasks = BANDS_A_THREAD * rayon::current_num_threads();
        let rows = (batch * out_frames * out_height / tasks.max(1))
            .min(BAND / out_width.max(1))
            .clamp(1, out_height.max(1));
        let bands = out_height.div_ceil(rows);
        let compute = |task: usize, shared: cpu::Shared| {
            let (item, frame, top) = (
                task / (out_frames * bands),
                task / bands % out_frames,
                task % bands * rows,
            );
            let rows = rows.min(out_height - top);
            // Frames are counted with the zeros before the first; those add nothing.
            let skipped = self.past.saturating_sub(frame).min(kernel_t);
            let line = out_width + kernel_w - 1;
            let band = Band {
                channels: inputs,
                lines: rows + kernel_h - 1,
                line,
                offset: [top, 0].map(|start| start as isize - self.config.border[0] as isize),
            };
            let positions = rows * line;
            BUFFERS.with_borrow_mut(|buffers| {
                let Buffers {
                    padded,
                    taps: seen,
                    gathered,
                    sums,
                } = buffers;
                // The last positions' lanes reach past the end.
                padded.resize(
                    (kernel_t - skipped) * inputs * band.len() + line * kernel_h + WIDEST,
                    0.0,
                );
                let frame_len = inputs * band.len();
                for (kt, padded) in
                    (skipped..kernel_t).zip(padded.chunks_exact_mut(frame_len.max(1)))
                {
                    let first = (item * inputs * frames + frame + kt - self.past) * height * width;
                    band.copy(&x[first..], frames, [height, width], padded);
                }
                seen.clear();
                for plane in 0..(kernel_t - skipped) * inputs {
                    seen.extend(
                        (0..taps)
                            .map(|tap| plane * band.len() + tap / kernel_w * line + tap % kernel_w),
                    );
                }
                let room = positions.next_multiple_of(WIDEST);
                let work = Work::new(seen, positions, room, self.outputs);
                sums.resize(blocks * BLOCK * room, 0.0);
                let weights = Blocks {
                    first: &weight[skipped * inputs * taps * BLOCK..],
                    step: block_len,
                };
                let into = Blocks {
                    first: &mut sums[..],
                    step: BLOCK * room,
                };
                add_up(self.instructions, &work, padded, weights, into, gathered);
                for (output, (sums, bias)) in sums.chunks_exact(room).zip(bias).enumerate() {
                    let image = (item * self.outputs + output) * out_frames + frame;
                    let start = image * plane + top * out_width;
                    // SAFETY: a task owns its band of rows in its frame, in every output channel.
                    let target = unsafe { shared.slice(start, rows * out_width) };
                    let lines = target.chunks_exact_mut(out_width);
                    for (target, sums) in lines.zip(sums.chunks_exact(line)) {
                        for (target, sum) in target.iter_mut().zip(sums) {
                            *target = sum + bias;
                        }
                    }
                }
            });
        };
        let len = batch * self.outputs * out_frames * plane;
        let tasks = (0..batch * out_frames * bands).into_par_iter();
        // SAFETY: the bands make up the whole output.
        let out = unsafe { cpu::written(len, |out| tasks.for_each(|task| compute(task, out))) };
        cpu::output(
            out,
            (batch, self.outputs, out_frames, out_height, out_width),
        )
    }
}

/// What a band of output rows sees of one input frame.
struct Band {
    channels: usize,
    lines: usize,
    line: usize,
    /// Row and column of the input where it starts; negative in the zeros before it.
    offset: [isize; 2],
}

impl Band {
    /// Numbers of a channel.
    fn len(&self) -> usize {
        self.lines * self.line
    }

    /// Copies the band out of a frame, whose channels lie `frames` frames apart, with zeros outside it.
    fn copy(&self, x: &[f32], frames: usize, [height, width]: [usize; 2], padded: &mut [f32]) {
        let before = self.offset[1].unsigned_abs().min(self.line);
        let inside = width.min(self.line - before);
        let mut lines = padded.chunks_exact_mut(self.line);
        for channel in 0..self.channels {
            let image = &x[channel * frames * height * width..];
            for (y, line) in (self.offset[0]..).zip(lines.by_ref().take(self.lines)) {
                match usize::try_from(y).ok().filter(|y| *y < height) {
                    Some(y) => {
                        line[..before].fill(0.0);
                        line[before..before + inside]
                            .copy_from_slice(&image[y * width..y * width + inside]);
                        line[before + inside..].fill(0.0);
                    }
                    None => line.fill(0.0),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::{Direct, pack};
    use crate::models::nn::Conv3dConfig;
    use crate::models::nn::lanes::Instructions;

    #[test]
    fn every_set_of_instructions_finds_the_same_sums() {
        let dev = Device::Cpu;
        // Bands end in one, two and three vectors of either width; blocks are full, half full and nearly empty.
        for (outputs, width) in [(13, 70), (16, 9), (17, 30), (4, 21)] {
            let x = Tensor::randn(0f32, 1.0, (2, 5, 4, 11, width), &dev).unwrap();
            let weight = Tensor::randn(0f32, 0.2, (outputs, 5, 3, 3, 3), &dev).unwrap();
            let bias = Tensor::randn(0f32, 1.0, outputs, &dev).unwrap();
            let weight = pack(&weight).unwrap();
            let sums = |instructions| {
                let mut op = Direct::new(Conv3dConfig::CAUSAL_3, 2, [4, 11, width], outputs);
                op.instructions = instructions;
                let sums = x.apply_op3_no_bwd(&weight, &bias, &op).unwrap();
                sums.flatten_all().unwrap().to_vec1::<f32>().unwrap()
            };
            let plain = sums(Instructions::Plain);
            for instructions in Instructions::all() {
                for (a, b) in plain.iter().zip(sums(instructions)) {
                    // 135 products of about a fifth, rounded once or twice each.
                    assert!((a - b).abs() < 1e-5, "{instructions:?}: {a} and {b}");
                }
            }
        }
    }
}
