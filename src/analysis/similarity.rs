use super::AnalysisError;
use super::luma::{Luma, luma, size};
use crate::media::Clip;

/// Taps of SSIM's window to each side of its centre.
const REACH: usize = 5;
/// Width of SSIM's window, in pixels.
const WINDOW: usize = 2 * REACH + 1;
/// Standard deviation of SSIM's window, in pixels.
const SIGMA: f64 = 1.5;
/// Largest 8-bit level.
const PEAK: f64 = 255.0;

/// Peak signal-to-noise ratio of two clips in dB, `10 log10(255^2 / MSE)` with the squared error averaged
/// over all channels, pixels and frames. Infinite where the clips are the same.
pub fn psnr(one: &Clip, other: &Clip) -> Result<f64, AnalysisError> {
    comparable(one, other)?;
    let mut squares = 0u64;
    let mut count = 0usize;
    for (a, b) in one.frames.iter().zip(&other.frames) {
        squares += squared_error(a, b);
        count += a.len();
    }
    Ok(10.0 * (PEAK * PEAK * count as f64 / squares as f64).log10())
}

/// Structural similarity of two clips, at most 1, as Wang et al. 2004 ("Image quality assessment: from
/// error visibility to structural similarity") define it: luma, a Gaussian window of 11 x 11 with a
/// standard deviation of 1.5, K1 = 0.01, K2 = 0.03, averaged over the window positions that lie whole
/// inside a frame, and over frames.
pub fn ssim(one: &Clip, other: &Clip) -> Result<f64, AnalysisError> {
    comparable(one, other)?;
    if one.width < WINDOW || one.height < WINDOW || one.frames.is_empty() {
        return Err(AnalysisError::TooSmall {
            measure: "SSIM",
            needed: "11x11 pixels and one frame",
            found: size(one),
        });
    }
    let (one, other) = (Luma::of(one), Luma::of(other));
    let window = Window::new(one.width, one.height);
    let total: f64 = one
        .frames
        .iter()
        .zip(&other.frames)
        .map(|(a, b)| window.ssim(a, b))
        .sum();
    Ok(total / one.frames.len() as f64)
}

/// How alike two frames are, or two clips in the mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Similarity {
    /// Squared error in 8-bit levels, averaged over all channels and pixels.
    pub mean_square: f64,
    /// Structural similarity; `None` where a frame is smaller than SSIM's window.
    pub ssim: Option<f64>,
}

impl Similarity {
    /// Of a PSNR in dB, which is infinite where nothing differs.
    pub fn of_psnr(psnr_db: f64, ssim: Option<f64>) -> Self {
        Self {
            mean_square: PEAK * PEAK / 10f64.powf(psnr_db / 10.0),
            ssim,
        }
    }

    /// Peak signal-to-noise ratio in dB; infinite where nothing differs.
    pub fn psnr_db(&self) -> f64 {
        10.0 * (PEAK * PEAK / self.mean_square).log10()
    }

    /// The mean of frames of one size: PSNR of their mean squared error, as [`psnr`] has it for clips, and
    /// the mean of SSIM, as in [`ssim`]. `None` of no frames.
    pub fn mean(frames: &[Self]) -> Option<Self> {
        let count = frames.len() as f64;
        let total: Option<f64> = frames.iter().map(|frame| frame.ssim).sum();
        (!frames.is_empty()).then(|| Self {
            mean_square: frames.iter().map(|f| f.mean_square).sum::<f64>() / count,
            ssim: total.map(|total| total / count),
        })
    }

    /// The frame of the lowest PSNR, and that PSNR in dB. `None` of no frames.
    pub fn worst_psnr_db(frames: &[Self]) -> Option<Worst> {
        Worst::of(frames.iter().map(Self::psnr_db))
    }

    /// The frame of the lowest SSIM. `None` where a frame has none, or of no frames.
    pub fn worst_ssim(frames: &[Self]) -> Option<Worst> {
        let values: Option<Vec<f64>> = frames.iter().map(|frame| frame.ssim).collect();
        Worst::of(values?.into_iter())
    }
}

/// The frame in which two clips are least alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Worst {
    /// The frame, from 0; the first of several.
    pub frame: usize,
    /// The measure there.
    pub value: f64,
}

impl Worst {
    /// The lowest of a measure's values, one a frame.
    pub fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let lowest = values.enumerate().min_by(|a, b| a.1.total_cmp(&b.1))?;
        Some(Self {
            frame: lowest.0,
            value: lowest.1,
        })
    }
}

/// The similarity of two clips frame by frame, each computed when it is asked for.
pub fn frame_similarity<'a>(
    one: &'a Clip,
    other: &'a Clip,
) -> Result<impl Iterator<Item = Similarity> + 'a, AnalysisError> {
    comparable(one, other)?;
    let is_large_enough = one.width >= WINDOW && one.height >= WINDOW;
    let window = is_large_enough.then(|| Window::new(one.width, one.height));
    Ok(one
        .frames
        .iter()
        .zip(&other.frames)
        .map(move |(a, b)| Similarity {
            mean_square: squared_error(a, b) as f64 / a.len() as f64,
            ssim: window
                .as_ref()
                .map(|window| window.ssim(&luma(a), &luma(b))),
        }))
}

/// Whole numbers: exact, and the same in any order.
fn squared_error(a: &[u8], b: &[u8]) -> u64 {
    a.iter()
        .zip(b)
        .map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2))
        .sum()
}

pub(super) fn comparable(one: &Clip, other: &Clip) -> Result<(), AnalysisError> {
    let (a, b) = (size(one), size(other));
    if a != b {
        return Err(AnalysisError::Differ { one: a, other: b });
    }
    Ok(())
}

/// SSIM's Gaussian window over frames of one size.
struct Window {
    taps: [f64; WINDOW],
    width: usize,
    height: usize,
}

impl Window {
    fn new(width: usize, height: usize) -> Self {
        let mut taps = [0.0; WINDOW];
        for (i, tap) in taps.iter_mut().enumerate() {
            let distance = i as f64 - REACH as f64;
            *tap = (-0.5 * (distance / SIGMA).powi(2)).exp();
        }
        let sum: f64 = taps.iter().sum();
        Self {
            taps: taps.map(|tap| tap / sum),
            width,
            height,
        }
    }

    /// The mean of SSIM over one frame.
    fn ssim(&self, a: &[f64], b: &[f64]) -> f64 {
        let product =
            |x: &[f64], y: &[f64]| -> Vec<f64> { x.iter().zip(y).map(|(x, y)| x * y).collect() };
        let (mean_a, mean_b) = (self.blur(a), self.blur(b));
        let (aa, bb) = (self.blur(&product(a, a)), self.blur(&product(b, b)));
        let ab = self.blur(&product(a, b));
        let (c1, c2) = ((0.01 * PEAK).powi(2), (0.03 * PEAK).powi(2));
        let total: f64 = (0..mean_a.len())
            .map(|i| {
                let (ma, mb) = (mean_a[i], mean_b[i]);
                let (var_a, var_b) = (aa[i] - ma * ma, bb[i] - mb * mb);
                let covariance = ab[i] - ma * mb;
                (2.0 * ma * mb + c1) * (2.0 * covariance + c2)
                    / ((ma * ma + mb * mb + c1) * (var_a + var_b + c2))
            })
            .sum();
        total / mean_a.len() as f64
    }

    /// The weighted mean under each window that lies whole inside the frame: rows first, then columns.
    fn blur(&self, frame: &[f64]) -> Vec<f64> {
        let (inner_width, inner_height) = (self.width - 2 * REACH, self.height - 2 * REACH);
        let mut rows = Vec::with_capacity(inner_width * self.height);
        for row in frame.chunks_exact(self.width) {
            rows.extend(row.windows(WINDOW).map(|under| {
                under
                    .iter()
                    .zip(&self.taps)
                    .map(|(value, tap)| value * tap)
                    .sum::<f64>()
            }));
        }
        let mut blurred = vec![0.0; inner_width * inner_height];
        for (y, line) in blurred.chunks_exact_mut(inner_width).enumerate() {
            for (i, tap) in self.taps.iter().enumerate() {
                let source = &rows[(y + i) * inner_width..][..inner_width];
                for (sum, value) in line.iter_mut().zip(source) {
                    *sum += value * tap;
                }
            }
        }
        blurred
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clip that `tests/reference/similarity.py` makes by the same formula: a grating that moves, over
    /// a gradient; `shift` moves it on and `gain` scales it about mid-grey.
    fn grating(shift: f64, gain: f64) -> Clip {
        let (width, height, frames) = (24, 20, 3);
        let level = |x: usize, y: usize, channel: usize, t: usize| {
            let phase = 0.45 * x as f64 + 0.3 * y as f64 - 0.8 * t as f64 + shift;
            let wave = (phase + channel as f64).sin() * 60.0 + 2.0 * (x as f64 - y as f64);
            (128.0 + gain * wave).clamp(0.0, 255.0).round() as u8
        };
        let frame = |t| {
            (0..height)
                .flat_map(|y| (0..width).flat_map(move |x| (0..3).map(move |c| level(x, y, c, t))))
                .collect()
        };
        Clip {
            width,
            height,
            fps: 12.0,
            frames: (0..frames).map(frame).collect(),
        }
    }

    #[test]
    fn agrees_with_scikit_image() {
        // What tests/reference/similarity.py prints, with scikit-image 0.26.0.
        for (shift, gain, psnr_db, similarity) in [
            (0.1, 1.0, 35.546_637_041, 0.993_760_914),
            (0.0, 0.8, 28.853_168_448, 0.976_306_877),
            (1.5, 0.6, 14.414_307_490, 0.135_107_977),
        ] {
            let (one, other) = (grating(0.0, 1.0), grating(shift, gain));
            let (p, s) = (psnr(&one, &other).unwrap(), ssim(&one, &other).unwrap());
            assert!((p - psnr_db).abs() < 1e-6, "{p} against {psnr_db}");
            assert!((s - similarity).abs() < 1e-6, "{s} against {similarity}");
        }
    }

    #[test]
    fn frames_in_the_mean_are_as_alike_as_their_clips() {
        let (one, other) = (grating(0.0, 1.0), grating(0.7, 0.9));
        let frames: Vec<Similarity> = frame_similarity(&one, &other).unwrap().collect();
        assert_eq!(frames.len(), 3);
        let mean = Similarity::mean(&frames).unwrap();
        assert!((mean.psnr_db() - psnr(&one, &other).unwrap()).abs() < 1e-9);
        assert!((mean.ssim.unwrap() - ssim(&one, &other).unwrap()).abs() < 1e-9);
        // The grating moves on, so that no two frames are alike in the same measure.
        assert!(frames[0].mean_square != frames[1].mean_square);
        assert!(Similarity::mean(&[]).is_none());
        let psnr = Similarity::worst_psnr_db(&frames).unwrap();
        let ssim = Similarity::worst_ssim(&frames).unwrap();
        for frame in &frames {
            assert!(psnr.value <= frame.psnr_db() && ssim.value <= frame.ssim.unwrap());
        }
        assert_eq!(psnr.value, frames[psnr.frame].psnr_db());
        assert_eq!(Some(ssim.value), frames[ssim.frame].ssim);
    }

    #[test]
    fn frames_smaller_than_the_window_have_no_ssim() {
        let dot = |level| Clip {
            width: 2,
            height: 1,
            fps: 1.0,
            frames: vec![vec![level; 6]],
        };
        let frame = frame_similarity(&dot(10), &dot(13))
            .unwrap()
            .next()
            .unwrap();
        assert_eq!((frame.mean_square, frame.ssim), (9.0, None));
        assert_eq!(Similarity::mean(&[frame]), Some(frame));
        assert_eq!(Similarity::worst_ssim(&[frame]), None);
    }

    #[test]
    fn a_clip_is_like_itself() {
        let clip = grating(0.0, 1.0);
        assert_eq!(psnr(&clip, &clip).unwrap(), f64::INFINITY);
        assert!((ssim(&clip, &clip).unwrap() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn other_sizes_are_refused_in_a_sentence() {
        let clip = grating(0.0, 1.0);
        let mut shorter = clip.clone();
        shorter.frames.pop();
        let why = psnr(&clip, &shorter).unwrap_err().to_string();
        assert!(why.contains("24x20x3 and 24x20x2"), "{why}");
        let dot = Clip {
            width: 4,
            height: 1,
            fps: 1.0,
            frames: vec![vec![0; 12]],
        };
        let why = ssim(&dot, &dot).unwrap_err().to_string();
        assert!(why.contains("11x11"), "{why}");
    }
}
