use std::borrow::Cow;
use std::sync::Arc;

use image::imageops::{self, FilterType};
use image::{ImageBuffer, Rgb};

use super::lettering::Face;
use super::{Clip, ClipShape, FrameSource, MediaError};
use crate::project::RunSettings;

/// The smallest letters that are read with ease in a film.
const MIN_TEXT_PX: usize = 15;
/// Letters against the smaller side of a picture, where that is large.
const TEXT_OF_SIDE: usize = 28;
/// Clips at least this wide are wide enough for every label and are never enlarged; a smaller one
/// becomes no more than twice as wide as this.
const WIDE_PX: usize = 384;
/// Between the two pictures.
const GAP_PX: usize = 2;
/// Room on either side of a label.
const MARGIN_PX: usize = 8;

/// What stands around the pictures: the dark look's panel, headline and notes.
const PAPER: [u8; 3] = [0x18, 0x1B, 0x22];
const INK: [u8; 3] = [0xF2, 0xF4, 0xF8];
const FAINT: [u8; 3] = [0x94, 0x9B, 0xA9];

/// What stands under a picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Label {
    /// What it is, such as `LSL 0.43/0.97`.
    pub title: String,
    /// What else is worth knowing, such as `4.3 s · seed 7`.
    pub note: String,
}

impl Label {
    /// Of a run: its plan, how long it took where that is known, and its seed.
    pub fn of_run(settings: &RunSettings, time: Option<&str>) -> Self {
        let seed = format!("seed {}", settings.seed);
        Self {
            title: settings.plan.words(),
            note: match time {
                Some(time) => format!("{time} · {seed}"),
                None => seed,
            },
        }
    }
}

/// Two clips beside each other, each with a label under it. Small pictures are enlarged by a whole number,
/// so that the labels can be read; the second one is made as high as the first. Time is the first
/// clip's: its rate, and from the other the frame of that moment. A clip that is over holds its last frame.
pub struct Beside {
    clips: [Arc<Clip>; 2],
    zoom: usize,
    /// Sizes in which the pictures are shown.
    sizes: [(usize, usize); 2],
    /// The rows under the pictures, in packed RGB.
    strip: Vec<u8>,
    shape: ClipShape,
}

impl Beside {
    /// Draws the labels; frames are put together as they are asked for.
    ///
    /// # Errors
    /// A sentence when a clip has no whole frames.
    pub fn new(clips: [Arc<Clip>; 2], labels: &[Label; 2]) -> Result<Self, MediaError> {
        for clip in &clips {
            clip.check()?;
        }
        let widths = [clips[0].width, width_at(&clips[1], clips[0].height)];
        let zoom = zoom(widths, labels)?;
        let height = clips[0].height * zoom;
        let sizes = [
            (clips[0].width * zoom, height),
            (width_at(&clips[1], height), height),
        ];
        let width = sizes[0].0 + GAP_PX + sizes[1].0;
        let strip = strip(sizes, labels)?;
        let fps = clips[0].fps;
        let frames = clips
            .iter()
            .map(|clip| frames_at(clip, fps))
            .max()
            .unwrap_or(0);
        let shape = ClipShape {
            width,
            height: height + strip.len() / (width * 3),
            fps,
            frames,
        };
        Ok(Self {
            clips,
            zoom,
            sizes,
            strip,
            shape,
        })
    }

    /// How many times the first picture is enlarged, so that its label can be read.
    pub fn zoom(&self) -> usize {
        self.zoom
    }

    /// The frame that a clip shows while `index` is written.
    fn frame_of(&self, clip: &Clip, index: usize) -> usize {
        // A rate written as a decimal must not be a frame late.
        let at = (index as f64 / self.shape.fps * clip.fps + 1e-6).floor() as usize;
        at.min(clip.frames.len() - 1)
    }
}

impl FrameSource for Beside {
    fn shape(&self) -> ClipShape {
        self.shape
    }

    fn frame(&self, index: usize) -> Cow<'_, [u8]> {
        let pictures: [Cow<'_, [u8]>; 2] = std::array::from_fn(|side| {
            let clip = &self.clips[side];
            sized(clip, self.frame_of(clip, index), self.sizes[side])
        });
        let [(left, height), (right, _)] = self.sizes;
        let mut frame = Vec::with_capacity(self.shape.width * self.shape.height * 3);
        for y in 0..height {
            frame.extend_from_slice(&pictures[0][y * left * 3..][..left * 3]);
            frame.extend_from_slice(PAPER.repeat(GAP_PX).as_slice());
            frame.extend_from_slice(&pictures[1][y * right * 3..][..right * 3]);
        }
        frame.extend_from_slice(&self.strip);
        Cow::Owned(frame)
    }

    fn check(&self) -> Result<(), MediaError> {
        // Both clips were looked at when they were put together.
        Ok(())
    }
}

/// The width of a clip that is made this high.
fn width_at(clip: &Clip, height: usize) -> usize {
    ((clip.width * height) as f64 / clip.height as f64)
        .round()
        .max(1.0) as usize
}

/// Frames that a clip lasts at another rate.
fn frames_at(clip: &Clip, fps: f64) -> usize {
    (clip.duration_secs() * fps - 1e-6).ceil().max(1.0) as usize
}

/// The smallest whole number of times that makes both pictures as wide as their labels.
fn zoom(widths: [usize; 2], labels: &[Label; 2]) -> Result<usize, MediaError> {
    let narrow = widths[0].min(widths[1]).max(1);
    let most = (2 * WIDE_PX / narrow).max(1);
    if narrow >= WIDE_PX {
        return Ok(1);
    }
    let (bold, regular) = faces(MIN_TEXT_PX)?;
    let needed = |label: &Label| {
        let words = bold
            .width_px(&label.title)
            .max(regular.width_px(&label.note));
        words.ceil() as usize + 2 * MARGIN_PX
    };
    let times = |side: usize| needed(&labels[side]).div_ceil(widths[side].max(1));
    Ok(times(0).max(times(1)).clamp(1, most))
}

/// Fonts of a title and of a note.
fn faces(text_px: usize) -> Result<(Face, Face), MediaError> {
    Ok((
        Face::bold(text_px as f32)?,
        Face::regular(text_px as f32 * 0.9)?,
    ))
}

/// The rows with both labels.
fn strip(sizes: [(usize, usize); 2], labels: &[Label; 2]) -> Result<Vec<u8>, MediaError> {
    let [(left, height), (right, _)] = sizes;
    let text_px = (left.min(right).min(height) / TEXT_OF_SIDE).max(MIN_TEXT_PX);
    let (bold, regular) = faces(text_px)?;
    let line_px = text_px * 3 / 2;
    let lines = 1 + usize::from(labels.iter().any(|label| !label.note.is_empty()));
    let (width, rows) = (left + GAP_PX + right, lines * line_px + line_px / 2);
    let mut strip = PAPER.repeat(width * rows);
    for (label, begin, room) in [(&labels[0], 0, left), (&labels[1], left + GAP_PX, right)] {
        let room = room.saturating_sub(2 * MARGIN_PX) as f32;
        let texts = [(&bold, &label.title, INK), (&regular, &label.note, FAINT)];
        for (line, (face, text, colour)) in texts.into_iter().enumerate() {
            let middle = (line_px / 4 + line * line_px + line_px / 2) as f32;
            let at = (
                (begin + MARGIN_PX) as f32,
                (middle + face.capitals_px() / 2.0).round(),
            );
            let covered = face.coverage(&face.fit(text, room), at, (width, rows));
            for (pixel, share) in strip.chunks_mut(3).zip(covered) {
                for (value, ink) in pixel.iter_mut().zip(colour) {
                    let mixed = f32::from(*value) * (1.0 - share) + f32::from(ink) * share;
                    *value = mixed.round() as u8;
                }
            }
        }
    }
    Ok(strip)
}

/// A frame in another size: sharp squares where that is a whole number of times, else blended.
fn sized(clip: &Clip, index: usize, (width, height): (usize, usize)) -> Cow<'_, [u8]> {
    let frame = clip.frames[index].as_slice();
    if (width, height) == (clip.width, clip.height) {
        return Cow::Borrowed(frame);
    }
    let times = width / clip.width.max(1);
    let is_whole = times > 0 && (times * clip.width, times * clip.height) == (width, height);
    let filter = if is_whole {
        FilterType::Nearest
    } else {
        FilterType::Lanczos3
    };
    // Frames were checked to be whole, so the sizes agree.
    ImageBuffer::<Rgb<u8>, _>::from_raw(clip.width as u32, clip.height as u32, frame).map_or(
        Cow::Borrowed(frame),
        |picture| {
            imageops::resize(&picture, width as u32, height as u32, filter)
                .into_raw()
                .into()
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip(width: usize, height: usize, fps: f64, colours: &[[u8; 3]]) -> Arc<Clip> {
        Arc::new(Clip {
            width,
            height,
            fps,
            frames: colours.iter().map(|c| c.repeat(width * height)).collect(),
        })
    }

    fn labels() -> [Label; 2] {
        let label = |title: &str| Label {
            title: title.to_owned(),
            note: "4.3 s · seed 7".to_owned(),
        };
        [label("LSL 0.43/0.97"), label("LLL")]
    }

    fn pixel(beside: &Beside, frame: usize, x: usize, y: usize) -> [u8; 3] {
        let at = (y * beside.shape().width + x) * 3;
        let frame = beside.frame(frame);
        [frame[at], frame[at + 1], frame[at + 2]]
    }

    #[test]
    fn both_halves_are_in_their_places_over_their_labels() {
        let (red, blue) = ([200, 30, 30], [20, 40, 220]);
        let clips = [clip(96, 96, 12.0, &[red]), clip(96, 96, 12.0, &[blue])];
        let both = Beside::new(clips, &labels()).unwrap();
        // Twice as wide is wide enough for the labels.
        assert_eq!(both.zoom(), 2);
        let shape = both.shape();
        assert_eq!((shape.width, shape.frames, shape.fps), (386, 1, 12.0));
        assert!(shape.height > 192 + 30, "{}", shape.height);
        assert_eq!(both.frame(0).len(), shape.width * shape.height * 3);
        for (x, y, colour) in [
            (0, 0, red),
            (191, 191, red),
            (192, 100, PAPER),
            (193, 0, PAPER),
            (194, 0, blue),
            (385, 191, blue),
        ] {
            assert_eq!(pixel(&both, 0, x, y), colour, "{x}, {y}");
        }
        // Each half of the strip has letters, as bright as ink is, and room around them.
        let frame = both.frame(0);
        for half in [0..192, 194..386] {
            let brightest = (192..shape.height)
                .flat_map(|y| half.clone().map(move |x| (y, x)))
                .map(|(y, x)| frame[(y * shape.width + x) * 3 + 1])
                .max();
            assert!(brightest >= Some(0xE0), "{brightest:?}");
        }
        for y in [192, shape.height - 1] {
            assert!((0..shape.width).all(|x| pixel(&both, 0, x, y) == PAPER));
        }
    }

    #[test]
    fn large_clips_stay_as_they_are_and_small_ones_stay_sharp() {
        let wide = || clip(832, 480, 16.0, &[[1, 2, 3]]);
        let both = Beside::new([wide(), wide()], &labels()).unwrap();
        assert_eq!(both.zoom(), 1);
        assert_eq!(both.shape().width, 832 + 2 + 832);

        let mut checks = Clip::clone(&clip(64, 64, 12.0, &[[0; 3]]));
        checks.frames[0][3..6].fill(255);
        let both = Beside::new([Arc::new(checks), clip(64, 64, 12.0, &[[0; 3]])], &labels());
        let both = both.unwrap();
        let zoom = both.zoom();
        assert_eq!(pixel(&both, 0, zoom - 1, 0), [0; 3]);
        assert_eq!(pixel(&both, 0, zoom, zoom - 1), [255; 3]);
        assert_eq!(pixel(&both, 0, 2 * zoom, 0), [0; 3]);
    }

    #[test]
    fn a_longer_label_enlarges_more_up_to_a_limit() {
        let long = Label {
            title: "LSLSLSLSLS ".repeat(40),
            note: String::new(),
        };
        let small = || clip(64, 64, 12.0, &[[9; 3]]);
        let both = Beside::new([small(), small()], &[long, Label::default()]).unwrap();
        assert_eq!(both.zoom(), 12);
        assert_eq!(both.shape().width, 2 * 768 + 2);
    }

    #[test]
    fn time_is_the_first_clips_and_the_shorter_one_holds_its_last_frame() {
        let grey = |v: u8| [v; 3];
        let first = clip(96, 96, 12.0, &[grey(10), grey(20)]);
        // Twice as fast and three times as long.
        let frames: Vec<_> = (0..12).map(|i| grey(100 + i)).collect();
        let second = clip(96, 96, 24.0, &frames);
        let both = Beside::new([Arc::clone(&first), Arc::clone(&second)], &labels()).unwrap();
        assert_eq!((both.shape().frames, both.shape().fps), (6, 12.0));
        let greys = |both: &Beside, frame| [0, 385].map(|x| pixel(both, frame, x, 0)[0]);
        assert_eq!(greys(&both, 0), [10, 100]);
        assert_eq!(greys(&both, 1), [20, 102]);
        assert_eq!(greys(&both, 5), [20, 110]);
        let turned = Beside::new([second, first], &labels()).unwrap();
        assert_eq!((turned.shape().frames, turned.shape().fps), (12, 24.0));
        assert_eq!(greys(&turned, 1), [101, 10]);
        assert_eq!(greys(&turned, 11), [111, 20]);
    }

    #[test]
    fn the_second_clip_becomes_as_high_as_the_first() {
        let first = clip(96, 96, 12.0, &[[50; 3]]);
        let second = clip(64, 32, 12.0, &[[70; 3]]);
        let both = Beside::new([first, second], &labels()).unwrap();
        assert_eq!(both.shape().width, 192 + 2 + 384);
        assert_eq!(pixel(&both, 0, 577, 191), [70; 3]);
    }

    #[test]
    fn a_clip_without_frames_is_refused() {
        let clips = [clip(8, 8, 12.0, &[[0; 3]]), clip(8, 8, 12.0, &[])];
        let why = Beside::new(clips, &labels()).err().unwrap().to_string();
        assert!(why.contains("no frames"), "{why}");
    }
}
