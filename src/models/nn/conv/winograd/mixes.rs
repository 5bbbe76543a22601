//! The arithmetic of Winograd's minimal filtering F(4, 3), along one axis and along both.

use candle_core::{Result, Tensor};
use rayon::prelude::*;

#[cfg(target_arch = "x86_64")]
use super::super::super::lanes::x86;
use super::super::super::lanes::{Instructions, Lanes, Plain, WIDEST, turn};
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
/// outputs, mixes along rows, mixes down columns, inputs, kernel frames, outputs of the block)`, zeros where the last block is
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
                let (output, tap) = (i / (inputs * t), i % (inputs * t));
                for (mix, value) in mix_kernel(taps, w).into_iter().enumerate() {
                    packed[mix * place_len + tap * BLOCK + output] = value as f32;
                }
            }
        });
    Tensor::from_vec(
        packed,
        &[blocks, MIXES, MIXES, inputs, t, BLOCK][..],
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

/// Where six numbers that are mixed lie: the first four `step` apart, the others `near` after the first two.
#[derive(Clone, Copy)]
struct Six {
    step: usize,
    near: usize,
}

/// The six mixes of six inputs, place by place, for `len` places and those that fill the last vector up; the mixes lie
/// `to_step` apart.
#[inline(always)]
unsafe fn mix<L: Lanes>(from: *const f32, six: Six, to: *mut f32, to_step: usize, len: usize) {
    for at in (0..len).step_by(L::WIDTH) {
        // SAFETY: the caller's promise.
        unsafe {
            let by = |factor: f32| L::splat(factor);
            let (from, to) = (from.add(at), to.add(at));
            let d0 = L::load(from);
            let d1 = L::load(from.add(six.step));
            let d2 = L::load(from.add(2 * six.step));
            let d3 = L::load(from.add(3 * six.step));
            let d4 = L::load(from.add(six.near));
            let d5 = L::load(from.add(six.step + six.near));
            let even = d4.add_product(by(-4.0), d2);
            let odd = d3.add_product(by(-4.0), d1);
            let near = d4.add_product(by(-1.0), d2);
            let far = d3.add_product(by(-1.0), d1);
            let first = d4.add_product(by(-5.0), d2).add_product(by(4.0), d0);
            let last = d5.add_product(by(-5.0), d3).add_product(by(4.0), d1);
            first.store(to);
            even.add_product(by(1.0), odd).store(to.add(to_step));
            even.add_product(by(-1.0), odd).store(to.add(2 * to_step));
            near.add_product(by(2.0), far).store(to.add(3 * to_step));
            near.add_product(by(-2.0), far).store(to.add(4 * to_step));
            last.store(to.add(5 * to_step));
        }
    }
}

/// Four outputs from the sums of six mixes, likewise.
#[inline(always)]
unsafe fn unmix<L: Lanes>(from: *const f32, six: Six, to: *mut f32, to_step: usize, len: usize) {
    for at in (0..len).step_by(L::WIDTH) {
        // SAFETY: the caller's promise.
        unsafe {
            let by = |factor: f32| L::splat(factor);
            let (from, to) = (from.add(at), to.add(at));
            let m0 = L::load(from);
            let m1 = L::load(from.add(six.step));
            let m2 = L::load(from.add(2 * six.step));
            let m3 = L::load(from.add(3 * six.step));
            let m4 = L::load(from.add(six.near));
            let m5 = L::load(from.add(six.step + six.near));
            let sum = m1.add_product(by(1.0), m2);
            let difference = m1.add_product(by(-1.0), m2);
            let far_sum = m3.add_product(by(1.0), m4);
            let far = m3.add_product(by(-1.0), m4);
            let first = m0.add_product(by(1.0), sum);
            let last = m5.add_product(by(1.0), difference);
            first.add_product(by(1.0), far_sum).store(to);
            difference.add_product(by(2.0), far).store(to.add(to_step));
            sum.add_product(by(4.0), far_sum).store(to.add(2 * to_step));
            last.add_product(by(8.0), far).store(to.add(3 * to_step));
        }
    }
}

/// A function that does `$work` with the instructions it is told: `$parts` slices, `to_step` apart, come of six.
macro_rules! with_instructions {
    ($name:ident, $work:ident, $parts:ident) => {
        fn $name(
            instructions: Instructions,
            from: &[f32],
            six: Six,
            to: &mut [f32],
            to_step: usize,
            len: usize,
        ) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            unsafe fn avx2(from: *const f32, six: Six, to: *mut f32, to_step: usize, len: usize) {
                // SAFETY: the caller's promise.
                unsafe { $work::<x86::Avx2>(from, six, to, to_step, len) };
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f")]
            unsafe fn avx512(from: *const f32, six: Six, to: *mut f32, to_step: usize, len: usize) {
                // SAFETY: the caller's promise.
                unsafe { $work::<x86::Avx512>(from, six, to, to_step, len) };
            }
            let room = len.next_multiple_of(WIDEST);
            assert!(from.len() >= (3 * six.step).max(six.step + six.near) + room);
            assert!(to.len() >= ($parts - 1) * to_step + room);
            let (from, to) = (from.as_ptr(), to.as_mut_ptr());
            // SAFETY: the lengths were looked at, and the processor where the instructions were chosen.
            unsafe {
                match instructions {
                    Instructions::Plain => $work::<Plain>(from, six, to, to_step, len),
                    #[cfg(target_arch = "x86_64")]
                    Instructions::Avx2 => avx2(from, six, to, to_step, len),
                    #[cfg(target_arch = "x86_64")]
                    Instructions::Avx512 => avx512(from, six, to, to_step, len),
                }
            }
        }
    };
}

with_instructions!(mix_places, mix, MIXES);
with_instructions!(unmix_places, unmix, TILE);

/// What the mixing of one channel of one frame works in: `rows` rows of `tiles` tiles. Places are worked on by whole vectors,
/// so that what follows the last is overwritten; everything is therefore written in the order in which it lies.
#[derive(Default)]
pub(super) struct Mixer {
    rows: usize,
    tiles: usize,
    /// A row of the input, with the zeros around it.
    pub(super) row: Vec<f32>,
    /// Every fourth number of it, from each of the first four on.
    phases: Vec<f32>,
    /// Mixes along the rows: `(mixes, row within its tile, rows of tiles + 1, tiles)`.
    along: Vec<f32>,
}

impl Mixer {
    /// Makes room.
    pub(super) fn fit(&mut self, rows: usize, tiles: usize) {
        (self.rows, self.tiles) = (rows, tiles);
        let phase = tiles.next_multiple_of(WIDEST) + TILE;
        self.row.clear();
        self.row.resize(phase * TILE, 0.0);
        self.phases.resize(phase * TILE, 0.0);
        self.along.resize(MIXES * self.plane(), 0.0);
    }

    /// The lines that the rows of tiles see, in the order in which they are to be added.
    pub(super) fn lines(&self) -> impl Iterator<Item = usize> + use<> {
        let lines = self.rows * TILE + MIXES - TILE;
        (0..TILE).flat_map(move |first| (first..lines).step_by(TILE))
    }

    fn plane(&self) -> usize {
        TILE * (self.rows + 1) * self.tiles + WIDEST
    }

    fn start(&self, line: usize) -> usize {
        (line % TILE * (self.rows + 1) + line / TILE) * self.tiles
    }

    /// Mixes `row` as a line of those that the tiles see, or a row of zeros where it lies outside.
    pub(super) fn add_row(&mut self, instructions: Instructions, line: usize, outside: bool) {
        let (start, plane) = (self.start(line), self.plane());
        if outside {
            for mix in self.along.chunks_exact_mut(plane) {
                mix[start..start + self.tiles].fill(0.0);
            }
            return;
        }
        let phase = self.row.len() / TILE;
        share_out(&self.row, &mut self.phases, phase);
        let six = Six {
            step: phase,
            near: 1,
        };
        let to = &mut self.along[start..];
        mix_places(instructions, &self.phases, six, to, plane, self.tiles);
    }

    /// Mixes the rows down their columns: those of mix `m` go to `at` in part `m` of `mixed`, whose parts are `step` long.
    pub(super) fn finish(
        &self,
        instructions: Instructions,
        mixed: &mut [f32],
        step: usize,
        at: usize,
    ) {
        let six = Six {
            step: self.start(1),
            near: self.start(TILE),
        };
        let along = self.along.chunks_exact(self.plane());
        for (along, mixed) in along.zip(mixed.chunks_exact_mut(MIXES * step)) {
            let places = self.rows * self.tiles;
            mix_places(instructions, along, six, &mut mixed[at..], step, places);
        }
    }
}

/// What an output is put together in.
#[derive(Default)]
pub(super) struct Unmixer {
    /// Sums of the mixes along rows: `(row within its tile, mixes, places)`.
    down: Vec<f32>,
    /// Outputs of a row within its tile: `(column within its tile, places)`.
    row: Vec<f32>,
}

impl Unmixer {
    /// The outputs at `places` from the sums of the mixes, which lie `step` apart: hands over each row within the tiles
    /// with its four columns.
    pub(super) fn run(
        &mut self,
        instructions: Instructions,
        sums: &[f32],
        step: usize,
        places: usize,
        mut rows: impl FnMut(usize, [&[f32]; TILE]),
    ) {
        let Self { down, row } = self;
        let room = places.next_multiple_of(WIDEST);
        down.resize(TILE * MIXES * room, 0.0);
        row.resize(TILE * room, 0.0);
        let apart = |step: usize| Six {
            step,
            near: TILE * step,
        };
        for (along, sums) in sums.chunks(MIXES * step).enumerate().take(MIXES) {
            let down = &mut down[along * room..];
            unmix_places(instructions, sums, apart(step), down, MIXES * room, places);
        }
        for (y, down) in down.chunks_exact(MIXES * room).enumerate() {
            unmix_places(instructions, down, apart(room), row, room, places);
            let mut columns = row.chunks_exact(room);
            rows(
                y,
                std::array::from_fn(|_| columns.next().unwrap_or_default()),
            );
        }
    }
}

/// Shares the numbers of `row` out in turn: every fourth goes to the first of the `phases`, which are `len` long, the next to the
/// second, and so on.
fn share_out(row: &[f32], phases: &mut [f32], len: usize) {
    assert!(row.len() >= TILE * len && phases.len() >= TILE * len && len.is_multiple_of(TILE));
    for place in (0..len).step_by(TILE) {
        let from = std::array::from_fn(|i| row.as_ptr().wrapping_add((place + i) * TILE));
        let to = std::array::from_fn(|i| phases.as_mut_ptr().wrapping_add(i * len + place));
        // SAFETY: four numbers lie in `row` and in each of the phases from there on, as was looked at.
        unsafe { turn(from, to) };
    }
}

/// Puts numbers side by side that [`share_out`] would take apart.
pub(super) fn weave(columns: [&[f32]; TILE], row: &mut [f32]) {
    let tiles = columns
        .iter()
        .fold(row.len() / TILE, |tiles, column| tiles.min(column.len()));
    let whole = tiles / TILE * TILE;
    for tile in (0..whole).step_by(TILE) {
        let from = columns.map(|column| column.as_ptr().wrapping_add(tile));
        let to = std::array::from_fn(|i| row.as_mut_ptr().wrapping_add((tile + i) * TILE));
        // SAFETY: four numbers lie in each of the columns and in the row from there on, as was counted.
        unsafe { turn(from, to) };
    }
    for (tile, four) in row
        .chunks_exact_mut(TILE)
        .enumerate()
        .take(tiles)
        .skip(whole)
    {
        for (value, column) in four.iter_mut().zip(columns) {
            *value = column[tile];
        }
    }
}

/// The mix to whose sums a number is added that is to be added to all outputs of a tile: along either axis the second
/// counts once for each of the four.
pub(super) const OF_ALL: usize = MIXES + 1;
