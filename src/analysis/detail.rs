use super::AnalysisError;
use super::luma::{Luma, size};
use super::similarity::comparable;
use crate::media::Clip;

/// How wrong a clip's fine detail is: the root mean square error of the high frequencies of luma over the root
/// mean square of the reference's own. 0 where they are the same; 1 where they are all missing; infinite where
/// the reference has none and the clip does.
///
/// High frequencies are what a pixel has beyond the mean of its 3x3 neighbourhood, at all inner pixels of all
/// frames. PSNR and SSIM are led by shapes and areas and hardly see this.
pub fn detail_error(clip: &Clip, reference: &Clip) -> Result<f64, AnalysisError> {
    comparable(clip, reference)?;
    if clip.width < 3 || clip.height < 3 || clip.frames.is_empty() {
        return Err(AnalysisError::TooSmall {
            measure: "the error of detail",
            needed: "3x3 pixels and one frame",
            found: size(clip),
        });
    }
    let (one, other) = (Luma::of(clip), Luma::of(reference));
    let (mut wrong, mut own) = (0.0, 0.0);
    for (a, b) in one.frames.iter().zip(&other.frames) {
        for y in 1..one.height - 1 {
            for x in 1..one.width - 1 {
                let at = y * one.width + x;
                let fine = |frame: &[f64]| {
                    let row = |start: usize| frame[start - 1] + frame[start] + frame[start + 1];
                    let around = row(at - one.width) + row(at) + row(at + one.width);
                    frame[at] - around / 9.0
                };
                let (a, b) = (fine(a), fine(b));
                wrong += (a - b).powi(2);
                own += b.powi(2);
            }
        }
    }
    Ok(match wrong {
        0.0 => 0.0,
        wrong => (wrong / own).sqrt(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(level: impl Fn(usize, usize) -> u8) -> Clip {
        let places = (0..6).flat_map(|y| (0..8).map(move |x| (x, y)));
        Clip {
            width: 8,
            height: 6,
            fps: 12.0,
            frames: vec![places.flat_map(|(x, y)| [level(x, y); 3]).collect()],
        }
    }

    #[test]
    fn only_detail_counts() {
        let checks = grey(|x, y| if (x + y) % 2 == 0 { 100 } else { 140 });
        let error = |clip: &Clip| detail_error(clip, &checks).unwrap();
        assert_eq!(error(&checks), 0.0);
        // Brighter all over, or along a ramp: no detail is wrong.
        let brighter = grey(|x, y| if (x + y) % 2 == 0 { 110 } else { 150 });
        assert!(error(&brighter) < 1e-9);
        // All of it gone, half of it gone, turned round.
        assert!((error(&grey(|_, _| 120)) - 1.0).abs() < 1e-9);
        let fainter = grey(|x, y| if (x + y) % 2 == 0 { 110 } else { 130 });
        assert!((error(&fainter) - 0.5).abs() < 1e-9);
        let turned = grey(|x, y| if (x + y) % 2 == 0 { 140 } else { 100 });
        assert!((error(&turned) - 2.0).abs() < 1e-9);
        assert_eq!(
            detail_error(&checks, &grey(|_, _| 7)).unwrap(),
            f64::INFINITY
        );
    }
}
