use super::heat::heat;
use super::rgb::RgbPicture;

/// How much of the picture's brightness is left under the colours.
const UNDER: f32 = 0.4;

/// Where in frames and space two velocities differ, for each step of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct DivergenceMaps {
    /// Latent frames, height and width.
    pub size: [usize; 3],
    /// The maps, one step after the other; relative to the large velocity's mean length.
    pub data: Vec<f32>,
}

impl DivergenceMaps {
    /// The map of one step, frames first, then rows.
    pub fn step(&self, step: usize) -> &[f32] {
        let values = self.size.iter().product::<usize>();
        self.data
            .get(step * values..(step + 1) * values)
            .unwrap_or_default()
    }

    /// The latent frame that a frame of a clip of so many comes from, where the VAE is causal in time: the
    /// first from the first, then as many from each of the others.
    pub fn latent_frame(&self, frame: usize, of: usize) -> usize {
        let last = self.size[0].saturating_sub(1);
        (frame * last)
            .div_ceil(of.saturating_sub(1).max(1))
            .min(last)
    }

    /// One frame of a step's map, row by row.
    pub(super) fn frame(&self, step: usize, frame: usize) -> Option<&[f32]> {
        let cells = self.size[1] * self.size[2];
        let map = self.step(step).get(frame * cells..(frame + 1) * cells)?;
        (cells > 0).then_some(map)
    }

    /// The picture with one frame of a step's map over it: its brightness, dimmed, and on top the colours of
    /// the map between nothing and the most that any step differs by.
    pub(super) fn over(
        &self,
        mut under: RgbPicture,
        step: usize,
        frame: usize,
    ) -> Option<RgbPicture> {
        let map = self.frame(step, frame)?;
        let [_, rows, columns] = self.size;
        let top = self.data.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
        let (width, height) = (under.width, under.height);
        let across: Vec<_> = (0..width).map(|x| between(x, width, columns)).collect();
        for (y, row) in under.rgb.chunks_exact_mut(3 * width.max(1)).enumerate() {
            let (above, below, down) = between(y, height, rows);
            for (pixel, (left, right, part)) in row.chunks_exact_mut(3).zip(&across) {
                let mix = |row: usize| {
                    let cells = &map[row * columns..];
                    cells[*left] * (1.0 - part) + cells[*right] * part
                };
                let value = mix(above) * (1.0 - down) + mix(below) * down;
                let grey = pixel.iter().map(|v| f32::from(*v)).sum::<f32>() / (3.0 * 255.0) * UNDER;
                for (level, colour) in pixel.iter_mut().zip(heat(value / top)) {
                    *level = ((grey + colour * (1.0 - grey)) * 255.0).round() as u8;
                }
            }
        }
        Some(under)
    }
}

/// The two cells that the middle of a pixel lies between, and how far it is on the way to the second.
fn between(pixel: usize, pixels: usize, cells: usize) -> (usize, usize, f32) {
    let place = (pixel as f32 + 0.5) * cells as f32 / pixels as f32 - 0.5;
    let place = place.clamp(0.0, (cells - 1) as f32);
    let first = place as usize;
    (first, (first + 1).min(cells - 1), place - first as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maps() -> DivergenceMaps {
        // Two steps of two frames of 1 x 2 cells.
        DivergenceMaps {
            size: [2, 1, 2],
            data: vec![0.0, 0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 1.0],
        }
    }

    #[test]
    fn frames_of_a_clip_know_their_latent_frame() {
        let maps = DivergenceMaps {
            size: [3, 1, 1],
            data: Vec::new(),
        };
        let found: Vec<_> = (0..9).map(|frame| maps.latent_frame(frame, 9)).collect();
        assert_eq!(found, [0, 1, 1, 1, 1, 2, 2, 2, 2]);
        assert_eq!(maps.latent_frame(0, 1), 0);
    }

    #[test]
    fn colours_lie_where_the_models_differ_and_the_picture_shows_elsewhere() {
        let under = || RgbPicture {
            width: 4,
            height: 1,
            rgb: vec![0, 0, 0, 255, 255, 255, 0, 0, 0, 0, 0, 0],
        };
        let bytes = |share: f32| heat(share).map(|v| (v * 255.0).round() as u8);
        let first = maps().over(under(), 1, 1).unwrap();
        assert_eq!(first.rgb[..3], [0, 0, 0]);
        assert_eq!(first.rgb[9..], bytes(1.0));
        // A quarter of the way to the second cell, over white; then three quarters, over black.
        assert!(first.rgb[3..6].iter().all(|level| *level >= 102));
        assert_eq!(first.rgb[6..9], bytes(0.75));
        let none = maps().over(under(), 0, 0).unwrap();
        assert_eq!(none.rgb[..6], [0, 0, 0, 102, 102, 102]);
        assert_eq!(maps().over(under(), 2, 0), None);
    }
}
