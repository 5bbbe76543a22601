use std::cell::RefCell;

use candle_core::{CpuStorage, CustomOp3, DType, Layout, Result, Shape, Storage, Tensor, bail};
use rayon::prelude::*;

use super::super::cpu::{self, vectorised};
use super::Conv3dConfig;
use super::sums::{BLOCK, Kernel, REACH, Work};

/// The CPU form of kernels of 3 x 3 in each frame, with half the products: four neighbours of a row are found
/// together, from six mixes of the six inputs that they see, in place of three products each (Winograd's minimal
/// filtering F(4, 3) along rows; Lavin & Gray 2016, arXiv 1509.09308). Down the rows and over the frames the mixes are
/// added up as the direct form does.
///
/// The mixes make rounding errors a few times larger than those of plain sums, which is still no more than 1e-6 of the
/// values.
pub(super) struct Winograd {
    config: Conv3dConfig,
    past: usize,
    size: [usize; 3],
    outputs: usize,
    kernel: Kernel,
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
            kernel: Kernel::best(),
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

/// Neighbours in a row that are found together.
const TILE: usize = 4;

/// Mixes of what they see.
const MIXES: usize = 6;

/// The mixes of a kernel's three columns.
const OF_KERNEL: [[f32; MIXES]; 3] = [
    [
        1.0 / 4.0,
        -1.0 / 6.0,
        -1.0 / 6.0,
        1.0 / 24.0,
        1.0 / 24.0,
        0.0,
    ],
    [0.0, -1.0 / 6.0, 1.0 / 6.0, 1.0 / 12.0, -1.0 / 12.0, 0.0],
    [0.0, -1.0 / 6.0, -1.0 / 6.0, 1.0 / 6.0, 1.0 / 6.0, 1.0],
];

/// Tiles in a band: whole steps of the kernel.
const BAND: usize = 4 * REACH;

/// Numbers that a task mixes at a time: what the cache of a core holds beside the weight.
const MIXED: usize = 160 * 1024;

/// The most frames a task computes.
const RUN: usize = 8;

/// Tasks that each thread gets at least, where there is enough to share out.
const TASKS_A_THREAD: usize = 2;

/// The mixed weight of `(outputs, inputs, kernel frames, 3, 3)` in the order in which the kernel reads it: `(blocks of
/// outputs, mixes, kernel frames, inputs, rows, outputs of the block)`, zeros where the last block is not full.
pub(super) fn pack(weight: &Tensor) -> Result<Tensor> {
    let (outputs, inputs, t, h, w) = weight.dims5()?;
    let blocks = outputs.div_ceil(BLOCK);
    let of_kernel = Tensor::new(&OF_KERNEL, weight.device())?.to_dtype(DType::F64)?;
    weight
        .to_dtype(DType::F64)?
        .reshape((outputs * inputs * t * h, w))?
        .matmul(&of_kernel)?
        .to_dtype(DType::F32)?
        .reshape((outputs, inputs, t, h, MIXES))?
        .pad_with_zeros(0, 0, blocks * BLOCK - outputs)?
        .reshape(&[blocks, BLOCK, inputs, t, h, MIXES][..])?
        .permute([0, 5, 3, 2, 4, 1])?
        .contiguous()
}

/// What a thread works in.
#[derive(Default)]
struct Buffers {
    /// A row of the input, with the zeros around it.
    row: Vec<f32>,
    /// Every fourth number of it, from each of the first four on.
    phases: Vec<f32>,
    /// The mixes of all frames, channels and rows that a task sees.
    mixed: Vec<f32>,
    /// The sums of a block for each mix.
    sums: Vec<f32>,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::default();
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
                self.run(dims, x, earlier, onto, weight, bias)
            })
        })
    }
}

impl Winograd {
    /// The convolution of `x`, `(batch, inputs, frames, height, width)`, with a packed weight.
    fn run(
        &self,
        (batch, inputs, frames, height, width): (usize, usize, usize, usize, usize),
        x: &[f32],
        earlier: Option<&[f32]>,
        onto: Option<&[f32]>,
        weight: &[f32],
        bias: &[f32],
    ) -> Result<(CpuStorage, Shape)> {
        let [out_frames, out_height, out_width] = self.size;
        let kernel_t = self.config.kernel[0];
        let earlier = earlier.unwrap_or_default();
        let kept = earlier.len() / (batch * inputs * height * width).max(1);
        let mix_len = kernel_t * inputs * 3 * BLOCK;
        let blocks = self.outputs.div_ceil(BLOCK);
        if weight.len() != blocks * MIXES * mix_len || bias.len() != self.outputs {
            bail!(
                "the weight of a convolution is not packed for {} outputs",
                self.outputs
            );
        }

        let plane = out_height * out_width;
        let len = batch * self.outputs * out_frames * plane;
        if onto.is_some_and(|onto| onto.len() != len)
            || earlier.len() != batch * inputs * kept * height * width
            || (self.doubled && kept > 0)
        {
            bail!("what belongs to the input of a convolution is not of its size");
        }
        let mut out = vec![0.0; len];
        let shared = cpu::Shared::new(&mut out);
        let tiles = out_width.div_ceil(TILE);
        let rows = (BAND / tiles.max(1)).clamp(1, out_height.max(1));
        let bands = out_height.div_ceil(rows);
        let mixed_frame = inputs * MIXES * (rows + 2) * tiles;
        let run = (MIXED / mixed_frame.max(1))
            .saturating_sub(kernel_t - 1)
            .clamp(1, RUN)
            .min(out_frames.max(1));
        let runs = out_frames.div_ceil(run);
        // Where there are few bands, blocks are shared out as well, which costs a second mixing of the input.
        let wanted = TASKS_A_THREAD * rayon::current_num_threads();
        let groups = wanted
            .div_ceil((batch * runs * bands).max(1))
            .clamp(1, blocks.max(1));
        let tasks = batch * runs * bands * groups;
        (0..tasks).into_par_iter().for_each(|task| {
            let (group, task) = (task % groups, task / groups);
            let (item, first, top) = (
                task / (runs * bands),
                task / bands % runs * run,
                task % bands * rows,
            );
            let last = (first + run).min(out_frames);
            let rows = rows.min(out_height - top);
            let plane_len = (rows + 2) * tiles;
            BUFFERS.with_borrow_mut(|buffers| {
                let Buffers {
                    row,
                    phases,
                    mixed,
                    sums,
                } = buffers;
                // Frames are counted with the zeros before the first; those add nothing.
                let seen = first.max(self.past)..last + kernel_t - 1;
                row.resize((tiles + 2) * TILE, 0.0);
                phases.resize((tiles + 1) * TILE, 0.0);
                // The last positions' lanes reach past the end.
                mixed.resize(seen.len() * inputs * MIXES * plane_len + REACH, 0.0);
                let mut planes = mixed.chunks_exact_mut(MIXES * plane_len);
                for frame in seen.clone() {
                    for channel in 0..inputs {
                        let Some(planes) = planes.next() else { return };
                        let channel = item * inputs + channel;
                        let (from, at) = match (frame - self.past).checked_sub(kept) {
                            Some(frame) => (x, channel * frames + frame),
                            None => (earlier, channel * kept + frame - self.past),
                        };
                        let image = &from[at * height * width..][..height * width];
                        self.mix(image, width, top, tiles, row, phases, planes);
                    }
                }
                let positions = rows * tiles;
                let room = positions.next_multiple_of(REACH);
                sums.resize(MIXES * BLOCK * room, 0.0);
                let share = group * blocks / groups..(group + 1) * blocks / groups;
                for block in share {
                    for frame in first..last {
                        let skipped = seen.start.saturating_sub(frame).min(kernel_t);
                        let work = Work {
                            planes: (kernel_t - skipped) * inputs,
                            plane: MIXES * plane_len,
                            taps: [3, 1],
                            line: tiles,
                            positions,
                            room,
                        };
                        let outputs = BLOCK.min(self.outputs - block * BLOCK);
                        let from = (frame + skipped - seen.start) * inputs * MIXES * plane_len;
                        for mix in 0..MIXES {
                            let weight = &weight[(block * MIXES + mix) * mix_len..][..mix_len];
                            self.kernel.run(
                                &work,
                                outputs,
                                &mixed[from + mix * plane_len..],
                                &weight[skipped * inputs * 3 * BLOCK..],
                                &mut sums[mix * BLOCK * room..],
                            );
                        }
                        for i in 0..outputs {
                            let output = block * BLOCK + i;
                            let start = ((item * self.outputs + output) * out_frames + frame)
                                * plane
                                + top * out_width;
                            // SAFETY: a task owns its band of rows in its frames, in its blocks of outputs.
                            let target = unsafe { shared.slice(start, rows * out_width) };
                            let onto = onto.map(|onto| &onto[start..start + rows * out_width]);
                            let of_output = |mix: usize| &sums[(mix * BLOCK + i) * room..];
                            for (r, target) in target.chunks_exact_mut(out_width).enumerate() {
                                let line = r * tiles..(r + 1) * tiles;
                                let sums: [&[f32]; MIXES] =
                                    std::array::from_fn(|mix| &of_output(mix)[line.clone()]);
                                unmix(&sums, bias[output], row, target);
                                if let Some(onto) = onto {
                                    let onto = &onto[r * out_width..][..out_width];
                                    target.iter_mut().zip(onto).for_each(|(a, b)| *a += b);
                                }
                            }
                        }
                    }
                }
            });
        });
        cpu::output(
            out,
            (batch, self.outputs, out_frames, out_height, out_width),
        )
    }

    /// The mixes of the rows of `image` that the output rows from `top` on see: `planes` is `(mixes, rows + 2, tiles)`.
    #[expect(clippy::too_many_arguments, reason = "three of them are buffers")]
    fn mix(
        &self,
        image: &[f32],
        width: usize,
        top: usize,
        tiles: usize,
        row: &mut [f32],
        phases: &mut [f32],
        planes: &mut [f32],
    ) {
        let lines = planes.len() / MIXES / tiles;
        let before = self.config.border[0];
        row.fill(0.0);
        for line in 0..lines {
            let at = line * tiles..(line + 1) * tiles;
            let mut rest = planes.chunks_exact_mut(lines * tiles);
            let mut mixes: [&mut [f32]; MIXES] =
                std::array::from_fn(|_| &mut rest.next().unwrap_or_default()[at.clone()]);
            let scale = if self.doubled { 2 } else { 1 };
            match (top + line).checked_sub(before) {
                Some(y) if y / scale * width < image.len() => {
                    let line = &image[y / scale * width..][..width];
                    match self.doubled {
                        false => row[before..before + width].copy_from_slice(line),
                        true => {
                            for (pair, value) in row[before..].chunks_exact_mut(2).zip(line) {
                                pair.fill(*value);
                            }
                        }
                    }
                    mix_row(row, phases, &mut mixes);
                }
                _ => mixes.iter_mut().for_each(|mix| mix.fill(0.0)),
            }
        }
    }
}

/// Shares the numbers of `row` out in turn.
#[inline(always)]
fn part(row: &[f32], [p0, p1, p2, p3]: [&mut [f32]; TILE]) {
    let tiles = [p0.len(), p1.len(), p2.len(), p3.len()]
        .into_iter()
        .fold(row.len() / TILE, usize::min);
    let done = part_in_fours(row, [&mut *p0, &mut *p1, &mut *p2, &mut *p3], tiles);
    for (j, four) in row.chunks_exact(TILE).enumerate().take(tiles).skip(done) {
        (p0[j], p1[j], p2[j], p3[j]) = (four[0], four[1], four[2], four[3]);
    }
}

/// The same of four tiles at once, as far as there are four; gives how many that were. `row` and each of the phases hold
/// `tiles` of them.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn part_in_fours(row: &[f32], mut phases: [&mut [f32]; TILE], tiles: usize) -> usize {
    use std::arch::x86_64::{_MM_TRANSPOSE4_PS, _mm_loadu_ps, _mm_storeu_ps};
    let mut done = 0;
    while done + 4 <= tiles {
        // SAFETY: four tiles lie in `row` from here on, and four places in each of the phases; the instructions are
        // those that every processor of the kind has.
        unsafe {
            let from = row.as_ptr().add(TILE * done);
            let mut four: [_; TILE] = std::array::from_fn(|i| _mm_loadu_ps(from.add(TILE * i)));
            let [a, b, c, d] = &mut four;
            _MM_TRANSPOSE4_PS(a, b, c, d);
            for (phase, values) in phases.iter_mut().zip(four) {
                _mm_storeu_ps(phase.as_mut_ptr().add(done), values);
            }
        }
        done += 4;
    }
    done
}

/// Other processors take every tile by itself.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn part_in_fours(_: &[f32], _: [&mut [f32]; TILE], _: usize) -> usize {
    0
}

vectorised! {
    /// Mixes a row of the input, for each four outputs the six numbers that they see.
    fn mix_row(row: &[f32], phases: &mut [f32], mixes: &mut [&mut [f32]; MIXES]) {
        let tiles = mixes[0].len();
        let (p0, rest) = phases.split_at_mut(tiles + 1);
        let (p1, rest) = rest.split_at_mut(tiles + 1);
        let (p2, p3) = rest.split_at_mut(tiles + 1);
        part(row, [&mut *p0, &mut *p1, &mut *p2, &mut *p3]);
        let [m0, m1, m2, m3, m4, m5] = mixes;
        let (m0, m1, m2) = (&mut m0[..tiles], &mut m1[..tiles], &mut m2[..tiles]);
        let (m3, m4, m5) = (&mut m3[..tiles], &mut m4[..tiles], &mut m5[..tiles]);
        let (d4, d5) = (&p0[1..tiles + 1], &p1[1..tiles + 1]);
        let (d0, d1, d2, d3) = (&p0[..tiles], &p1[..tiles], &p2[..tiles], &p3[..tiles]);
        for j in 0..tiles {
            let (even, odd) = (d4[j] - 4.0 * d2[j], d3[j] - 4.0 * d1[j]);
            let (near, far) = (d4[j] - d2[j], 2.0 * (d3[j] - d1[j]));
            m0[j] = 4.0 * d0[j] - 5.0 * d2[j] + d4[j];
            m1[j] = even + odd;
            m2[j] = even - odd;
            m3[j] = near + far;
            m4[j] = near - far;
            m5[j] = 4.0 * d1[j] - 5.0 * d3[j] + d5[j];
        }
    }
}

/// A row of the output from the sums of its mixes; `row` is room for whole tiles.
fn unmix(sums: &[&[f32]; MIXES], bias: f32, row: &mut [f32], target: &mut [f32]) {
    match target.len() == sums[0].len() * TILE {
        true => unmix_row(sums, bias, target),
        false => {
            let whole = &mut row[..sums[0].len() * TILE];
            unmix_row(sums, bias, whole);
            target.copy_from_slice(&whole[..target.len()]);
        }
    }
}

vectorised! {
    /// Four outputs from each six sums.
    fn unmix_row(sums: &[&[f32]; MIXES], bias: f32, target: &mut [f32]) {
        let tiles = target.len() / TILE;
        let [m0, m1, m2, m3, m4, m5] = sums;
        let (m0, m1, m2) = (&m0[..tiles], &m1[..tiles], &m2[..tiles]);
        let (m3, m4, m5) = (&m3[..tiles], &m4[..tiles], &m5[..tiles]);
        for (j, four) in target.chunks_exact_mut(TILE).enumerate() {
            let (sum, difference) = (m1[j] + m2[j], m1[j] - m2[j]);
            let (far_sum, far_difference) = (m3[j] + m4[j], m3[j] - m4[j]);
            four[0] = m0[j] + sum + far_sum + bias;
            four[1] = difference + 2.0 * far_difference + bias;
            four[2] = sum + 4.0 * far_sum + bias;
            four[3] = difference + 8.0 * far_difference + m5[j] + bias;
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::{Winograd, pack};
    use crate::models::nn::Conv3dConfig;
    use crate::models::nn::conv::sums::Kernel;

    #[test]
    fn every_set_of_instructions_finds_the_same_sums() {
        let dev = Device::Cpu;
        for (outputs, width) in [(13, 70), (16, 9), (17, 32), (4, 21)] {
            let x = Tensor::randn(0f32, 1.0, (2, 5, 4, 11, width), &dev).unwrap();
            let weight = Tensor::randn(0f32, 0.2, (outputs, 5, 3, 3, 3), &dev).unwrap();
            let bias = Tensor::randn(0f32, 1.0, outputs, &dev).unwrap();
            let weight = pack(&weight).unwrap();
            let sums = |kernel| {
                let mut op = Winograd::new(Conv3dConfig::CAUSAL_3, 2, [4, 11, width], outputs);
                op.kernel = kernel;
                let sums = x.apply_op3_no_bwd(&weight, &bias, &op).unwrap();
                sums.flatten_all().unwrap().to_vec1::<f32>().unwrap()
            };
            let plain = sums(Kernel::Plain);
            for kernel in Kernel::all() {
                for (a, b) in plain.iter().zip(sums(kernel)) {
                    assert!((a - b).abs() < 4e-5, "{kernel:?}: {a} and {b}");
                }
            }
        }
    }
}
