//! Words drawn into pixels, for what has no window around it.

use skrifa::instance::{LocationRef, Size};
use skrifa::outline::{DrawSettings, OutlinePen};
use skrifa::{FontRef, MetadataProvider as _};

use super::MediaError;

/// Straight pieces that a curve is drawn with; enough for letters of any size that a label has.
const PIECES: u32 = 8;
/// Lines looked at in each row of pixels.
const LINES: usize = 8;

/// The bundled font of words, at a size.
pub(super) struct Face {
    font: FontRef<'static>,
    size_px: f32,
}

impl Face {
    /// Words.
    pub(super) fn regular(size_px: f32) -> Result<Self, MediaError> {
        Self::of(
            include_bytes!("../../assets/fonts/Inter-Regular.otf"),
            size_px,
        )
    }

    /// Words that matter.
    pub(super) fn bold(size_px: f32) -> Result<Self, MediaError> {
        Self::of(
            include_bytes!("../../assets/fonts/Inter-SemiBold.otf"),
            size_px,
        )
    }

    fn of(bytes: &'static [u8], size_px: f32) -> Result<Self, MediaError> {
        let font = FontRef::new(bytes).map_err(|why| MediaError::Font(why.to_string()))?;
        Ok(Self { font, size_px })
    }

    fn advance_px(&self, letter: char) -> f32 {
        let metrics = self
            .font
            .glyph_metrics(Size::new(self.size_px), LocationRef::default());
        let glyph = self.font.charmap().map(letter).unwrap_or_default();
        metrics.advance_width(glyph).unwrap_or_default()
    }

    /// Width of a line.
    pub(super) fn width_px(&self, text: &str) -> f32 {
        text.chars().map(|letter| self.advance_px(letter)).sum()
    }

    /// Height of capitals: what is centred to look centred.
    pub(super) fn capitals_px(&self) -> f32 {
        let metrics = self
            .font
            .metrics(Size::new(self.size_px), LocationRef::default());
        metrics.cap_height.unwrap_or(self.size_px * 0.7)
    }

    /// The text, shortened with `…` where it is wider than `most_px`.
    pub(super) fn fit(&self, text: &str, most_px: f32) -> String {
        let mut fitting = text.to_owned();
        let mut ends = "";
        while self.width_px(&fitting) + self.width_px(ends) > most_px && fitting.pop().is_some() {
            ends = "…";
        }
        fitting.truncate(fitting.trim_end().len());
        fitting + ends
    }

    /// How much of each pixel the letters cover, 0..=1, in `width` by `height` pixels with the text's
    /// left end and base line at `at`.
    pub(super) fn coverage(
        &self,
        text: &str,
        at: (f32, f32),
        (width, height): (usize, usize),
    ) -> Vec<f32> {
        let mut outline = Outline::at(at);
        let (glyphs, charmap) = (self.font.outline_glyphs(), self.font.charmap());
        for letter in text.chars() {
            let size = Size::new(self.size_px);
            if let Some(glyph) = charmap.map(letter).and_then(|id| glyphs.get(id)) {
                // A letter that cannot be drawn leaves its place empty.
                let _ = glyph.draw(
                    DrawSettings::unhinted(size, LocationRef::default()),
                    &mut outline,
                );
            }
            outline.origin.0 += self.advance_px(letter);
        }
        outline.coverage(width, height)
    }
}

/// The outlines of letters as straight edges in pixels, y downwards.
struct Outline {
    origin: (f32, f32),
    start: (f32, f32),
    last: (f32, f32),
    edges: Vec<[(f32, f32); 2]>,
}

impl Outline {
    fn at(origin: (f32, f32)) -> Self {
        Self {
            origin,
            start: origin,
            last: origin,
            edges: Vec::new(),
        }
    }

    fn place(&self, x: f32, y: f32) -> (f32, f32) {
        (self.origin.0 + x, self.origin.1 - y)
    }

    fn edge_to(&mut self, to: (f32, f32)) {
        self.edges.push([self.last, to]);
        self.last = to;
    }

    fn curve(&mut self, point: impl Fn(f32) -> (f32, f32)) {
        for piece in 1..=PIECES {
            self.edge_to(point(piece as f32 / PIECES as f32));
        }
    }

    /// Where a horizontal line crosses the edges, from left to right, each with the edge's direction.
    fn crossings(&self, y: f32) -> Vec<(f32, i32)> {
        let mut crossings: Vec<(f32, i32)> = self
            .edges
            .iter()
            .filter(|[from, to]| (from.1 <= y) != (to.1 <= y))
            .map(|[from, to]| {
                let x = from.0 + (y - from.1) / (to.1 - from.1) * (to.0 - from.0);
                (x, if from.1 < to.1 { 1 } else { -1 })
            })
            .collect();
        crossings.sort_by(|a, b| a.0.total_cmp(&b.0));
        crossings
    }

    fn coverage(&self, width: usize, height: usize) -> Vec<f32> {
        let mut covered = vec![0.0; width * height];
        for (row, pixels) in covered.chunks_mut(width.max(1)).enumerate() {
            for line in 0..LINES {
                let y = row as f32 + (line as f32 + 0.5) / LINES as f32;
                let mut winding = 0;
                let mut begun = 0.0;
                for (x, direction) in self.crossings(y) {
                    if winding == 0 {
                        begun = x;
                    }
                    winding += direction;
                    if winding == 0 {
                        cover(pixels, begun, x);
                    }
                }
            }
        }
        covered
    }
}

/// Adds one line's share to the pixels between two places.
fn cover(pixels: &mut [f32], from: f32, to: f32) {
    let (from, to) = (from.max(0.0), to.min(pixels.len() as f32));
    for (x, pixel) in pixels.iter_mut().enumerate().skip(from as usize) {
        let share = (x as f32 + 1.0).min(to) - (x as f32).max(from);
        if share <= 0.0 {
            break;
        }
        *pixel += share / LINES as f32;
    }
}

impl OutlinePen for Outline {
    fn move_to(&mut self, x: f32, y: f32) {
        self.start = self.place(x, y);
        self.last = self.start;
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let to = self.place(x, y);
        self.edge_to(to);
    }

    fn quad_to(&mut self, cx: f32, cy: f32, x: f32, y: f32) {
        let (a, b, c) = (self.last, self.place(cx, cy), self.place(x, y));
        self.curve(|t| {
            let mix = |a: f32, b: f32, c: f32| {
                let s = 1.0 - t;
                s * s * a + 2.0 * s * t * b + t * t * c
            };
            (mix(a.0, b.0, c.0), mix(a.1, b.1, c.1))
        });
    }

    fn curve_to(&mut self, cx0: f32, cy0: f32, cx1: f32, cy1: f32, x: f32, y: f32) {
        let (a, b) = (self.last, self.place(cx0, cy0));
        let (c, d) = (self.place(cx1, cy1), self.place(x, y));
        self.curve(|t| {
            let mix = |a: f32, b: f32, c: f32, d: f32| {
                let s = 1.0 - t;
                s * s * (s * a + 3.0 * t * b) + t * t * (3.0 * s * c + t * d)
            };
            (mix(a.0, b.0, c.0, d.0), mix(a.1, b.1, c.1, d.1))
        });
    }

    fn close(&mut self) {
        self.edge_to(self.start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The covered share of a text of one letter, and its rows and columns that hold any of it.
    fn drawn(letter: &str) -> (f32, usize, usize) {
        let face = Face::regular(100.0).unwrap();
        let (width, height) = (120, 120);
        let covered = face.coverage(letter, (10.0, 100.0), (width, height));
        assert!(covered.iter().all(|c| (0.0..=1.001).contains(c)));
        let row = |y: usize| covered[y * width..][..width].iter().any(|c| *c > 0.5);
        let column = |x: usize| (0..height).any(|y| covered[y * width + x] > 0.5);
        (
            covered.iter().sum::<f32>() / (width * height) as f32,
            (0..height).filter(|y| row(*y)).count(),
            (0..width).filter(|x| column(*x)).count(),
        )
    }

    #[test]
    fn letters_have_the_shapes_of_the_font() {
        let capitals = Face::regular(100.0).unwrap().capitals_px();
        let (l_share, l_rows, l_columns) = drawn("L");
        assert!((l_rows as f32 - capitals).abs() <= 1.0, "{l_rows}");
        // An L is a bar and a foot; an O has a hole, and is rounder than high.
        assert!((0.05..0.12).contains(&l_share), "{l_share}");
        let (o_share, _, o_columns) = drawn("O");
        assert!(o_columns > l_columns && (0.1..0.25).contains(&o_share));
        assert_eq!(drawn(" ").0, 0.0);
    }

    #[test]
    fn long_words_are_shortened_and_short_ones_are_not() {
        let face = Face::bold(15.0).unwrap();
        assert_eq!(face.fit("LSL", 100.0), "LSL");
        let short = face.fit("a label of many words", 80.0);
        assert!(
            short.starts_with("a lab") && short.ends_with('…'),
            "{short}"
        );
        assert!(face.width_px(&short) <= 80.0);
        assert_eq!(face.fit("LSL", 0.0), "…");
    }
}
