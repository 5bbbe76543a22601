//! Clips decoded in tiles that overlap, where the whole does not fit into memory.

use std::collections::VecDeque;
use std::ops::Range;

use candle_core::{DType, Device, Tensor};

use super::ModelError;

/// How the latents are cut along one axis, in latent positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The longest a tile may be.
    pub length: usize,
    /// What neighbours share at least; a quarter of the length at most, so that no position lies in
    /// three tiles.
    pub overlap: usize,
}

/// How a family's VAE is run in tiles, and how its latents and pixels belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiling {
    /// Height and width.
    pub side: Span,
    /// Frames; `None` where the VAE goes through them in chunks of its own.
    pub frames: Option<Span>,
    /// Pixels along a side of a latent position.
    pub pixels: usize,
    /// Frames of video for each latent frame after the first, which stands for one.
    pub pace: usize,
}

/// What decodes a tile: given its place `(frames, rows, columns)` in the latents, the latents there, its
/// number and how many tiles there are.
type DecodeTile<'a> =
    dyn FnMut([Range<usize>; 3], Tensor, (usize, usize)) -> Result<Tensor, ModelError> + 'a;

/// One tile along one axis.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cut {
    latents: Range<usize>,
    /// What it becomes: pixels or frames.
    made: Range<usize>,
    /// How much of that the tile before it made as well, and the tile after it.
    shared: [usize; 2],
}

impl Tiling {
    /// The largest tile `(frames, height, width)` of latents `(1, C, T, h, w)`.
    pub fn largest(&self, [_, _, frames, height, width]: [usize; 5]) -> [usize; 3] {
        let longest = |total, span: Span| {
            let cuts = span.cut(total);
            cuts.iter().map(ExactSizeIterator::len).max().unwrap_or(0)
        };
        [
            self.frames.map_or(frames, |span| longest(frames, span)),
            longest(height, self.side),
            longest(width, self.side),
        ]
    }

    /// The clip `(width, height, frames)` that latents `(frames, height, width)` become.
    pub fn pixels_of(&self, [frames, height, width]: [usize; 3]) -> (usize, usize, usize) {
        let frames = frames.saturating_sub(1) * self.pace + 1;
        (width * self.pixels, height * self.pixels, frames)
    }

    fn along_side(&self, total: usize) -> Vec<Cut> {
        let made = |latents: &Range<usize>| latents.start * self.pixels..latents.end * self.pixels;
        cuts(self.side.cut(total), made)
    }

    fn along_frames(&self, total: usize) -> Vec<Cut> {
        // A tile's first latent frame becomes a single frame, wherever it is cut off.
        let made = |latents: &Range<usize>| {
            latents.start * self.pace..latents.end.saturating_sub(1) * self.pace + 1
        };
        let whole = Span {
            length: total,
            overlap: 0,
        };
        cuts(self.frames.unwrap_or(whole).cut(total), made)
    }
}

/// A decode in tiles that is under way. Where tiles overlap one fades into the other.
pub(super) struct TiledDecode<'a> {
    latents: &'a Tensor,
    /// Along frames, height and width.
    axes: [Vec<Cut>; 3],
    /// Tiles along the frames that are done.
    done: usize,
    window: Window,
}

impl<'a> TiledDecode<'a> {
    /// Of latents `(1, C, T, h, w)`.
    pub(super) fn new(tiling: &Tiling, latents: &'a Tensor) -> candle_core::Result<Self> {
        let (_, _, frames, height, width) = latents.dims5()?;
        let axes = [
            tiling.along_frames(frames),
            tiling.along_side(height),
            tiling.along_side(width),
        ];
        let end = |axis: usize| axes[axis].last().map_or(0, |cut| cut.made.end);
        Ok(Self {
            window: Window::new(end(1), end(2)),
            latents,
            axes,
            done: 0,
        })
    }

    /// Decodes the next tiles along the frames, all that lie beside one another. Gives the frames that no later tile
    /// changes, in order: `(1, 3, f, H, W)`, f32 on the CPU; `None` after the last.
    pub(super) fn next(
        &mut self,
        decode: &mut DecodeTile<'_>,
    ) -> Result<Option<Tensor>, ModelError> {
        let [along_frames, rows, columns] = &self.axes;
        let Some(t) = along_frames.get(self.done) else {
            return Ok(None);
        };
        let beside = rows.len() * columns.len();
        let count = along_frames.len() * beside;
        self.window.reach(t.made.end);
        let places = rows
            .iter()
            .flat_map(|y| columns.iter().map(move |x| (y, x)));
        for (i, (y, x)) in places.enumerate() {
            let place = [t, y, x].map(|cut| cut.latents.clone());
            let tile = part(self.latents, &place)?;
            let made = decode(place, tile, (self.done * beside + i, count))?;
            self.window.add(&made, [t, y, x])?;
        }
        self.done += 1;
        Ok(Some(self.window.pass(t.made.end - t.shared[1])?))
    }
}

impl Span {
    /// Tiles of about one length that cover `total` positions.
    fn cut(self, total: usize) -> Vec<Range<usize>> {
        let Self { length, overlap } = self;
        if total <= length || length <= overlap {
            return std::iter::once(0..total).collect();
        }
        let count = (total - overlap).div_ceil(length - overlap);
        let length = (total + (count - 1) * overlap).div_ceil(count);
        let starts = (0..count).map(|i| i * (total - length) / (count - 1));
        starts.map(|start| start..start + length).collect()
    }
}

/// The part of `(1, C, T, h, w)` at a place `(frames, rows, columns)`.
pub(super) fn part(whole: &Tensor, place: &[Range<usize>; 3]) -> candle_core::Result<Tensor> {
    let mut part = whole.clone();
    for (axis, range) in place.iter().enumerate() {
        part = part.narrow(axis + 2, range.start, range.len())?;
    }
    part.contiguous()
}

fn cuts(tiles: Vec<Range<usize>>, made: impl Fn(&Range<usize>) -> Range<usize>) -> Vec<Cut> {
    let ranges: Vec<_> = tiles.iter().map(&made).collect();
    let shared = |before: &Range<usize>, after: &Range<usize>| before.end - after.start;
    tiles
        .into_iter()
        .enumerate()
        .map(|(i, latents)| Cut {
            latents,
            made: ranges[i].clone(),
            shared: [
                if i == 0 {
                    0
                } else {
                    shared(&ranges[i - 1], &ranges[i])
                },
                ranges.get(i + 1).map_or(0, |next| shared(&ranges[i], next)),
            ],
        })
        .collect()
}

impl Cut {
    /// What each of its pixels counts: 1, but where a neighbour overlaps, a ramp. There the shares of
    /// both add up to 1.
    fn shares(&self) -> Vec<f32> {
        let length = self.made.len();
        let ramp = |i: usize, shared: usize| {
            if i < shared {
                (i as f32 + 0.5) / shared as f32
            } else {
                1.0
            }
        };
        (0..length)
            .map(|i| ramp(i, self.shared[0]) * ramp(length - 1 - i, self.shared[1]))
            .collect()
    }
}

/// The frames of a video that are being put together: those before are done, those behind not begun.
struct Window {
    /// The first of them.
    start: usize,
    /// Each `(3, H, W)`.
    frames: VecDeque<Vec<f32>>,
    height: usize,
    width: usize,
}

impl Window {
    fn new(height: usize, width: usize) -> Self {
        Self {
            start: 0,
            frames: VecDeque::new(),
            height,
            width,
        }
    }

    /// Begins the frames before `end`, black.
    fn reach(&mut self, end: usize) {
        let volume = 3 * self.height * self.width;
        self.frames.resize(end - self.start, vec![0.0; volume]);
    }

    /// Adds a tile `(1, 3, f, h, w)` to the frames of which it is a part.
    fn add(&mut self, tile: &Tensor, cuts: [&Cut; 3]) -> Result<(), ModelError> {
        let [t, y, x] = cuts;
        let expected = [1, 3, t.made.len(), y.made.len(), x.made.len()];
        if tile.dims() != expected {
            return Err(ModelError::Input {
                what: "a decoded tile",
                found: tile.dims().to_vec(),
                expected: format!("{expected:?}"),
            });
        }
        let tile = tile.to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
        let values = tile.flatten_all()?.to_vec1::<f32>()?;
        let [by_frame, by_row, by_column] = cuts.map(Cut::shares);
        let mut rows = values.chunks_exact(x.made.len().max(1));
        for colour in 0..3 {
            for (frame, in_time) in t.made.clone().zip(&by_frame) {
                for (row, in_height) in y.made.clone().zip(&by_row) {
                    let start = (colour * self.height + row) * self.width + x.made.start;
                    let target = &mut self.frames[frame - self.start][start..][..x.made.len()];
                    let share = in_time * in_height;
                    let made = rows.next().unwrap_or_default();
                    for ((sum, value), in_width) in target.iter_mut().zip(made).zip(&by_column) {
                        *sum += share * in_width * value;
                    }
                }
            }
        }
        Ok(())
    }

    /// Goes on to the frame `end`; gives those before it as `(1, 3, f, H, W)`.
    fn pass(&mut self, end: usize) -> candle_core::Result<Tensor> {
        let count = end - self.start;
        self.start = end;
        let shape = (1, 3, 1, self.height, self.width);
        let passed = self.frames.drain(..count);
        let passed = passed.map(|frame| Tensor::from_vec(frame, shape, &Device::Cpu));
        Tensor::cat(&passed.collect::<candle_core::Result<Vec<_>>>()?, 2)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TILING: Tiling = Tiling {
        side: Span {
            length: 8,
            overlap: 2,
        },
        frames: Some(Span {
            length: 4,
            overlap: 1,
        }),
        pixels: 4,
        pace: 8,
    };

    proptest! {
        #[test]
        fn tiles_cover_an_axis_and_no_position_lies_in_three(
            total in 1usize..200, overlap in 1usize..9, more in 0usize..40,
        ) {
            let span = Span { length: 4 * overlap + more, overlap };
            let tiles = span.cut(total);
            prop_assert_eq!((tiles[0].start, tiles[tiles.len() - 1].end), (0, total));
            prop_assert!(tiles.iter().all(|tile| tile.len() <= span.length));
            for pair in tiles.windows(2) {
                prop_assert!(pair[0].end >= pair[1].start + overlap);
            }
            for three in tiles.windows(3) {
                prop_assert!(three[0].end <= three[2].start);
            }
        }

        #[test]
        fn shares_add_up_to_one(total in 1usize..60) {
            for (cuts, made) in [
                (TILING.along_side(total), 4 * total),
                (TILING.along_frames(total), 8 * (total - 1) + 1),
            ] {
                let mut sums = vec![0f32; made];
                for cut in cuts {
                    for (i, share) in cut.made.clone().zip(cut.shares()) {
                        sums[i] += share;
                    }
                }
                prop_assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-6), "{sums:?}");
            }
        }
    }

    /// A decoder without borders: every latent becomes a block of its own value.
    fn blocks(latents: &Tensor) -> Tensor {
        let mut x = latents.narrow(1, 0, 3).unwrap();
        for (axis, times) in [(2, 8), (3, 4), (4, 4)] {
            let copies: Vec<u32> = (0..x.dim(axis).unwrap() * times)
                .map(|i| (i / times) as u32)
                .collect();
            let copies = Tensor::new(copies, &Device::Cpu).unwrap();
            x = x.index_select(&copies, axis).unwrap();
        }
        let frames = x.dim(2).unwrap();
        x.narrow(2, 7, frames - 7).unwrap()
    }

    #[test]
    fn a_decoder_without_borders_gives_the_same_in_tiles() {
        for shape in [(1, 5, 9, 21, 11), (1, 3, 1, 8, 30), (1, 4, 4, 3, 3)] {
            let latents = Tensor::randn(0f32, 1.0, shape, &Device::Cpu).unwrap();
            let (mut seen, mut parts) = (Vec::new(), Vec::new());
            let in_time = TILING.along_frames(shape.2).len();
            let decode = &mut |place: [Range<usize>; 3], tile: Tensor, at| {
                assert_eq!(tile.dims()[2..], place.map(|range| range.len()));
                seen.push(at);
                Ok(blocks(&tile))
            };
            let mut tiled = TiledDecode::new(&TILING, &latents).unwrap();
            while let Some(frames) = tiled.next(decode).unwrap() {
                parts.push(frames);
            }
            let count = seen.len();
            assert!(seen.into_iter().eq((0..count).map(|i| (i, count))));
            // Some come with every tile along the frames.
            assert_eq!(parts.len(), in_time);
            assert!(parts.iter().all(|part| part.dim(2).unwrap() > 0));
            let tiled = Tensor::cat(&parts, 2).unwrap();
            let whole = blocks(&latents);
            assert_eq!(tiled.dims(), whole.dims());
            let apart = (tiled - whole).unwrap().abs().unwrap().max_all().unwrap();
            assert!(apart.to_scalar::<f32>().unwrap() < 1e-5);
            let [frames, height, width] = TILING.largest(latents.dims5().unwrap().into());
            assert!(frames <= 4 && height <= 8 && width <= 8);
        }
    }
}
