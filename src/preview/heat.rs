//! The colours of a difference. What `shaders/difference.wgsl` computes, on the CPU, and the colours that
//! it is given.

use std::sync::LazyLock;

/// Colours that the scale is made of; between them it is straight.
pub(super) const STOPS: usize = 33;

/// From black over purple and red to a light yellow. Lightness rises evenly in OKLab, so that twice the
/// difference looks twice as bright, to people who see few colours as well.
pub(super) static COLOURS: LazyLock<[[f32; 3]; STOPS]> =
    LazyLock::new(|| std::array::from_fn(|i| colour_at(i as f64 / (STOPS - 1) as f64)));

/// The colour of a difference, from 0 for none to 1 for as much as the scale shows; sRGB, 0..=1.
pub fn heat(share: f32) -> [f32; 3] {
    let place = share.clamp(0.0, 1.0) * (STOPS - 1) as f32;
    let first = (place as usize).min(STOPS - 2);
    let part = place - first as f32;
    let (low, high) = (COLOURS[first], COLOURS[first + 1]);
    std::array::from_fn(|c| low[c] * (1.0 - part) + high[c] * part)
}

/// Two frames' difference as colours: the root mean square of each pixel's channels, times `gain`.
pub(super) fn difference(one: &[u8], other: &[u8], gain: f32) -> Vec<u8> {
    let pixels = one.as_chunks::<3>().0.iter().zip(other.as_chunks::<3>().0);
    pixels
        .flat_map(|(a, b)| {
            let squares: f32 = (0..3)
                .map(|c| (f32::from(a[c].abs_diff(b[c])) / 255.0).powi(2))
                .sum();
            heat((squares / 3.0).sqrt() * gain).map(|v| (v * 255.0).round() as u8)
        })
        .collect()
}

/// A place on the scale in OKLCH, as sRGB.
fn colour_at(share: f64) -> [f32; 3] {
    let lightness = 0.97 * share;
    let hue = (-75.0 + 175.0 * share).to_radians();
    // Most colour in the middle: the ends are black and nearly white.
    let chroma = 0.75 * share * (1.0 - share) + 0.06 * share;
    let (a, b) = (chroma * hue.cos(), chroma * hue.sin());
    // OKLab to linear sRGB: Ottosson 2020, "A perceptual color space for image processing".
    let l = (lightness + 0.396_337_777_4 * a + 0.215_803_757_3 * b).powi(3);
    let m = (lightness - 0.105_561_345_8 * a - 0.063_854_172_8 * b).powi(3);
    let s = (lightness - 0.089_484_177_5 * a - 1.291_485_548_0 * b).powi(3);
    [
        4.076_741_662_1 * l - 3.307_711_591_3 * m + 0.230_969_929_2 * s,
        -1.268_438_004_6 * l + 2.609_757_401_1 * m - 0.341_319_396_5 * s,
        -0.004_196_086_3 * l - 0.703_418_614_7 * m + 1.707_614_701_0 * s,
    ]
    .map(|v| encoded(v.clamp(0.0, 1.0)) as f32)
}

/// A linear value as sRGB encodes it.
fn encoded(value: f64) -> f64 {
    if value <= 0.003_130_8 {
        12.92 * value
    } else {
        1.055 * value.powf(1.0 / 2.4) - 0.055
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luminance(colour: [f32; 3]) -> f32 {
        let linear = colour.map(|v| {
            if v <= 0.04045 {
                v / 12.92
            } else {
                ((v + 0.055) / 1.055).powf(2.4)
            }
        });
        0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    }

    #[test]
    fn more_difference_is_always_brighter() {
        assert_eq!(heat(0.0), [0.0; 3]);
        assert!(luminance(heat(1.0)) > 0.85);
        for i in 0..200 {
            let (less, more) = (i as f32 / 200.0, (i + 1) as f32 / 200.0);
            assert!(luminance(heat(more)) > luminance(heat(less)), "at {less}");
        }
        assert_eq!(heat(7.0), heat(1.0));
    }

    #[test]
    fn a_difference_is_the_root_mean_square_times_the_gain() {
        // 30 levels in one channel are 17.3 in the mean of squares.
        let share = (30.0f32.powi(2) / 3.0).sqrt() / 255.0;
        let wanted = heat(share * 4.0).map(|v| (v * 255.0).round() as u8);
        let (one, other) = ([10, 50, 90, 1, 2, 3], [10, 80, 90, 1, 2, 3]);
        let drawn = difference(&one, &other, 4.0);
        assert_eq!(drawn[..3], wanted);
        assert_eq!(drawn[3..], [0; 3]);
        assert_eq!(drawn, difference(&other, &one, 4.0));
    }
}
