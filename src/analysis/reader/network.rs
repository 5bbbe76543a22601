use std::path::Path;

use candle_core::{D, Device, Tensor};
use candle_nn::ops::softmax_last_dim;

use super::tensors::Tensors;
use super::{ColourReading, ReaderSpec, Reading};
use crate::analysis::AnalysisError;
use crate::media::Clip;
use crate::models::nn::{Conv3d, Conv3dConfig, Linear};

/// Channels of the feature map that all answers are read off.
const FEATURES: usize = 96;
/// What an object's features add to the channels: where it is across and down, and how clearly.
const PLACE: usize = 3;

/// A convolution of the trunk; as in the models, time is causal: its kernel's frames but one lie in the
/// past.
struct Layer {
    name: &'static str,
    channels: (usize, usize),
    kernel: [usize; 3],
    stride: [usize; 3],
}

/// The trunk's first five convolutions, each with a ReLU.
const TRUNK: [Layer; 5] = [
    Layer {
        name: "conv1",
        channels: (3, 16),
        kernel: [1, 5, 5],
        stride: [2, 2, 2],
    },
    Layer {
        name: "conv2",
        channels: (16, 32),
        kernel: [1, 3, 3],
        stride: [1, 2, 2],
    },
    Layer {
        name: "conv3",
        channels: (32, 64),
        kernel: [3, 3, 3],
        stride: [1, 2, 2],
    },
    Layer {
        name: "conv4",
        channels: (64, 64),
        kernel: [1, 3, 3],
        stride: [1, 1, 1],
    },
    Layer {
        name: "conv5",
        channels: (64, FEATURES),
        kernel: [3, 3, 3],
        stride: [2, 1, 1],
    },
];

/// The network. Convolutions turn a clip into a coarse map; for each colour a soft look-up finds, frame
/// by frame, where an object of it is, and two layers that all colours share tell what it is and does.
/// The background is read off the mean of the map.
#[derive(Debug)]
pub struct Reader {
    spec: ReaderSpec,
    trunk: Vec<Conv3d>,
    /// Its result is added to its input.
    last: Conv3d,
    look: Linear,
    hidden: [Linear; 2],
    present: Linear,
    shape: Linear,
    motion: Linear,
    size: Linear,
    ground: Linear,
    background: Linear,
    pattern: Linear,
    /// Mean and deviation of the embedding over drawn clips, `(frames * FEATURES,)` each.
    embed: [Tensor; 2],
    /// Centres of the map's cells, across and down in -1..=1, `(cells, 2)`.
    centres: Tensor,
}

impl Reader {
    /// Loads `reader.json` and `reader.safetensors` of a folder.
    pub fn load(folder: &Path) -> Result<Self, AnalysisError> {
        let spec = ReaderSpec::read(&folder.join("reader.json"))?;
        let tensors = Tensors::read(&folder.join("reader.safetensors"))?;
        Self::from_parts(spec, &tensors)
    }

    fn from_parts(spec: ReaderSpec, tensors: &Tensors) -> Result<Self, AnalysisError> {
        let [frames, rows, columns] = spec.cells();
        let looks = spec.colours.len();
        // A convolution of one pixel is a layer over the channels.
        let look_weight = tensors
            .take("look.weight", &[looks, FEATURES, 1, 1, 1])?
            .reshape((looks, FEATURES))?;
        let look_bias = tensors.take("look.bias", &[looks])?;
        let heads = |name, outputs| tensors.linear(name, 128, outputs);
        Ok(Self {
            trunk: TRUNK
                .iter()
                .map(|layer| {
                    let (inputs, outputs) = layer.channels;
                    tensors.conv(layer.name, inputs, outputs, layer.config())
                })
                .collect::<Result<_, _>>()?,
            last: tensors.conv("conv6", FEATURES, FEATURES, Conv3dConfig::FRAME_3)?,
            look: Linear::new(look_weight, Some(look_bias))?,
            hidden: [
                tensors.linear("hidden1", frames * (FEATURES + PLACE), 256)?,
                tensors.linear("hidden2", 256, 128)?,
            ],
            present: heads("present", 1)?,
            shape: heads("shape", spec.shapes.len())?,
            motion: heads("motion", spec.motions.len())?,
            size: heads("size", spec.sizes.len())?,
            ground: tensors.linear("ground", FEATURES, 64)?,
            background: tensors.linear("background", 64, spec.backgrounds.len())?,
            pattern: tensors.linear("pattern", 64, spec.patterns.len())?,
            embed: [
                tensors.take("embed.mean", &[frames * FEATURES])?,
                tensors.take("embed.std", &[frames * FEATURES])?,
            ],
            centres: centres(rows, columns)?,
            spec,
        })
    }

    /// What it was trained on and the names of its answers.
    pub fn spec(&self) -> &ReaderSpec {
        &self.spec
    }

    /// Refuses clips of a size it was not trained on, given as width, height and frames.
    pub fn check_size(&self, found: (usize, usize, usize)) -> Result<(), AnalysisError> {
        let needed = (self.spec.width, self.spec.height, self.spec.frames);
        if found == needed {
            return Ok(());
        }
        let text = |(w, h, f): (usize, usize, usize)| format!("{w}x{h}x{f}");
        Err(AnalysisError::ReaderSize {
            needed: text(needed),
            found: text(found),
        })
    }

    /// Reads a clip.
    pub fn read(&self, clip: &Clip) -> Result<Reading, AnalysisError> {
        self.check_size((clip.width, clip.height, clip.frames.len()))?;
        let map = self.map(&pixels(clip)?)?;
        let things = self.things(&map)?;
        let rows = |layer: &Linear| layer.forward(&things)?.to_vec2::<f32>();
        let (present, shape) = (rows(&self.present)?, rows(&self.shape)?);
        let (motion, size) = (rows(&self.motion)?, rows(&self.size)?);
        let colours = present
            .into_iter()
            .zip(shape)
            .zip(motion)
            .zip(size)
            .map(|(((present, shape), motion), size)| ColourReading {
                present: present[0],
                shape,
                motion,
                size,
            })
            .collect();
        let ground = map.mean((0, 1))?.unsqueeze(0)?;
        let ground = self.ground.forward(&ground)?.relu()?;
        let answer = |layer: &Linear| layer.forward(&ground)?.squeeze(0)?.to_vec1::<f32>();
        let [mean, deviation] = &self.embed;
        let embedding = ((map.mean(1)?.flatten_all()? - mean)? / deviation)?;
        Ok(Reading {
            colours,
            background: answer(&self.background)?,
            pattern: answer(&self.pattern)?,
            embedding: embedding.to_vec1::<f32>()?,
        })
    }

    /// `(1, 3, T, H, W)` to the feature map, `(frames, cells, FEATURES)`.
    fn map(&self, pixels: &Tensor) -> candle_core::Result<Tensor> {
        let mut x = pixels.clone();
        for conv in &self.trunk {
            x = conv.forward(&x, 0)?.relu()?;
        }
        let x = (&x + self.last.forward(&x, 0)?.relu()?)?;
        x.squeeze(0)?
            .flatten_from(2)?
            .permute((1, 2, 0))?
            .contiguous()
    }

    /// What the hidden layers make of each colour's object: the map to `(colours, 128)`.
    fn things(&self, map: &Tensor) -> candle_core::Result<Tensor> {
        let (frames, cells, _) = map.dims3()?;
        let looks = self.spec.colours.len();
        // (frames, colours, cells): how much each cell looks like an object of the colour.
        let logits = self.look.forward(map)?.transpose(1, 2)?.contiguous()?;
        let weights = softmax_last_dim(&logits)?;
        let seen = weights.matmul(map)?;
        let place = weights
            .reshape((frames * looks, cells))?
            .matmul(&self.centres)?
            .reshape((frames, looks, 2))?;
        // 0 where all cells are alike, whatever the map's size.
        let clear = (logits.log_sum_exp(D::Minus1)? - (cells as f64).ln())?.unsqueeze(D::Minus1)?;
        let found = Tensor::cat(&[seen, place, clear], D::Minus1)?
            .transpose(0, 1)?
            .flatten_from(1)?;
        let mut x = found;
        for layer in &self.hidden {
            x = layer.forward(&x)?.relu()?;
        }
        Ok(x)
    }
}

impl Layer {
    /// Pads as far as the kernel reaches, in time to the past only.
    fn config(&self) -> Conv3dConfig {
        Conv3dConfig {
            kernel: self.kernel,
            stride: self.stride,
            past: self.kernel[0] - 1,
            border: [self.kernel[1] / 2; 2],
        }
    }
}

/// The centres of the cells of `rows` x `columns`, row by row, as `(cells, 2)`: across, then down.
fn centres(rows: usize, columns: usize) -> candle_core::Result<Tensor> {
    let centre = |i: usize, of: usize| (2 * i + 1) as f32 / of as f32 - 1.0;
    let values: Vec<f32> = (0..rows)
        .flat_map(|y| (0..columns).flat_map(move |x| [centre(x, columns), centre(y, rows)]))
        .collect();
    Tensor::from_vec(values, (rows * columns, 2), &Device::Cpu)
}

/// A clip as `(1, 3, T, H, W)`, RGB in -0.5..=0.5.
fn pixels(clip: &Clip) -> candle_core::Result<Tensor> {
    let (width, height, frames) = (clip.width, clip.height, clip.frames.len());
    let values: Vec<f32> = clip
        .frames
        .iter()
        .flatten()
        .map(|level| f32::from(*level) / 255.0 - 0.5)
        .collect();
    let pixels = Tensor::from_vec(values, (1, frames, height, width, 3), &Device::Cpu)?;
    pixels.permute((0, 4, 1, 2, 3))?.contiguous()
}
