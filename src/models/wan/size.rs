use crate::models::{ModelError, Span, Tiling};

/// Latent channels of the family.
const CHANNELS: usize = 16;
/// Frames of video for each latent frame after the first.
const PACE: usize = 4;
/// Pixels along a side for each latent position.
const STRIDE: usize = 8;
/// Sides come in multiples of this: the VAE's stride times the transformer's patch.
const SIDE: usize = 2 * STRIDE;
/// The longest grid side in tokens that the rotary embedding knows, in pixels.
const LONGEST_SIDE: usize = 1024 * SIDE;
/// The most frames that the rotary embedding knows.
const MOST_FRAMES: usize = PACE * 1023 + 1;

/// The latents `[1, channels, frames, height, width]` of a clip of `width` x `height` pixels and
/// `frames` frames, for sizes that [`check_size`] accepts.
pub fn latent_shape(width: usize, height: usize, frames: usize) -> [usize; 5] {
    [
        1,
        CHANNELS,
        frames.saturating_sub(1) / PACE + 1,
        height / STRIDE,
        width / STRIDE,
    ]
}

/// How the VAE is run in tiles: of 256 pixels, which share at least 64 with each neighbour, as in
/// diffusers. In time it goes through the clip in chunks anyhow.
pub const TILING: Tiling = Tiling {
    side: Span {
        length: 32,
        overlap: 8,
    },
    frames: None,
    pixels: STRIDE,
    pace: PACE,
};

/// Whether the family can do a clip of `width` x `height` pixels and `frames` frames: sides are
/// multiples of 16, frames are 4 k + 1. The error is one sentence with the nearest that works.
pub fn check_size(width: usize, height: usize, frames: usize) -> Result<(), ModelError> {
    let side = |pixels: usize| nearest(pixels, SIDE, 0).clamp(SIDE, LONGEST_SIDE);
    let (good_width, good_height) = (side(width), side(height));
    let good_frames = nearest(frames, PACE, 1).min(MOST_FRAMES);
    if (width, height) != (good_width, good_height) {
        return Err(ModelError::Size(format!(
            "WAN cannot do {width}x{height}: both sides must be multiples of {SIDE} up to \
             {LONGEST_SIDE}; the nearest size is {good_width}x{good_height}"
        )));
    }
    if frames != good_frames {
        return Err(ModelError::Size(format!(
            "WAN cannot do {frames} frames: their number must be {PACE} k + 1, up to \
             {MOST_FRAMES}; the nearest is {good_frames}"
        )));
    }
    Ok(())
}

/// The number nearest to `value` that leaves `rest` when divided by `step`; the larger of two
/// equally near.
fn nearest(value: usize, step: usize, rest: usize) -> usize {
    (value.saturating_sub(rest).saturating_add(step / 2)) / step * step + rest
}

#[cfg(test)]
mod tests {
    use super::{check_size, latent_shape};

    #[test]
    fn good_sizes_pass() {
        for (w, h, f) in [(64, 64, 17), (832, 480, 81), (16, 16, 1), (1280, 720, 81)] {
            check_size(w, h, f).unwrap();
        }
        assert_eq!(latent_shape(64, 48, 17), [1, 16, 5, 6, 8]);
        assert_eq!(latent_shape(64, 48, 1), [1, 16, 1, 6, 8]);
    }

    #[test]
    fn bad_sizes_name_the_nearest() {
        let said = |w, h, f| check_size(w, h, f).unwrap_err().to_string();
        assert!(said(100, 64, 17).ends_with("the nearest size is 96x64"));
        assert!(said(0, 5, 17).ends_with("the nearest size is 16x16"));
        assert!(said(64, usize::MAX, 17).ends_with("the nearest size is 64x16384"));
        assert!(said(64, 64, 18).ends_with("the nearest is 17"));
        assert!(said(64, 64, 0).ends_with("the nearest is 1"));
        assert!(said(64, 64, 16).ends_with("the nearest is 17"));
        assert!(said(64, 64, usize::MAX).ends_with("the nearest is 4093"));
    }
}
