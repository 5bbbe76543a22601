use crate::media::Clip;

/// In what two clips differ that keeps them from being compared frame by frame, in words that begin a
/// sentence, with the clips called by `names`. `None` where they have one size and one length.
pub fn mismatch(one: &Clip, other: &Clip, names: [&str; 2]) -> Option<String> {
    let size = |clip: &Clip| format!("{}×{}", clip.width, clip.height);
    let (sizes, lengths) = (
        [size(one), size(other)],
        [one.frames.len(), other.frames.len()],
    );
    let [a, b] = names;
    match (sizes[0] != sizes[1], lengths[0] != lengths[1]) {
        (false, false) => None,
        (true, false) => Some(format!(
            "{a} has {} pixels and {b} has {}",
            sizes[0], sizes[1]
        )),
        (false, true) => Some(format!(
            "{a} has {} frames and {b} has {}",
            lengths[0], lengths[1]
        )),
        (true, true) => Some(format!(
            "{a} has {} pixels and {} frames, {b} has {} and {}",
            sizes[0], lengths[0], sizes[1], lengths[1]
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_that_do_not_fit_are_explained() {
        let clip = |width, frames| Clip {
            width,
            height: 2,
            fps: 1.0,
            frames: vec![Vec::new(); frames],
        };
        let say = |one: Clip, other: Clip| mismatch(&one, &other, ["A", "B"]);
        assert_eq!(say(clip(4, 3), clip(4, 3)), None);
        for (other, words) in [
            (clip(6, 3), "A has 4×2 pixels and B has 6×2"),
            (clip(4, 5), "A has 3 frames and B has 5"),
            (clip(6, 5), "A has 4×2 pixels and 3 frames, B has 6×2 and 5"),
        ] {
            assert_eq!(say(clip(4, 3), other).as_deref(), Some(words));
        }
    }
}
