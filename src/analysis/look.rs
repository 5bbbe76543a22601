use super::AnalysisError;
use super::luma::{Luma, size};
use crate::media::Clip;

/// How sharp a clip is: the mean length of luma's gradient, in 8-bit levels a pixel, by central
/// differences over all inner pixels and all frames. Detail and crisp edges raise it, and so does noise;
/// it says something of two clips of the same content.
pub fn sharpness(clip: &Clip) -> Result<f64, AnalysisError> {
    if clip.width < 3 || clip.height < 3 || clip.frames.is_empty() {
        return Err(AnalysisError::TooSmall {
            measure: "sharpness",
            needed: "3x3 pixels and one frame",
            found: size(clip),
        });
    }
    let luma = Luma::of(clip);
    let (width, height) = (luma.width, luma.height);
    let mut total = 0.0;
    for frame in &luma.frames {
        for y in 1..height - 1 {
            for x in 1..width - 1 {
                let i = y * width + x;
                let across = (frame[i + 1] - frame[i - 1]) / 2.0;
                let down = (frame[i + width] - frame[i - width]) / 2.0;
                total += across.hypot(down);
            }
        }
    }
    Ok(total / ((width - 2) * (height - 2) * luma.frames.len()) as f64)
}

/// How much a clip flickers: the change that a pixel makes at one frame and takes back at the next, in
/// 8-bit levels of luma, averaged over all pixels and all frames but the first and the last.
///
/// Of two changes that follow one another, the smaller size counts where their signs differ, and nothing
/// where they agree. A fade is a run of changes of one sign, and the edge of an object that passes changes
/// a pixel once, so that neither counts, while a level that jumps up and down counts in full. The mean
/// second difference in time would count every moving edge, and thereby speed.
pub fn flicker(clip: &Clip) -> Result<f64, AnalysisError> {
    if clip.frames.len() < 3 || clip.width == 0 || clip.height == 0 {
        return Err(AnalysisError::TooSmall {
            measure: "flicker",
            needed: "one pixel and three frames",
            found: size(clip),
        });
    }
    let luma = Luma::of(clip);
    let mut total = 0.0;
    for three in luma.frames.windows(3) {
        for ((before, now), after) in three[0].iter().zip(&three[1]).zip(&three[2]) {
            let (there, back) = (now - before, now - after);
            if there * back > 0.0 {
                total += there.abs().min(back.abs());
            }
        }
    }
    Ok(total / (luma.width * luma.height * (luma.frames.len() - 2)) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A grey clip of 8 x 6 pixels and 5 frames whose level is `level(x, y, t)`.
    fn grey(level: impl Fn(usize, usize, usize) -> u8) -> Clip {
        let frame = |t| {
            (0..6)
                .flat_map(|y| (0..8).map(move |x| (x, y)))
                .flat_map(|(x, y)| [level(x, y, t); 3])
                .collect()
        };
        Clip {
            width: 8,
            height: 6,
            fps: 12.0,
            frames: (0..5).map(frame).collect(),
        }
    }

    #[test]
    fn a_ramp_is_as_sharp_as_it_is_steep() {
        let ramp = grey(|x, y, _| (3 * x + 4 * y) as u8);
        assert!((sharpness(&ramp).unwrap() - 5.0).abs() < 1e-9);
        assert_eq!(sharpness(&grey(|_, _, _| 90)).unwrap(), 0.0);
    }

    #[test]
    fn only_what_is_taken_back_flickers() {
        let near = |clip: Clip, want: f64| {
            let got = flicker(&clip).unwrap();
            assert!((got - want).abs() < 1e-9, "{got} against {want}");
        };
        near(grey(|_, _, _| 90), 0.0);
        near(grey(|_, _, t| 20 * t as u8), 0.0);
        near(grey(|x, _, t| if x < t { 200 } else { 30 }), 0.0);
        near(grey(|_, _, t| if t % 2 == 0 { 100 } else { 107 }), 7.0);
    }

    #[test]
    fn clips_too_small_are_refused_in_a_sentence() {
        let mut clip = grey(|_, _, _| 0);
        clip.frames.truncate(2);
        let why = flicker(&clip).unwrap_err().to_string();
        assert!(
            why.contains("three frames") && why.contains("8x6x2"),
            "{why}"
        );
        clip.frames.clear();
        assert!(sharpness(&clip).is_err());
    }
}
