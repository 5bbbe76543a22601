//! The arithmetic of Winograd's minimal filtering F(4, 3), along one axis and along both.

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::super::super::lanes::{Instructions, Lanes, Vectorised, WIDEST, prefetch, turn};
use super::super::sums::BLOCK;

/// Neighbours along an axis that are found together.
pub(super) const TILE: usize = 4;

/// Mixes of what they see, along an axis.
pub(super) const MIXES: usize = 6;

/// Mixes of a tile of `TILE x TILE`.
pub(super) const SQUARE: usize = MIXES * MIXES;

/// The mixes of a kernel's three places along an axis.
const OF_KERNEL: [[f64; MIXES]; 3] = [
    [
        1.0 / 4.0,
        -1.0 / 6.0,
        -1.0 / 6.0,
        1.0 / 24.0,
        1.0 / 24.0,
        0.0,
    ],
    [0.0, -1.0 / 6.0, 1.0 / 6.0, 1.0 / 12.0, -1.0 / 12.0, 0.0],
    [0.0, -1.0 / 6.0, -1.0 / 6.0, 1.0 / 6.0, 1.0 / 6.0, 1.0],
];

/// The mixed weight of `(outputs, inputs, kernel frames, 3, 3)` in the order in which the sums read it: `(blocks of
/// outputs, mixes along rows, mixes down columns, kernel frames, inputs, outputs of the block)`, zeros where the last block is
/// not full. Mixed in f64.
pub(in super::super) fn pack(weight: &Tensor) -> Result<Tensor> {
    let (outputs, inputs, t, h, w) = weight.dims5()?;
    let plain = weight.flatten_all()?.to_vec1::<f32>()?;
    let blocks = outputs.div_ceil(BLOCK);
    let place_len = inputs * t * BLOCK;
    let mut packed = vec![0f32; blocks * SQUARE * place_len];
    packed
        .par_chunks_mut((SQUARE * place_len).max(1))
        .zip(plain.par_chunks((BLOCK * inputs * t * h * w).max(1)))
        .for_each(|(packed, plain)| {
            for (i, taps) in plain.chunks_exact(h * w).enumerate() {
                let (output, input, frame) = (i / (inputs * t), i / t % inputs, i % t);
                let tap = frame * inputs + input;
                for (mix, value) in mix_kernel(taps, w).into_iter().enumerate() {
                    packed[mix * place_len + tap * BLOCK + output] = value as f32;
                }
            }
        });
    Tensor::from_vec(
        packed,
        &[blocks, MIXES, MIXES, t, inputs, BLOCK][..],
        weight.device(),
    )
}

/// The mixes of one kernel of `3 x 3`, whose rows lie `w` apart: along its rows, then down its columns.
fn mix_kernel(taps: &[f32], w: usize) -> [f64; SQUARE] {
    let mut mixes = [0.0; SQUARE];
    for (line, down) in taps.chunks_exact(w).zip(OF_KERNEL) {
        let mut along = [0.0; MIXES];
        for (tap, of_tap) in line.iter().zip(OF_KERNEL) {
            for (mixed, factor) in along.iter_mut().zip(of_tap) {
                *mixed += f64::from(*tap) * factor;
            }
        }
        for (mixes, along) in mixes.chunks_exact_mut(MIXES).zip(along) {
            for (mixed, factor) in mixes.iter_mut().zip(down) {
                *mixed += along * factor;
            }
        }
    }
    mixes
}

/// The six mixes of six neighbours.
#[inline(always)]
unsafe fn mix<L: Lanes>([d0, d1, d2, d3, d4, d5]: [L; MIXES]) -> [L; MIXES] {
    // SAFETY: the caller's promise.
    unsafe {
        let by = |factor: f32| L::splat(factor);
        let even = d4.add_product(by(-4.0), d2);
        let odd = d3.add_product(by(-4.0), d1);
        let near = d4.add_product(by(-1.0), d2);
        let far = d3.add_product(by(-1.0), d1);
        [
            d4.add_product(by(-5.0), d2).add_product(by(4.0), d0),
            even.add_product(by(1.0), odd),
            even.add_product(by(-1.0), odd),
            near.add_product(by(2.0), far),
            near.add_product(by(-2.0), far),
            d5.add_product(by(-5.0), d3).add_product(by(4.0), d1),
        ]
    }
}

/// Four outputs from the sums of six mixes.
#[inline(always)]
unsafe fn unmix<L: Lanes>([m0, m1, m2, m3, m4, m5]: [L; MIXES]) -> [L; TILE] {
    // SAFETY: the caller's promise.
    unsafe {
        let by = |factor: f32| L::splat(factor);
        let sum = m1.add_product(by(1.0), m2);
        let difference = m1.add_product(by(-1.0), m2);
        let far_sum = m3.add_product(by(1.0), m4);
        let far = m3.add_product(by(-1.0), m4);
        let first = m0.add_product(by(1.0), sum);
        let last = m5.add_product(by(1.0), difference);
        [
            first.add_product(by(1.0), far_sum),
            difference.add_product(by(2.0), far),
            sum.add_product(by(4.0), far_sum),
            last.add_product(by(8.0), far),
        ]
    }
}

/// Mixes the six numbers at a place, and those at the places after it: `len` of them and what fills the last vector up. The
/// mixes come to lie `step` apart.
#[inline(always)]
unsafe fn mix_places<L: Lanes>(from: [*const f32; MIXES], to: *mut f32, step: usize, len: usize) {
    for at in (0..len).step_by(L::WIDTH) {
        // SAFETY: the caller's promise.
        unsafe {
            let mixes = mix(from.map(|from| L::load(from.add(at))));
            for (i, mixed) in mixes.into_iter().enumerate() {
                mixed.store(to.add(i * step + at));
            }
        }
    }
}

/// Some rows of tiles over images.
#[derive(Clone, Copy)]
pub(super) struct Grid {
    /// Height and width of an image.
    pub size: (usize, usize),
    /// The image counts as twice as high and wide.
    pub doubled: bool,
    /// Zeros before each row and column.
    pub before: usize,
    /// The first row of tiles, how many there are, and the tiles of a row.
    pub top: usize,
    pub rows: usize,
    pub tiles: usize,
}

impl Grid {
    /// Numbers that a mix of one channel takes in `frames` frames. Vectors reach past the last tile of a row and overwrite what follows,
    /// so rows are written in the order in which they lie.
    pub(super) fn plane(&self, frames: usize) -> usize {
        let before = (frames * self.rows).saturating_sub(1) * self.tiles;
        before + self.tiles.next_multiple_of(WIDEST)
    }

    /// Has what the rows of tiles see of `image` brought near.
    pub(super) fn fetch(&self, image: &[f32]) {
        let scale = if self.doubled { 2 } else { 1 };
        let line = |y: usize| y.saturating_sub(self.before) / scale * self.size.1;
        let end = (self.top + self.rows) * TILE + MIXES - TILE;
        prefetch(image, line(self.top * TILE)..line(end));
    }

    /// The lines of `image` that a row of tiles sees, none where they lie outside.
    fn lines<'a>(&self, image: &'a [f32], row: usize) -> [Option<&'a [f32]>; MIXES] {
        let (height, width) = self.size;
        std::array::from_fn(|line| {
            let y = ((self.top + row) * TILE + line).checked_sub(self.before)?;
            let y = if self.doubled { y / 2 } else { y };
            (y < height).then(|| &image[y * width..][..width])
        })
    }
}

/// What images are mixed in.
#[derive(Default)]
pub(super) struct Mixer {
    /// What it was last made ready for: zeros before a line, its width, its tiles, and whether it is doubled.
    lie: Option<(usize, usize, usize, bool)>,
    /// A line outside the image.
    outside: Vec<f32>,
    /// A row of tiles mixed down the columns: `(mixes, columns)`, with the zeros around them.
    down: Vec<f32>,
    /// The same where every column counts twice.
    doubled: Vec<f32>,
    /// Every fourth number of them, from each of the first four on: `(mixes, first number, tiles + 1)`.
    phases: Vec<f32>,
}

impl Mixer {
    /// Mixes what the rows of tiles see of `image`: mix `m`, counted along rows and then down columns, comes to lie at `to` plus `m`
    /// times `step`, as much as [`Grid::plane`] tells.
    ///
    /// # Safety
    /// There it may be written.
    pub(super) unsafe fn run(
        &mut self,
        instructions: Instructions,
        grid: &Grid,
        image: &[f32],
        to: *mut f32,
        step: usize,
    ) {
        let width = grid.size.1;
        let phase = (grid.tiles + 1).next_multiple_of(TILE);
        let line = (TILE * phase).max(grid.before + width.next_multiple_of(WIDEST));
        // The zeros around the lines stay while lines of the same places are written.
        let lie = (grid.before, width, grid.tiles, grid.doubled);
        if self.lie != Some(lie) {
            self.lie = Some(lie);
            for (buffer, len) in [
                (&mut self.outside, width),
                (&mut self.down, MIXES * line),
                (&mut self.doubled, MIXES * line),
                (&mut self.phases, MIXES * TILE * phase + WIDEST),
            ] {
                buffer.clear();
                buffer.resize(len, 0.0);
            }
        }
        instructions.run(Mixing {
            grid,
            image,
            mixer: self,
            line,
            phase,
            to,
            step,
        });
    }
}

/// The work of [`Mixer::run`].
struct Mixing<'a> {
    grid: &'a Grid,
    image: &'a [f32],
    mixer: &'a mut Mixer,
    /// Numbers from a line to the next, and from a phase to the next.
    line: usize,
    phase: usize,
    to: *mut f32,
    step: usize,
}

impl Vectorised for Mixing<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Self {
            grid, line, phase, ..
        } = self;
        let Mixer {
            outside,
            down,
            doubled,
            phases,
            ..
        } = self.mixer;
        let width = grid.size.1;
        // What fills the last vector up would lie outside the image, or in its next line.
        let whole = width / L::WIDTH * L::WIDTH;
        let mut rest = [[0.0; WIDEST]; MIXES];
        for row in 0..grid.rows {
            let lines = grid
                .lines(self.image, row)
                .map(|line| line.unwrap_or(outside));
            // SAFETY: a line holds the whole vectors, and those of `down` the zeros before it and one more vector.
            unsafe {
                let to = down.as_mut_ptr().add(grid.before);
                mix_places::<L>(lines.map(<[f32]>::as_ptr), to, line, whole);
                if whole < width {
                    for (rest, line) in rest.iter_mut().zip(lines) {
                        rest[..width - whole].copy_from_slice(&line[whole..]);
                    }
                    let rest = rest.each_ref().map(|rest| rest.as_ptr());
                    mix_places::<L>(rest, to.add(whole), line, L::WIDTH);
                }
            }
            let lines: &[f32] = if grid.doubled {
                let wide = doubled.chunks_exact_mut(line);
                for (wide, line) in wide.zip(down.chunks_exact(line)) {
                    let pairs = wide[grid.before..].chunks_exact_mut(2);
                    for (pair, value) in pairs.zip(&line[grid.before..][..width]) {
                        pair.fill(*value);
                    }
                }
                doubled
            } else {
                down
            };
            let to_phases = phases.chunks_exact_mut(TILE * phase);
            for (phases, line) in to_phases.zip(lines.chunks_exact(line)) {
                share_out(line, phases, phase);
            }
            for down in 0..MIXES {
                let from = &phases[down * TILE * phase..];
                // The last two inputs of a tile are the first two of the next.
                let from = std::array::from_fn(|i| from[i % TILE * phase + i / TILE..].as_ptr());
                // SAFETY: `phases` has a vector more than it holds; the caller promises room in `to`.
                unsafe {
                    let to = self.to.add(down * self.step + row * grid.tiles);
                    mix_places::<L>(from, to, MIXES * self.step, grid.tiles);
                }
            }
        }
    }
}

/// The outputs of one channel from the sums of the mixes, which lie `step` apart: for `places` tiles, `(row within the tile, column
/// within the tile, places)`, each part of which takes `places` rounded up to [`WIDEST`]. `bias` is added to all.
pub(super) fn unmix_places(
    instructions: Instructions,
    sums: &[f32],
    step: usize,
    places: usize,
    bias: f32,
    outputs: &mut [f32],
) {
    let room = places.next_multiple_of(WIDEST);
    assert!(sums.len() >= (SQUARE - 1) * step + room);
    assert!(outputs.len() >= TILE * TILE * room);
    instructions.run(Unmixing {
        sums,
        step,
        places,
        bias,
        outputs,
        room,
    });
}

/// The work of [`unmix_places`].
struct Unmixing<'a> {
    sums: &'a [f32],
    step: usize,
    places: usize,
    bias: f32,
    outputs: &'a mut [f32],
    room: usize,
}

impl Vectorised for Unmixing<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let (sums, outputs) = (self.sums.as_ptr(), self.outputs.as_mut_ptr());
        for at in (0..self.places).step_by(L::WIDTH) {
            // SAFETY: the lengths were looked at.
            unsafe {
                let mut held = [[L::splat(0.0); MIXES]; TILE];
                for along in 0..MIXES {
                    let mut six = std::array::from_fn(|down| {
                        L::load(sums.add((along * MIXES + down) * self.step + at))
                    });
                    // Along either axis the second mix counts once for each of the four outputs.
                    if along == 1 {
                        six[1] = six[1].add_product(L::splat(1.0), L::splat(self.bias));
                    }
                    for (held, value) in held.iter_mut().zip(unmix(six)) {
                        held[along] = value;
                    }
                }
                for (y, held) in held.into_iter().enumerate() {
                    for (x, value) in unmix(held).into_iter().enumerate() {
                        value.store(outputs.add((y * TILE + x) * self.room + at));
                    }
                }
            }
        }
    }
}

/// Shares the numbers of `line` out in turn: every fourth goes to the first of the `phases`, which are `len` long, the next to the
/// second, and so on.
#[inline(always)]
fn share_out(line: &[f32], phases: &mut [f32], len: usize) {
    assert!(line.len() >= TILE * len && phases.len() >= TILE * len && len.is_multiple_of(TILE));
    for place in (0..len).step_by(TILE) {
        let from = std::array::from_fn(|i| line.as_ptr().wrapping_add((place + i) * TILE));
        let to = std::array::from_fn(|i| phases.as_mut_ptr().wrapping_add(i * len + place));
        // SAFETY: four numbers lie in `line` and in each of the phases from there on, as was looked at.
        unsafe { turn(from, to) };
    }
}

/// Puts numbers side by side that [`share_out`] would take apart: those of as many tiles as there are in `row`.
pub(super) fn weave(columns: [&[f32]; TILE], row: &mut [f32]) {
    let tiles = row.len() / TILE;
    assert!(tiles.is_multiple_of(TILE) && columns.iter().all(|column| column.len() >= tiles));
    for tile in (0..tiles).step_by(TILE) {
        let from = columns.map(|column| column.as_ptr().wrapping_add(tile));
        let to = std::array::from_fn(|i| row.as_mut_ptr().wrapping_add((tile + i) * TILE));
        // SAFETY: four numbers lie in each of the columns and in the row from there on, as was looked at.
        unsafe { turn(from, to) };
    }
}
