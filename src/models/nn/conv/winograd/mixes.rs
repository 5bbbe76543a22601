//! The arithmetic of Winograd's minimal filtering F(4, 3), along one axis and along both.

use candle_core::{Result, Tensor};
use rayon::prelude::*;

#[cfg(target_arch = "x86_64")]
use super::super::super::lanes::x86;
use super::super::super::lanes::{Instructions, Lanes, Plain, WIDEST};
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

/// The mixes of one kernel of `3 x 3`, whose rows lie `w` apart.
fn mix_kernel(taps: &[f32], w: usize) -> [f64; SQUARE] {
    let mut mixes = [0.0; SQUARE];
    for (line, down) in taps.chunks_exact(w).zip(OF_KERNEL) {
        for (tap, along) in line.iter().zip(OF_KERNEL) {
            for (mix, mixed) in mixes.iter_mut().enumerate() {
                *mixed += f64::from(*tap) * along[mix / MIXES] * down[mix % MIXES];
            }
        }
    }
    mixes
}

/// The six mixes of six inputs, place by place, for `len` places and those that fill the last vector up.
#[inline(always)]
unsafe fn mix<L: Lanes>(seen: [*const f32; MIXES], mixes: [*mut f32; MIXES], len: usize) {
    for at in (0..len).step_by(L::WIDTH) {
        // SAFETY: the caller's promise.
        unsafe {
            let by = |factor: f32| L::splat(factor);
            let [d0, d1, d2, d3, d4, d5] = seen.map(|d| L::load(d.add(at)));
            let even = d4.add_product(by(-4.0), d2);
            let odd = d3.add_product(by(-4.0), d1);
            let near = d4.add_product(by(-1.0), d2);
            let far = d3.add_product(by(-1.0), d1);
            let mixed = [
                d4.add_product(by(-5.0), d2).add_product(by(4.0), d0),
                even.add_product(by(1.0), odd),
                even.add_product(by(-1.0), odd),
                near.add_product(by(2.0), far),
                near.add_product(by(-2.0), far),
                d5.add_product(by(-5.0), d3).add_product(by(4.0), d1),
            ];
            for (mix, mixed) in mixes.into_iter().zip(mixed) {
                mixed.store(mix.add(at));
            }
        }
    }
}

/// Four outputs from the sums of six mixes, likewise.
#[inline(always)]
unsafe fn unmix<L: Lanes>(sums: [*const f32; MIXES], outputs: [*mut f32; TILE], len: usize) {
    for at in (0..len).step_by(L::WIDTH) {
        // SAFETY: the caller's promise.
        unsafe {
            let by = |factor: f32| L::splat(factor);
            let [m0, m1, m2, m3, m4, m5] = sums.map(|m| L::load(m.add(at)));
            let (sum, difference) = (m1.add_product(by(1.0), m2), m1.add_product(by(-1.0), m2));
            let (far_sum, far_difference) =
                (m3.add_product(by(1.0), m4), m3.add_product(by(-1.0), m4));
            let found = [
                m0.add_product(by(1.0), sum).add_product(by(1.0), far_sum),
                difference.add_product(by(2.0), far_difference),
                sum.add_product(by(4.0), far_sum),
                m5.add_product(by(1.0), difference)
                    .add_product(by(8.0), far_difference),
            ];
            for (output, found) in outputs.into_iter().zip(found) {
                found.store(output.add(at));
            }
        }
    }
}

/// One of the two with those instructions. Each of the slices holds `len` numbers, rounded up to [`WIDEST`].
macro_rules! with_lanes {
    ($name:ident, $of:ident, $to:literal) => {
        fn $name(
            instructions: Instructions,
            from: [&[f32]; MIXES],
            to: [&mut [f32]; $to],
            len: usize,
        ) {
            let room = len.next_multiple_of(WIDEST);
            assert!(from.iter().all(|from| from.len() >= room));
            assert!(to.iter().all(|to| to.len() >= room));
            let (from, to) = (from.map(<[f32]>::as_ptr), to.map(<[f32]>::as_mut_ptr));
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            unsafe fn avx2(from: [*const f32; MIXES], to: [*mut f32; $to], len: usize) {
                // SAFETY: the caller's promise.
                unsafe { $of::<x86::Avx2>(from, to, len) };
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f")]
            unsafe fn avx512(from: [*const f32; MIXES], to: [*mut f32; $to], len: usize) {
                // SAFETY: the caller's promise.
                unsafe { $of::<x86::Avx512>(from, to, len) };
            }
            // SAFETY: the lengths were looked at, and the processor where the instructions were chosen.
            unsafe {
                match instructions {
                    Instructions::Plain => $of::<Plain>(from, to, len),
                    #[cfg(target_arch = "x86_64")]
                    Instructions::Avx2 => avx2(from, to, len),
                    #[cfg(target_arch = "x86_64")]
                    Instructions::Avx512 => avx512(from, to, len),
                }
            }
        }
    };
}

with_lanes!(mix_places, mix, 6);
with_lanes!(unmix_places, unmix, 4);

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
        let mut planes = self.along.chunks_exact_mut(plane);
        let mixes: [&mut [f32]; MIXES] =
            std::array::from_fn(|_| &mut planes.next().unwrap_or_default()[start..]);
        if outside {
            mixes
                .into_iter()
                .for_each(|mix| mix[..self.tiles].fill(0.0));
            return;
        }
        let mut parts = self.phases.chunks_exact_mut(self.row.len() / TILE);
        let mut parts: [&mut [f32]; TILE] =
            std::array::from_fn(|_| parts.next().unwrap_or_default());
        part(&self.row, &mut parts);
        let [p0, p1, p2, p3] = parts;
        let seen = [&p0[..], p1, p2, p3, &p0[1..], &p1[1..]];
        mix_places(instructions, seen, mixes, self.tiles);
    }

    /// Mixes the rows down their columns: those of mix `m` go to `at` in part `m` of `mixed`, whose parts are `step` long.
    pub(super) fn finish(
        &self,
        instructions: Instructions,
        mixed: &mut [f32],
        step: usize,
        at: usize,
    ) {
        let along = self.along.chunks_exact(self.plane());
        for (along, mixed) in along.zip(mixed.chunks_exact_mut(MIXES * step)) {
            let mut parts = mixed.chunks_exact_mut(step);
            let mixes = std::array::from_fn(|_| &mut parts.next().unwrap_or_default()[at..]);
            let seen = std::array::from_fn(|line| &along[self.start(line)..]);
            mix_places(instructions, seen, mixes, self.rows * self.tiles);
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
        for along in 0..MIXES {
            let of_mix = |m: usize| &sums[(along * MIXES + m) * step..][..room];
            let mut lines = down.chunks_exact_mut(MIXES * room);
            let outputs = std::array::from_fn(|_| {
                &mut lines.next().unwrap_or_default()[along * room..][..room]
            });
            unmix_places(instructions, std::array::from_fn(of_mix), outputs, places);
        }
        for (y, down) in down.chunks_exact(MIXES * room).enumerate() {
            let of_mix = |m: usize| &down[m * room..][..room];
            let mut columns = row.chunks_exact_mut(room);
            let outputs = std::array::from_fn(|_| columns.next().unwrap_or_default());
            unmix_places(instructions, std::array::from_fn(of_mix), outputs, places);
            let mut columns = row.chunks_exact(room);
            rows(
                y,
                std::array::from_fn(|_| columns.next().unwrap_or_default()),
            );
        }
    }
}

/// Shares the numbers of `row` out in turn.
fn part(row: &[f32], phases: &mut [&mut [f32]; TILE]) {
    let tiles = phases
        .iter()
        .fold(row.len() / TILE, |tiles, phase| tiles.min(phase.len()));
    let done = in_fours::part(row, phases, tiles);
    for (j, four) in row.chunks_exact(TILE).enumerate().take(tiles).skip(done) {
        for (phase, value) in phases.iter_mut().zip(four) {
            phase[j] = *value;
        }
    }
}

/// Puts numbers side by side that [`part`] would share out, each with `bias` added.
pub(super) fn weave(columns: [&[f32]; TILE], bias: f32, row: &mut [f32]) {
    let tiles = columns
        .iter()
        .fold(row.len() / TILE, |tiles, column| tiles.min(column.len()));
    let done = in_fours::weave(columns, bias, row, tiles);
    for (j, four) in row
        .chunks_exact_mut(TILE)
        .enumerate()
        .take(tiles)
        .skip(done)
    {
        for (value, column) in four.iter_mut().zip(columns) {
            *value = column[j] + bias;
        }
    }
}

/// The same of four tiles at once, as far as there are four; each gives how many that were. `row` and each of the others
/// hold `tiles` of them.
#[cfg(target_arch = "x86_64")]
mod in_fours {
    use std::arch::x86_64::{
        _MM_TRANSPOSE4_PS, _mm_add_ps, _mm_loadu_ps, _mm_set1_ps, _mm_storeu_ps,
    };

    use super::TILE;

    pub(super) fn part(row: &[f32], phases: &mut [&mut [f32]; TILE], tiles: usize) -> usize {
        let mut done = 0;
        while done + 4 <= tiles {
            // SAFETY: four tiles lie in `row` from here on, and four places in each of the phases; the instructions are
            // those that every processor of the kind has.
            unsafe {
                let from = row.as_ptr().add(TILE * done);
                let mut four: [_; TILE] = std::array::from_fn(|i| _mm_loadu_ps(from.add(TILE * i)));
                let [a, b, c, d] = &mut four;
                _MM_TRANSPOSE4_PS(a, b, c, d);
                for (phase, values) in phases.iter_mut().zip(four) {
                    _mm_storeu_ps(phase.as_mut_ptr().add(done), values);
                }
            }
            done += 4;
        }
        done
    }

    pub(super) fn weave(
        columns: [&[f32]; TILE],
        bias: f32,
        row: &mut [f32],
        tiles: usize,
    ) -> usize {
        let mut done = 0;
        while done + 4 <= tiles {
            // SAFETY: as for `part`, the other way about.
            unsafe {
                let bias = _mm_set1_ps(bias);
                let mut four =
                    columns.map(|c| _mm_add_ps(_mm_loadu_ps(c.as_ptr().add(done)), bias));
                let [a, b, c, d] = &mut four;
                _MM_TRANSPOSE4_PS(a, b, c, d);
                let to = row.as_mut_ptr().add(TILE * done);
                for (i, values) in four.into_iter().enumerate() {
                    _mm_storeu_ps(to.add(TILE * i), values);
                }
            }
            done += 4;
        }
        done
    }
}

/// Other processors take every tile by itself.
#[cfg(not(target_arch = "x86_64"))]
mod in_fours {
    use super::TILE;

    pub(super) fn part(_: &[f32], _: &mut [&mut [f32]; TILE], _: usize) -> usize {
        0
    }

    pub(super) fn weave(_: [&[f32]; TILE], _: f32, _: &mut [f32], _: usize) -> usize {
        0
    }
}
