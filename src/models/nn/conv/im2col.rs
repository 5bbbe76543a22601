use std::cell::RefCell;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape};
use rayon::prelude::*;

use super::super::cpu;
use super::Conv3dConfig;

/// The CPU form: each task takes a band of rows, copies every input frame's patches under it into
/// columns once, and multiplies them with each of the kernel's frames that sees them.
pub(super) struct Im2Col {
    config: Conv3dConfig,
    past: usize,
    size: [usize; 3],
}

impl Im2Col {
    /// The operation for inputs with `past` frames of zeros before them and outputs of `size`,
    /// frames, height and width.
    pub(super) fn new(config: Conv3dConfig, past: usize, size: [usize; 3]) -> Self {
        Self { config, past, size }
    }
}

thread_local! {
    /// The columns of the band a thread is working on.
    static COLUMNS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Output positions in a band: enough to feed the matrix product, few enough for the cache.
const BAND: usize = 768;

/// Output frames a task computes: more save copying, fewer spread the work.
const RUN: usize = 8;

impl CustomOp3 for Im2Col {
    fn name(&self) -> &'static str {
        "causal-conv3d"
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
        let outputs = weight_layout.shape().dims3()?.1;
        let [out_frames, out_height, out_width] = self.size;
        let plane = out_height * out_width;
        let frame_input = Frame {
            data: cpu::slice(x, x_layout)?,
            size: [inputs, frames, height, width],
            config: self.config,
        };
        let weight = cpu::slice(weight, weight_layout)?;
        let bias = cpu::slice(bias, bias_layout)?;
        let [kernel_t, kernel_h, kernel_w] = self.config.kernel;
        let depth = inputs * kernel_h * kernel_w;

        let mut out = Vec::with_capacity(batch * outputs * out_frames * plane);
        for _ in 0..batch {
            for &bias in bias {
                out.resize(out.len() + out_frames * plane, bias);
            }
        }
        let shared = cpu::Shared::new(&mut out);
        let rows = (BAND / out_width.max(1)).clamp(1, out_height.max(1));
        let bands = out_height.div_ceil(rows);
        let runs = out_frames.div_ceil(RUN);
        (0..batch * runs * bands).into_par_iter().for_each(|task| {
            let (item, run, band) = (task / (runs * bands), task / bands % runs, task % bands);
            let (first, last) = (run * RUN, (run * RUN + RUN).min(out_frames));
            let top = band * rows;
            let rows = rows.min(out_height - top);
            let positions = rows * out_width;
            COLUMNS.with_borrow_mut(|columns| {
                columns.resize(depth * positions, 0.0);
                let stride = self.config.stride[0];
                // Frames are counted with the zeros before the first; those add nothing.
                let seen = first * stride..(last - 1) * stride + kernel_t;
                for padded in seen.start.max(self.past)..seen.end {
                    let mut copied = false;
                    for frame in first..last {
                        let Some(kt) = padded.checked_sub(frame * stride) else {
                            break;
                        };
                        if kt >= kernel_t {
                            continue;
                        }
                        if !copied {
                            let source = (item, padded - self.past);
                            frame_input.columns(source, (top, rows), out_width, columns);
                            copied = true;
                        }
                        let start = (item * outputs * out_frames + frame) * plane + top * out_width;
                        // SAFETY: a task owns its band of rows in its run of frames, in every
                        // output channel; the weight's slice is (outputs, depth).
                        unsafe {
                            cpu::gemm(
                                (outputs, positions, depth),
                                (shared.at(start), out_frames * plane, 1),
                                true,
                                cpu::Mat(weight.as_ptr().add(kt * outputs * depth), depth, 1),
                                cpu::Mat(columns.as_ptr(), positions, 1),
                                1,
                            );
                        }
                    }
                }
            });
        });
        cpu::output(out, (batch, outputs, out_frames, out_height, out_width))
    }
}

/// The input of a convolution, `(B, C, T, H, W)`.
struct Frame<'a> {
    data: &'a [f32],
    /// Channels, frames, height, width.
    size: [usize; 4],
    config: Conv3dConfig,
}

impl Frame<'_> {
    /// Copies the patches of one frame under the output rows `top..top + rows` into `columns`,
    /// `(channels * kernel height * kernel width, rows * out_width)`.
    fn columns(
        &self,
        (item, frame): (usize, usize),
        (top, rows): (usize, usize),
        out_width: usize,
        columns: &mut [f32],
    ) {
        let [channels, frames, height, width] = self.size;
        let [_, kernel_h, kernel_w] = self.config.kernel;
        let [_, stride_h, stride_w] = self.config.stride;
        let before = self.config.border[0];
        let mut lines = columns.chunks_exact_mut(out_width);
        for channel in 0..channels {
            let start = ((item * channels + channel) * frames + frame) * height * width;
            let image = &self.data[start..start + height * width];
            for ky in 0..kernel_h {
                for kx in 0..kernel_w {
                    for row in top..top + rows {
                        let Some(line) = lines.next() else { return };
                        let y = (row * stride_h + ky).wrapping_sub(before);
                        if y >= height {
                            line.fill(0.0);
                            continue;
                        }
                        let source = &image[y * width..(y + 1) * width];
                        gather(source, kx, before, stride_w, line);
                    }
                }
            }
        }
    }
}

/// `line[i] = source[i * stride + kx - before]`, zero outside the source.
fn gather(source: &[f32], kx: usize, before: usize, stride: usize, line: &mut [f32]) {
    // The outputs whose source lies inside: i * stride + kx >= before, and < before + width.
    let start = before.saturating_sub(kx).div_ceil(stride).min(line.len());
    let end = (before + source.len())
        .saturating_sub(kx)
        .div_ceil(stride)
        .clamp(start, line.len());
    line[..start].fill(0.0);
    line[end..].fill(0.0);
    if start == end {
        return;
    }
    let source = &source[start * stride + kx - before..];
    if stride == 1 {
        line[start..end].copy_from_slice(&source[..end - start]);
    } else {
        for (out, value) in line[start..end]
            .iter_mut()
            .zip(source.iter().step_by(stride))
        {
            *out = *value;
        }
    }
}
