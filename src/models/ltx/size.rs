use super::{PACE, SIDE};
use crate::models::{ModelError, Span, Tiling};

/// Latent channels of the family.
const CHANNELS: usize = 128;
/// Four times the longest side the rotary embedding is relative to: beyond lies no clip that any
/// version was made for.
const LONGEST_SIDE: usize = 8192;
/// As for the sides: at 25 frames a second, eight times the base of twenty seconds.
const MOST_FRAMES: usize = 512 * PACE + 1;

/// How the VAE is run in tiles: of 512 pixels, which share at least 128 with each neighbour, and of
/// 57 frames, which share at least 9.
pub const TILING: Tiling = Tiling {
    side: Span {
        length: 16,
        overlap: 4,
    },
    frames: Some(Span {
        length: 8,
        overlap: 2,
    }),
    pixels: SIDE,
    pace: PACE,
};

/// The latents `[1, channels, frames, height, width]` of a clip of `width` x `height` pixels and
/// `frames` frames, for sizes that [`check_size`] accepts.
pub fn latent_shape(width: usize, height: usize, frames: usize) -> [usize; 5] {
    [
        1,
        CHANNELS,
        frames.saturating_sub(1) / PACE + 1,
        height / SIDE,
        width / SIDE,
    ]
}

/// Whether the family can do a clip of `width` x `height` pixels and `frames` frames: sides are
/// multiples of 32, frames are 8 k + 1. The error is one sentence with the nearest that works.
pub fn check_size(width: usize, height: usize, frames: usize) -> Result<(), ModelError> {
    let side = |pixels: usize| nearest(pixels, SIDE, 0).clamp(SIDE, LONGEST_SIDE);
    let (good_width, good_height) = (side(width), side(height));
    let good_frames = nearest(frames, PACE, 1).min(MOST_FRAMES);
    if (width, height) != (good_width, good_height) {
        return Err(ModelError::Size(format!(
            "LTX-Video cannot do {width}x{height}: both sides must be multiples of {SIDE} up to \
             {LONGEST_SIDE}; the nearest size is {good_width}x{good_height}"
        )));
    }
    if frames != good_frames {
        return Err(ModelError::Size(format!(
            "LTX-Video cannot do {frames} frames: their number must be {PACE} k + 1, up to \
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
        for (w, h, f) in [
            (704, 480, 161),
            (768, 512, 97),
            (32, 32, 1),
            (1216, 704, 257),
        ] {
            check_size(w, h, f).unwrap();
        }
        assert_eq!(latent_shape(768, 512, 161), [1, 128, 21, 16, 24]);
        assert_eq!(latent_shape(64, 96, 1), [1, 128, 1, 3, 2]);
    }

    #[test]
    fn bad_sizes_name_the_nearest() {
        let said = |w, h, f| check_size(w, h, f).unwrap_err().to_string();
        assert!(said(100, 64, 17).ends_with("the nearest size is 96x64"));
        assert!(said(848, 480, 17).ends_with("the nearest size is 864x480"));
        assert!(said(0, 5, 17).ends_with("the nearest size is 32x32"));
        assert!(said(64, usize::MAX, 17).ends_with("the nearest size is 64x8192"));
        assert!(said(64, 64, 20).ends_with("the nearest is 17"));
        assert!(said(64, 64, 21).ends_with("the nearest is 25"));
        assert!(said(64, 64, 0).ends_with("the nearest is 1"));
        assert!(said(64, 64, usize::MAX).ends_with("the nearest is 4097"));
    }
}
