use std::io::Cursor;
use std::path::Path;

use image::{ImageFormat, RgbImage, imageops};
use plotters::prelude::{BitMapBackend, IntoDrawingArea as _, SVGBackend};

use super::draw::{draw, size};
use super::{Figure, PlotError};
use crate::project::{AtomicFile, write_bytes_atomic};

/// Pixels of a PNG for one of the figure's own, so that it stays sharp in print and on dense screens.
const PNG_SCALE: u16 = 2;
/// The library draws without smoothing most edges, so that a PNG is drawn this many times larger and
/// averaged.
const SMOOTHING: u16 = 3;

/// What a plot is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlotFormat {
    /// Pixels.
    Png,
    /// Shapes and words.
    Svg,
}

impl PlotFormat {
    /// The format of a file by the ending of its name.
    pub fn of(path: &Path) -> Result<Self, PlotError> {
        let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
        match ending.as_ref().and_then(|ending| ending.to_str()) {
            Some("png") => Ok(Self::Png),
            Some("svg") => Ok(Self::Svg),
            _ => Err(PlotError::UnknownFormat(path.to_owned())),
        }
    }

    /// Refuses, before anything is measured, a file that [`Figure::write`] could not write.
    pub fn check_target(path: &Path, overwrite: bool) -> Result<(), PlotError> {
        Self::of(path)?;
        Ok(AtomicFile::create(path, overwrite).map(drop)?)
    }
}

impl Figure {
    /// Draws it into a file, whole or not at all; the name's ending chooses the format.
    ///
    /// # Errors
    /// A sentence where the ending is none of a picture, the file exists and `overwrite` is not set, or the
    /// disk refuses.
    pub fn write(&self, path: &Path, overwrite: bool) -> Result<(), PlotError> {
        let bytes = match PlotFormat::of(path)? {
            PlotFormat::Png => self.to_png()?,
            PlotFormat::Svg => self.to_svg()?.into_bytes(),
        };
        Ok(write_bytes_atomic(path, overwrite, &bytes)?)
    }

    /// The figure as shapes and words.
    pub fn to_svg(&self) -> Result<String, PlotError> {
        let mut svg = String::new();
        let area = SVGBackend::with_string(&mut svg, size(self, 1)).into_drawing_area();
        draw(self, &area, 1)?;
        drop(area);
        Ok(svg)
    }

    fn to_png(&self) -> Result<Vec<u8>, PlotError> {
        let fault = |why: String| PlotError::Draw(why);
        let (width, height) = size(self, PNG_SCALE * SMOOTHING);
        let mut pixels = vec![0; (width * height * 3) as usize];
        let area = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
        draw(self, &area, PNG_SCALE * SMOOTHING)?;
        drop(area);
        let large = RgbImage::from_raw(width, height, pixels)
            .ok_or_else(|| fault("its pixels do not fill it".to_owned()))?;
        let (width, height) = size(self, PNG_SCALE);
        let picture = imageops::thumbnail(&large, width, height);
        let mut png = Cursor::new(Vec::new());
        picture
            .write_to(&mut png, ImageFormat::Png)
            .map_err(|why| fault(why.to_string()))?;
        Ok(png.into_inner())
    }
}
