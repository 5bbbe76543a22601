use std::io;
use std::path::Path;

use image::{ImageFormat, RgbImage, imageops};

use crate::media::Clip;

/// Longer side in pixels: enough for a list on a screen of twice the usual density.
const SIDE_PX: usize = 192;

/// A small picture of a clip: its middle frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thumbnail {
    /// Width and height in pixels.
    pub size: [usize; 2],
    /// RGB, 8 bits a channel, rows packed.
    pub rgb: Vec<u8>,
}

impl Thumbnail {
    /// Of a clip; `None` of one without a sound frame.
    pub fn of(clip: &Clip) -> Option<Self> {
        let frame = clip.frames.get(clip.frames.len() / 2)?;
        let image = RgbImage::from_raw(clip.width as u32, clip.height as u32, frame.clone())?;
        let longer = clip.width.max(clip.height);
        if longer <= SIDE_PX {
            return Some(image.into());
        }
        let side = |px: usize| (px * SIDE_PX / longer).max(1) as u32;
        Some(imageops::thumbnail(&image, side(clip.width), side(clip.height)).into())
    }

    pub(super) fn read(path: &Path) -> Option<Self> {
        Some(image::open(path).ok()?.into_rgb8().into())
    }

    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let [width, height] = self.size.map(|side| side as u32);
        let colour = image::ExtendedColorType::Rgb8;
        image::save_buffer_with_format(path, &self.rgb, width, height, colour, ImageFormat::Png)
            .map_err(|why| match why {
                image::ImageError::IoError(why) => why,
                why => io::Error::other(why),
            })
    }
}

impl From<RgbImage> for Thumbnail {
    fn from(image: RgbImage) -> Self {
        Self {
            size: [image.width() as usize, image.height() as usize],
            rgb: image.into_raw(),
        }
    }
}
