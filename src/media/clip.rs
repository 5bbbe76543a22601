/// A decoded clip in memory: RGB, 8 bits a channel, rows packed without padding.
#[derive(Clone, Debug, PartialEq)]
pub struct Clip {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Frames a second.
    pub fps: f64,
    /// One buffer of `width * height * 3` bytes a frame.
    pub frames: Vec<Vec<u8>>,
}

impl Clip {
    /// Length at its own rate, in seconds.
    pub fn duration_secs(&self) -> f64 {
        self.frames.len() as f64 / self.fps
    }
}
