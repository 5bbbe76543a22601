use std::path::Path;

use candle_core::{Device, Tensor};
use serde::Deserialize;

use super::resize::{Filter, resize};
use crate::models::ModelError;
use crate::models::loader::read_json;

/// More pixels to a side than any network here looks at.
const LARGEST_SIDE: usize = 1 << 12;

/// A picture in packed RGB, 8 bits a channel.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// `width * height * 3` bytes.
    pub rgb: &'a [u8],
}

/// What is done to a picture before a network sees it, by a folder's preprocessor_config.json.
#[derive(Clone, Debug)]
pub(super) struct Processor {
    size: Size,
    filter: Filter,
    /// Height and width.
    crop: Option<(usize, usize)>,
    factor: f64,
    mean: [f64; 3],
    std: [f64; 3],
}

/// The size that pictures are scaled to.
#[derive(Clone, Copy, Debug)]
enum Size {
    /// The shorter side, the other in proportion.
    Shorter(usize),
    /// Height and width.
    Both(usize, usize),
}

#[derive(Deserialize)]
struct File {
    #[serde(default = "yes")]
    do_resize: bool,
    size: Sides,
    resample: u64,
    #[serde(default = "yes")]
    do_center_crop: bool,
    crop_size: Option<Sides>,
    #[serde(default = "yes")]
    do_rescale: bool,
    rescale_factor: Option<f64>,
    #[serde(default = "yes")]
    do_normalize: bool,
    image_mean: Option<[f64; 3]>,
    image_std: Option<[f64; 3]>,
}

/// A size in one of the ways in which configs write it.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Sides {
    One(usize),
    Shorter { shortest_edge: usize },
    Both { height: usize, width: usize },
}

fn yes() -> bool {
    true
}

impl Processor {
    /// Reads preprocessor_config.json of a folder.
    pub(super) fn read(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join("preprocessor_config.json");
        let file: File = read_json(&path)?;
        Self::of(&file).map_err(|reason| ModelError::Config {
            path,
            reason,
            hint: "fetch the file again, or use a DINOv2 or CLIP model as transformers saves it"
                .into(),
        })
    }

    fn of(file: &File) -> Result<Self, String> {
        if !file.do_resize {
            return Err("do_resize is false, but clips come in any size".to_owned());
        }
        let size = match file.size {
            Sides::One(side) => Size::Shorter(side),
            Sides::Shorter { shortest_edge } => Size::Shorter(shortest_edge),
            Sides::Both { height, width } => Size::Both(height, width),
        };
        let crop = file.crop_size.filter(|_| file.do_center_crop);
        let crop = crop.map(|sides| match sides {
            Sides::One(side)
            | Sides::Shorter {
                shortest_edge: side,
            } => (side, side),
            Sides::Both { height, width } => (height, width),
        });
        let (height, width) = match size {
            Size::Shorter(side) => (side, side),
            Size::Both(height, width) => (height, width),
        };
        let in_range = |side: usize| (1..=LARGEST_SIDE).contains(&side);
        if !in_range(height) || !in_range(width) {
            return Err(format!("size is {height}x{width}"));
        }
        if let Some((h, w)) = crop
            && (h == 0 || w == 0 || h > height || w > width)
        {
            return Err(format!(
                "crop_size {h}x{w} does not fit size {height}x{width}"
            ));
        }
        let filter = Filter::of(file.resample)
            .ok_or_else(|| format!("resample {} is neither 2 nor 3", file.resample))?;
        let (mean, std) = match (file.do_normalize, file.image_mean, file.image_std) {
            (false, _, _) => ([0.0; 3], [1.0; 3]),
            (true, Some(mean), Some(std)) if std.iter().all(|value| *value > 0.0) => (mean, std),
            (true, ..) => return Err("image_mean or image_std is missing or 0".to_owned()),
        };
        let factor = match file.do_rescale {
            true => file.rescale_factor.unwrap_or(1.0 / 255.0),
            false => 1.0,
        };
        Ok(Self {
            size,
            filter,
            crop,
            factor,
            mean,
            std,
        })
    }

    /// Pictures of one size as `(pictures, 3, height, width)`, f32.
    pub(super) fn prepare(
        &self,
        pictures: &[Picture<'_>],
        device: &Device,
    ) -> Result<Tensor, ModelError> {
        let prepared: Vec<Tensor> = pictures
            .iter()
            .map(|picture| self.one(picture))
            .collect::<Result<_, _>>()?;
        Ok(Tensor::stack(&prepared, 0)?.to_device(device)?)
    }

    fn one(&self, picture: &Picture<'_>) -> Result<Tensor, ModelError> {
        let (width, height) = (picture.width, picture.height);
        if width == 0 || height == 0 || picture.rgb.len() != width * height * 3 {
            return Err(ModelError::Input {
                what: "a picture",
                found: vec![height, width, picture.rgb.len()],
                expected: "three bytes for every pixel".into(),
            });
        }
        let (wide, high) = match self.size {
            Size::Both(height, width) => (width, height),
            Size::Shorter(side) if width <= height => (side, side * height / width),
            Size::Shorter(side) => (side * width / height, side),
        };
        let scaled = resize(picture.rgb, (width, height), (wide, high), self.filter);
        let (h, w) = self.crop.unwrap_or((high, wide));
        let (top, left) = ((high - h) / 2, (wide - w) / 2);
        let mut values = Vec::with_capacity(3 * h * w);
        for channel in 0..3 {
            let (mean, std) = (self.mean[channel], self.std[channel]);
            for y in top..top + h {
                let row = &scaled[3 * (y * wide + left)..][..3 * w];
                let levels = row.iter().skip(channel).step_by(3);
                values.extend(
                    levels.map(|level| ((f64::from(*level) * self.factor - mean) / std) as f32),
                );
            }
        }
        Ok(Tensor::from_vec(values, (3, h, w), &Device::Cpu)?)
    }

    /// Height and width of what a network sees of a picture, where every picture gives the same.
    pub(super) fn output(&self) -> Option<(usize, usize)> {
        match (self.crop, self.size) {
            (Some(crop), _) => Some(crop),
            (None, Size::Both(height, width)) => Some((height, width)),
            (None, Size::Shorter(_)) => None,
        }
    }
}
