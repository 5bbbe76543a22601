use candle_core::{Device, Result};

use super::{PACE, Pipeline, SIDE};
use crate::models::nn::Rope3d;

/// Seconds and pixels that the angles are relative to, and the base of their frequencies
/// (`LTXVideoRotaryPosEmbed` in diffusers).
const BASE_SECS: f32 = 20.0;
const BASE_PIXELS: f32 = 2048.0;
const THETA: f32 = 10_000.0;

/// What the angles of a clip's tokens depend on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Positions {
    /// Latent frames, rows and columns.
    pub(super) grid: (usize, usize, usize),
    /// Frames of video a second.
    pub(super) frame_rate: f64,
    /// Where in time a token lies.
    pub(super) pipeline: Pipeline,
}

impl Positions {
    /// The rotation of tokens of `dim` channels, all heads together.
    ///
    /// A token's place, in seconds and pixels relative to the bases, is moved to -1..1 and turned
    /// by `dim / 6` frequencies from 1 to theta quarter turns, the three axes side by side; channels
    /// left over stand first and are not turned. Everything is f32 as in the reference: at the
    /// highest frequency that leaves three digits of the angle, which the models were trained with.
    pub(super) fn rope(&self, dim: usize, device: &Device) -> Result<Rope3d> {
        Rope3d::from_angles(&self.angles(dim), self.tokens(), device)
    }

    fn tokens(&self) -> usize {
        self.grid.0 * self.grid.1 * self.grid.2
    }

    fn angles(&self, dim: usize) -> Vec<f32> {
        let frequencies = frequencies(dim / 6);
        let still = dim / 2 - 3 * frequencies.len();
        let (frames, rows, columns) = self.grid;
        let sides = |count: usize| -> Vec<f32> {
            (0..count)
                .map(|i| i as f32 * SIDE as f32 / BASE_PIXELS)
                .collect()
        };
        let (times, ys, xs) = (self.times(frames), sides(rows), sides(columns));
        let mut angles = Vec::with_capacity(self.tokens() * (dim / 2));
        for t in &times {
            for y in &ys {
                for x in &xs {
                    angles.extend(std::iter::repeat_n(0.0, still));
                    for frequency in &frequencies {
                        angles.extend([t, y, x].map(|place| frequency * (place * 2.0 - 1.0)));
                    }
                }
            }
        }
        angles
    }

    /// The place in time of each latent frame, relative to the base.
    fn times(&self, frames: usize) -> Vec<f32> {
        match self.pipeline {
            Pipeline::Text => {
                let secs = (PACE as f64 / self.frame_rate) as f32;
                (0..frames).map(|i| i as f32 * secs / BASE_SECS).collect()
            }
            Pipeline::Condition => {
                let secs = (1.0 / self.frame_rate) as f32;
                (0..frames)
                    .map(|i| (PACE * i + 1).saturating_sub(PACE) as f32 * secs / BASE_SECS)
                    .collect()
            }
        }
    }
}

/// Frequencies in a geometric row from a quarter turn to theta quarter turns.
fn frequencies(count: usize) -> Vec<f32> {
    // torch.linspace rounds its step to f32, works from both ends towards the middle and rounds
    // each value once.
    let step = f64::from(1.0 / count.saturating_sub(1).max(1) as f32);
    (0..count)
        .map(|i| {
            let exponent = if i < count / 2 || count == 1 {
                step * i as f64
            } else {
                1.0 - step * (count - i - 1) as f64
            };
            THETA.powf(exponent as f32) * std::f32::consts::PI / 2.0
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use candle_core::Device;

    use super::{Pipeline, Positions};

    /// The last token's cosines and sines at the real widths, as diffusers has them.
    #[test]
    fn angles_are_those_of_diffusers() {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ltx/rope.safetensors");
        let want = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
        for (pipeline, infix) in [(Pipeline::Text, ""), (Pipeline::Condition, "condition.")] {
            for dim in [2048, 4096] {
                let positions = Positions {
                    grid: (3, 5, 7),
                    frame_rate: 25.0,
                    pipeline,
                };
                let angles = positions.angles(dim);
                let last = &angles[angles.len() - dim / 2..];
                let row = |name: &str| {
                    let tensor = &want[&format!("{dim}.{infix}{name}")];
                    let tensor = tensor.to_dtype(candle_core::DType::F32).unwrap();
                    tensor.to_vec1::<f32>().unwrap()
                };
                let (mut sum, mut worst) = (0.0f64, 0.0f64);
                for ((angle, cos), sin) in last.iter().zip(row("cos")).zip(row("sin")) {
                    let (s, c) = f64::from(*angle).sin_cos();
                    let off = (c - f64::from(cos)).hypot(s - f64::from(sin));
                    sum += off;
                    worst = worst.max(off);
                }
                let mean = sum / last.len() as f64;
                println!("{pipeline:?} {dim}: mean {mean:.1e}, worst {worst:.1e}");
                // One unit in the last place of the highest frequency's angle is 1e-3.
                assert!(
                    worst < 2e-3 && mean < 1e-5,
                    "mean {mean:.1e}, worst {worst:.1e}"
                );
            }
        }
    }

    #[test]
    fn channels_left_over_are_not_turned() {
        let positions = Positions {
            grid: (1, 1, 2),
            frame_rate: 25.0,
            pipeline: Pipeline::Text,
        };
        // 20 channels: three frequencies on each axis, and one pair left over.
        let angles = positions.angles(20);
        assert_eq!(angles.len(), 20);
        assert_eq!((angles[0], angles[10]), (0.0, 0.0));
        assert_eq!(angles[1], -std::f32::consts::FRAC_PI_2);
    }
}
