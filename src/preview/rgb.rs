//! What `shaders/` compute, on the CPU: the reference they are tested against, and the way to draw
//! where there is no GPU renderer.

use super::latent::{LatentFrames, RgbFactors};

/// A picture with 8 bits a channel, rows packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RgbPicture {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `width * height * 3` bytes.
    pub rgb: Vec<u8>,
}

/// How a picture is scaled. The order is the shader's `mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Filter {
    /// Each pixel shows one texel: what the clip really holds.
    Nearest,
    /// Straight lines between texels.
    #[default]
    Linear,
    /// Catmull-Rom curves between texels: smooth where few texels cover much of the screen, as in
    /// latents.
    Cubic,
}

impl Filter {
    /// Every filter, in the order menus show them.
    pub const ALL: [Self; 3] = [Self::Nearest, Self::Linear, Self::Cubic];

    /// The word menus show.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nearest => "Nearest",
            Self::Linear => "Linear",
            Self::Cubic => "Cubic",
        }
    }
}

/// Latent frame `frame` as a picture with one pixel a cell: the channels times the factors, plus the
/// bias, clamped to 0..=1. Channels without factors add nothing.
///
/// `None` when there is no such frame or the buffer does not have the size it states.
pub fn latent_to_rgb(latents: &LatentFrames, map: &RgbFactors, frame: usize) -> Option<RgbPicture> {
    if !is_sound(latents, frame) {
        return None;
    }
    let cells = latents.width * latents.height;
    let mut sums = vec![map.bias; cells];
    for (channel, factors) in map.factors.iter().enumerate().take(latents.channels) {
        let start = (channel * latents.frames + frame) * cells;
        for (sum, value) in sums.iter_mut().zip(&latents.data[start..start + cells]) {
            for (sum, factor) in sum.iter_mut().zip(factors) {
                *sum += value * factor;
            }
        }
    }
    Some(RgbPicture {
        width: latents.width,
        height: latents.height,
        rgb: sums.iter().flatten().map(|&v| to_byte(v)).collect(),
    })
}

/// Whether frame `frame` exists and can be read.
pub(super) fn is_sound(latents: &LatentFrames, frame: usize) -> bool {
    let sides = [
        latents.channels,
        latents.frames,
        latents.height,
        latents.width,
    ];
    let values = sides
        .iter()
        .try_fold(1usize, |n, &side| n.checked_mul(side));
    frame < latents.frames && values.is_some_and(|n| n > 0 && n == latents.data.len())
}

/// Draws `picture` into a target of `size_px` (columns, rows): its upper left corner at `origin_px`,
/// scaled to `drawn_px`, in pixels of the target. `None` where the picture does not reach.
pub fn blit(
    picture: &RgbPicture,
    size_px: [usize; 2],
    origin_px: [f32; 2],
    drawn_px: [f32; 2],
    filter: Filter,
) -> Vec<Option<[u8; 3]>> {
    let pixel = |index: usize| {
        let centre = [
            (index % size_px[0]) as f32 + 0.5,
            (index / size_px[0]) as f32 + 0.5,
        ];
        let share: [f32; 2] = std::array::from_fn(|i| (centre[i] - origin_px[i]) / drawn_px[i]);
        if share.iter().any(|s| !(0.0..1.0).contains(s)) {
            return None;
        }
        let at = [
            share[0] * picture.width as f32,
            share[1] * picture.height as f32,
        ];
        let colour = match filter {
            Filter::Nearest => texel(picture, at[0].floor() as isize, at[1].floor() as isize),
            Filter::Linear => weighted::<2>(picture, at, 0, |t| [1.0 - t, t]),
            Filter::Cubic => weighted::<4>(picture, at, -1, catmull_rom),
        };
        Some(colour.map(to_byte))
    };
    (0..size_px[0] * size_px[1]).map(pixel).collect()
}

/// Sum of `N` by `N` texels, the first `first` texels from the one left and above of `at`.
fn weighted<const N: usize>(
    picture: &RgbPicture,
    at: [f32; 2],
    first: isize,
    weights: impl Fn(f32) -> [f32; N],
) -> [f32; 3] {
    let base = at.map(|v| (v - 0.5).floor());
    let [across, down] = [0, 1].map(|i| weights(at[i] - 0.5 - base[i]));
    let [left, top] = base.map(|v| v as isize + first);
    let mut colour = [0.0; 3];
    for (y, weight_y) in (top..).zip(down) {
        for (x, weight_x) in (left..).zip(across) {
            for (sum, value) in colour.iter_mut().zip(texel(picture, x, y)) {
                *sum += weight_y * weight_x * value;
            }
        }
    }
    colour
}

/// Weights of the four texels around a point a share `t` beyond the second one.
fn catmull_rom(t: f32) -> [f32; 4] {
    let (t2, t3) = (t * t, t * t * t);
    [
        2.0 * t2 - t - t3,
        3.0 * t3 - 5.0 * t2 + 2.0,
        4.0 * t2 - 3.0 * t3 + t,
        t3 - t2,
    ]
    .map(|w| 0.5 * w)
}

/// The texel nearest to a position that may lie outside.
fn texel(picture: &RgbPicture, x: isize, y: isize) -> [f32; 3] {
    let clamp = |v: isize, side: usize| v.clamp(0, side as isize - 1) as usize;
    let start = (clamp(y, picture.height) * picture.width + clamp(x, picture.width)) * 3;
    std::array::from_fn(|c| f32::from(picture.rgb[start + c]) / 255.0)
}

fn to_byte(value: f32) -> u8 {
    (value.clamp(0.0, 1.0) * 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latents(channels: usize, frames: usize, data: Vec<f32>) -> LatentFrames {
        LatentFrames {
            step: 0,
            channels,
            frames,
            height: 1,
            width: 2,
            data: data.into(),
        }
    }

    #[test]
    fn the_map_is_affine_and_clamped() {
        let map = RgbFactors {
            factors: vec![[1.0, 0.0, -1.0], [0.0, 0.5, 0.0]],
            bias: [0.0, 0.25, 1.0],
        };
        // Channel, frame, row, column: frame 1 holds 0.5 and 2 in channel 0, 1 and -1 in channel 1.
        let frames = latents(2, 2, vec![9.0, 9.0, 0.5, 2.0, 9.0, 9.0, 1.0, -1.0]);
        let picture = latent_to_rgb(&frames, &map, 1).unwrap();
        assert_eq!(picture.rgb, [128, 191, 128, 255, 0, 0]);
        assert!(latent_to_rgb(&frames, &map, 2).is_none());
    }

    #[test]
    fn unsound_buffers_are_refused() {
        let map = RgbFactors::first_channels(2);
        assert!(latent_to_rgb(&latents(2, 2, vec![0.0; 7]), &map, 0).is_none());
        assert!(latent_to_rgb(&latents(0, 1, vec![]), &map, 0).is_none());
        let nan = latents(1, 1, vec![f32::NAN, f32::INFINITY]);
        assert_eq!(latent_to_rgb(&nan, &map, 0).unwrap().rgb[3], 255);
    }

    fn ramp() -> RgbPicture {
        RgbPicture {
            width: 4,
            height: 1,
            rgb: [0, 40, 80, 120].iter().flat_map(|&v| [v; 3]).collect(),
        }
    }

    #[test]
    fn every_filter_shows_texels_exactly_at_their_own_size() {
        for filter in Filter::ALL {
            let drawn = blit(&ramp(), [6, 1], [1.0, 0.0], [4.0, 1.0], filter);
            let red: Vec<_> = drawn.iter().map(|p| p.map(|p| p[0])).collect();
            assert_eq!(red, [None, Some(0), Some(40), Some(80), Some(120), None]);
        }
    }

    #[test]
    fn filters_differ_between_texels() {
        let at = |filter| blit(&ramp(), [8, 1], [0.0, 0.0], [8.0, 1.0], filter)[3].unwrap()[0];
        assert_eq!(at(Filter::Nearest), 40);
        assert_eq!(at(Filter::Linear), 50);
        assert_eq!(at(Filter::Cubic), 50);
    }
}
