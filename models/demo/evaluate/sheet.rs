use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use flowblend::media::Clip;
use flowblend::project::{AtomicError, write_atomic};
use image::{ImageFormat, Rgb, RgbImage};

/// Of how many frames one is shown.
const EVERY: usize = 3;
/// Pixels between pictures.
const GAP: usize = 2;

/// Contact sheets: a PNG a prompt, a row a clip.
#[derive(Clone, Debug)]
pub struct Sheets {
    /// Where they go.
    pub folder: PathBuf,
    /// Prompts that they are made of.
    pub count: usize,
    /// Whether they may replace files.
    pub overwrite: bool,
}

impl Sheets {
    /// Makes the folder.
    pub fn prepare(&self) -> Result<()> {
        std::fs::create_dir_all(&self.folder).with_context(|| {
            format!(
                "the folder {} cannot be made; choose another for --clips",
                self.folder.display()
            )
        })
    }

    /// Writes the sheet of prompt `index`, clips of one size as its rows.
    pub fn write(&self, index: usize, rows: &[Arc<Clip>]) -> Result<()> {
        let file = self.folder.join(format!("{index:03}.png"));
        let sheet = draw(rows);
        write_atomic(&file, self.overwrite, |temporary| {
            sheet
                .save_with_format(temporary, ImageFormat::Png)
                .map_err(|why| AtomicError::from_io(&file, std::io::Error::other(why)))
        })?;
        Ok(())
    }
}

fn draw(rows: &[Arc<Clip>]) -> RgbImage {
    let (width, height) = rows
        .first()
        .map_or((0, 0), |clip| (clip.width, clip.height));
    let columns = rows
        .iter()
        .map(|clip| clip.frames.len().div_ceil(EVERY))
        .max();
    let side = |pixels: usize, count: usize| (count * (pixels + GAP) + GAP) as u32;
    let mut sheet = RgbImage::from_pixel(
        side(width, columns.unwrap_or(0)),
        side(height, rows.len()),
        Rgb([255; 3]),
    );
    for (row, clip) in rows.iter().enumerate() {
        for (column, frame) in clip.frames.iter().step_by(EVERY).enumerate() {
            for (i, rgb) in frame.chunks_exact(3).enumerate() {
                let x = GAP + column * (width + GAP) + i % width;
                let y = GAP + row * (height + GAP) + i / width;
                sheet.put_pixel(x as u32, y as u32, Rgb([rgb[0], rgb[1], rgb[2]]));
            }
        }
    }
    sheet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_third_frame_lies_in_its_place() {
        let clip = |level: u8| {
            Arc::new(Clip {
                width: 4,
                height: 2,
                fps: 1.0,
                frames: (0..7).map(|t| vec![level + t; 24]).collect(),
            })
        };
        let sheet = draw(&[clip(10), clip(100)]);
        assert_eq!(sheet.dimensions(), (3 * 6 + 2, 2 * 4 + 2));
        assert_eq!(sheet.get_pixel(0, 0).0, [255; 3]);
        assert_eq!(sheet.get_pixel(2, 2).0, [10; 3]);
        assert_eq!(sheet.get_pixel(8, 3).0, [13; 3]);
        assert_eq!(sheet.get_pixel(17, 7).0, [106; 3]);
    }
}
