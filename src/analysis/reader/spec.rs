use std::path::Path;

use serde::Deserialize;

use crate::analysis::AnalysisError;

/// What the reader was trained on and the names of its answers: `reader.json`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ReaderSpec {
    /// Width of its clips in pixels.
    pub width: usize,
    /// Height of its clips in pixels.
    pub height: usize,
    /// Frames of its clips.
    pub frames: usize,
    /// Colours an object can have; it looks for one object of each.
    pub colours: Vec<String>,
    /// Shapes; the last one means that there is no object.
    pub shapes: Vec<String>,
    /// Motions.
    pub motions: Vec<String>,
    /// Sizes.
    pub sizes: Vec<String>,
    /// Colours of the background.
    pub backgrounds: Vec<String>,
    /// Patterns of the background.
    pub patterns: Vec<String>,
    /// How often it is right on clips it has not seen.
    pub validation: Validation,
}

/// Shares of right answers, 0..=1, on drawn clips that the training did not show.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Validation {
    /// Which colours of objects are there and which are not.
    pub colour: f64,
    /// An object's shape.
    pub shape: f64,
    /// An object's motion.
    pub motion: f64,
    /// An object's size.
    pub size: f64,
    /// The background's colour.
    pub background: f64,
    /// The background's pattern.
    pub pattern: f64,
}

impl ReaderSpec {
    /// Reads the file.
    pub(super) fn read(path: &Path) -> Result<Self, AnalysisError> {
        let fault = |reason: String| AnalysisError::ReaderFile {
            path: path.to_owned(),
            reason,
        };
        let bytes = std::fs::read(path).map_err(|why| fault(why.to_string()))?;
        let spec: Self = serde_json::from_slice(&bytes)
            .map_err(|why| fault(format!("it does not parse: {why}")))?;
        if spec.width == 0 || spec.height == 0 || spec.frames == 0 {
            return Err(fault("width, height and frames must be above 0".to_owned()));
        }
        Ok(spec)
    }

    /// Frames, rows and columns of the network's last feature map: time is halved twice, sides three
    /// times, each rounded up.
    pub(super) fn cells(&self) -> [usize; 3] {
        [
            self.frames.div_ceil(4),
            self.height.div_ceil(8),
            self.width.div_ceil(8),
        ]
    }
}
