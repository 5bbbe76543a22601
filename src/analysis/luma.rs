use crate::media::Clip;

/// The brightness of a clip's frames in 8-bit levels, by the weights of BT.601:
/// `0.299 R + 0.587 G + 0.114 B`, not rounded.
pub(super) struct Luma {
    pub(super) width: usize,
    pub(super) height: usize,
    /// `width * height` values a frame, rows one after the other.
    pub(super) frames: Vec<Vec<f64>>,
}

impl Luma {
    pub(super) fn of(clip: &Clip) -> Self {
        Self {
            width: clip.width,
            height: clip.height,
            frames: clip.frames.iter().map(|frame| luma(frame)).collect(),
        }
    }
}

/// The brightness of every pixel of one frame.
pub(super) fn luma(frame: &[u8]) -> Vec<f64> {
    let brightness = |rgb: &[u8]| {
        0.299 * f64::from(rgb[0]) + 0.587 * f64::from(rgb[1]) + 0.114 * f64::from(rgb[2])
    };
    frame.chunks_exact(3).map(brightness).collect()
}

/// `width x height x frames`, for messages.
pub(super) fn size(clip: &Clip) -> String {
    format!("{}x{}x{}", clip.width, clip.height, clip.frames.len())
}
