//! Pictures at other sizes, to the last bit as Pillow makes them (`Image.resize`, libImaging/Resample.c):
//! the networks here were trained on pictures that Pillow had made smaller, and what looks alike to them
//! depends on it (Parmar et al., arXiv 2104.11222).

/// How pixels are weighed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    Bilinear,
    /// With a = -0.5.
    Bicubic,
}

impl Filter {
    /// By Pillow's number of it.
    pub(super) fn of(number: u64) -> Option<Self> {
        match number {
            2 => Some(Self::Bilinear),
            3 => Some(Self::Bicubic),
            _ => None,
        }
    }

    /// How far it reaches, in pixels.
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let x = x.abs();
        match self {
            Self::Bilinear => (1.0 - x).max(0.0),
            Self::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            Self::Bicubic => 0.0,
        }
    }
}

/// Bits behind the point of a weight.
const PRECISION: u32 = 32 - 8 - 2;

/// What one output pixel is made of: the first input pixel and the weights from there on.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

/// Packed RGB of `size` (width, height) at the size `to`.
pub(super) fn resize(
    rgb: &[u8],
    size: (usize, usize),
    to: (usize, usize),
    filter: Filter,
) -> Vec<u8> {
    let wider = |rgb: Vec<u8>| match size.0 == to.0 {
        true => rgb,
        false => across(&rgb, size.0, &taps(size.0, to.0, filter)),
    };
    let higher = |rgb: Vec<u8>, width: usize| match size.1 == to.1 {
        true => rgb,
        false => down(&rgb, width, &taps(size.1, to.1, filter)),
    };
    // Rows come first unless they become longer and columns shorter; each pass rounds to whole levels.
    match to.0 > size.0 && to.1 < size.1 {
        true => wider(higher(rgb.to_vec(), size.0)),
        false => higher(wider(rgb.to_vec()), to.0),
    }
}

fn taps(from: usize, to: usize, filter: Filter) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    let spread = scale.max(1.0);
    // Times the inverse, as there, and not divided: what it is rounded to can differ.
    let inverse = 1.0 / spread;
    let support = filter.support() * spread;
    let tap = |place: usize| {
        let centre = (place as f64 + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as usize;
        let end = ((centre + support + 0.5) as usize).min(from);
        let weight = |x: usize| filter.weight((x as f64 - centre + 0.5) * inverse);
        let total: f64 = (first..end).map(weight).sum();
        let fixed = |x: usize| (weight(x) / total * f64::from(1 << PRECISION)).round() as i32;
        Taps {
            first,
            weights: (first..end).map(fixed).collect(),
        }
    };
    (0..to).map(tap).collect()
}

/// Rows of `width` pixels to rows of as many as there are taps.
fn across(rgb: &[u8], width: usize, taps: &[Taps]) -> Vec<u8> {
    let mut out = Vec::with_capacity(rgb.len() / width * taps.len());
    for row in rgb.chunks_exact(3 * width) {
        for tap in taps {
            let under = &row[3 * tap.first..];
            for channel in 0..3 {
                out.push(mix(tap, |i| under[3 * i + channel]));
            }
        }
    }
    out
}

/// Columns of pixels to columns of as many as there are taps.
fn down(rgb: &[u8], width: usize, taps: &[Taps]) -> Vec<u8> {
    let stride = 3 * width;
    let mut out = Vec::with_capacity(stride * taps.len());
    for tap in taps {
        let under = &rgb[stride * tap.first..];
        out.extend((0..stride).map(|x| mix(tap, |i| under[stride * i + x])));
    }
    out
}

fn mix(tap: &Taps, level: impl Fn(usize) -> u8) -> u8 {
    let levels = tap.weights.iter().enumerate();
    let sum: i32 = levels.map(|(i, weight)| weight * i32::from(level(i))).sum();
    ((sum + (1 << (PRECISION - 1))) >> PRECISION).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_pillow_to_the_bit() {
        let mut noise = 1u32;
        let rgb: Vec<u8> = (0..7 * 5 * 3)
            .map(|_| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                // Often black or white, where the filter overshoots.
                ((noise >> 24) as i32 * 2 - 128).clamp(0, 255) as u8
            })
            .collect();
        // The sum of all levels times their place, as tests/reference/vision.py prints it.
        let sum =
            |rgb: &[u8]| -> u64 { (1..).zip(rgb).map(|(i, level)| i * u64::from(*level)).sum() };
        for (to, filter, want) in PILLOW {
            let got = sum(&resize(&rgb, (7, 5), to, filter));
            assert_eq!(got, want, "{to:?} {filter:?}");
        }
    }

    /// Sizes, filters and sums by Pillow 13.0.
    const PILLOW: [((usize, usize), Filter, u64); 5] = [
        ((7, 5), Filter::Bicubic, 733_861),
        ((20, 16), Filter::Bicubic, 60_101_333),
        ((3, 2), Filter::Bicubic, 22_449),
        ((7, 9), Filter::Bicubic, 2_352_857),
        ((11, 3), Filter::Bilinear, 661_804),
    ];
}
