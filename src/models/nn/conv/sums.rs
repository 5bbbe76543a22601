//! The innermost loops of the convolutions: sums of products for blocks of outputs at many positions, held in registers.

use super::super::lanes::{Instructions, Lanes, Vectorised, WIDEST};

/// Outputs whose weights lie side by side.
pub(super) const BLOCK: usize = 16;

/// Taps that are read where they lie: what all of them see at a few positions stays in the first cache. Those of more are laid side by
/// side first.
const FEW: usize = 128;

/// So many at a time.
const DEPTH: usize = 128;

/// What is added up in a band. For every position a number of the input counts once for each tap, times the tap's weight for each
/// output.
pub(super) struct Work<'a> {
    /// How far from a position its number lies, tap by tap. The weights lie in the same order: `(taps, outputs of the block)`.
    taps: &'a [usize],
    /// Positions of the band.
    positions: usize,
    /// Numbers between the sums of two outputs: the positions rounded up to [`WIDEST`], at least.
    room: usize,
    /// Outputs, in all blocks.
    outputs: usize,
    /// The farthest tap.
    last: usize,
}

/// Blocks that lie `step` apart.
pub(super) struct Blocks<T> {
    pub first: T,
    pub step: usize,
}

impl<'a> Work<'a> {
    pub(super) fn new(taps: &'a [usize], positions: usize, room: usize, outputs: usize) -> Self {
        Self {
            taps,
            positions,
            room,
            outputs,
            last: taps.iter().copied().max().unwrap_or(0),
        }
    }
}

/// The sums of all outputs, `(blocks, BLOCK, room)`, from the input and the blocks' weights. Where a block is not full, what follows its
/// last sum may be written as well. `gathered` is room to work in.
pub(super) fn add_up(
    instructions: Instructions,
    work: &Work<'_>,
    input: &[f32],
    weights: Blocks<&[f32]>,
    sums: Blocks<&mut [f32]>,
    gathered: &mut Vec<f32>,
) {
    let others = work.outputs.div_ceil(BLOCK).saturating_sub(1);
    assert!(work.room >= work.positions.next_multiple_of(WIDEST));
    assert!(input.len() >= work.last + work.room);
    assert!(weights.first.len() >= others * weights.step + work.taps.len() * BLOCK);
    assert!(sums.first.len() >= others * sums.step + BLOCK * work.room);
    if work.taps.len() > FEW {
        let len = DEPTH * (work.room + MOST_VECTORS * WIDEST);
        gathered.resize(gathered.len().max(len), 0.0);
    }
    instructions.run(AddUp {
        work,
        x: input.as_ptr(),
        weights: (weights.first.as_ptr(), weights.step),
        sums: (sums.first.as_mut_ptr(), sums.step),
        gathered: gathered.as_mut_ptr(),
    });
}

/// Vectors of positions at a time, at the most.
const MOST_VECTORS: usize = 3;

/// What [`add_up`] was given, whose lengths it looked at.
struct AddUp<'a> {
    work: &'a Work<'a>,
    x: *const f32,
    /// Those of the first block, and how far it is to the next.
    weights: (*const f32, usize),
    sums: (*mut f32, usize),
    gathered: *mut f32,
}

impl Vectorised for AddUp<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        // SAFETY: the lengths were looked at.
        unsafe {
            match L::WIDTH {
                // Of thirty-two registers twenty-four hold sums, of sixteen twelve.
                WIDEST => self.all_taps::<L, 8, MOST_VECTORS>(),
                _ => self.all_taps::<L, 6, 2>(),
            }
        }
    }
}

/// Some of the taps, from the first on that is not added up yet.
#[derive(Clone, Copy)]
struct Part<'a> {
    taps: &'a [usize],
    /// How many came before.
    before: usize,
}

impl AddUp<'_> {
    /// The sums of up to `O` outputs at up to `V` vectors of positions at a time.
    #[inline(always)]
    unsafe fn all_taps<L: Lanes, const O: usize, const V: usize>(&self) {
        let taps = self.work.taps;
        // SAFETY: the caller's promise.
        unsafe {
            if taps.len() <= FEW {
                self.positions::<L, O, V, false>(Part { taps, before: 0 });
                return;
            }
            for (i, taps) in taps.chunks(DEPTH).enumerate() {
                self.gather::<L, V>(taps);
                let before = i * DEPTH;
                self.positions::<L, O, V, true>(Part { taps, before });
            }
        }
    }

    /// Lays what `taps` see side by side: `(V vectors of positions, taps, V vectors)`.
    #[inline(always)]
    unsafe fn gather<L: Lanes, const V: usize>(&self, taps: &[usize]) {
        let mut to = self.gathered;
        for at in (0..self.work.positions).step_by(V * L::WIDTH) {
            let vectors = (self.work.positions - at).div_ceil(L::WIDTH).min(V);
            for tap in taps {
                for v in 0..vectors {
                    // SAFETY: the caller's promise.
                    unsafe {
                        let seen = L::load(self.x.add(tap + at + v * L::WIDTH));
                        seen.store(to.add(v * L::WIDTH));
                    }
                }
                to = to.wrapping_add(V * L::WIDTH);
            }
        }
    }

    #[inline(always)]
    unsafe fn positions<L: Lanes, const O: usize, const V: usize, const GATHERED: bool>(
        &self,
        part: Part<'_>,
    ) {
        let mut from = self.gathered.cast_const();
        for at in (0..self.work.positions).step_by(V * L::WIDTH) {
            // SAFETY: the caller's promise; a step begins at a position, and room is left for whole vectors.
            unsafe {
                if !GATHERED {
                    from = self.x.add(at);
                }
                match (self.work.positions - at).div_ceil(L::WIDTH) {
                    1 => self.outputs::<L, O, 1, V, GATHERED>(part, from, at),
                    2 => self.outputs::<L, O, 2, V, GATHERED>(part, from, at),
                    _ => self.outputs::<L, O, V, V, GATHERED>(part, from, at),
                }
            }
            from = from.wrapping_add(part.taps.len() * V * L::WIDTH);
        }
    }

    /// Those of all outputs at the `V` vectors of positions from `at` on, of `W` that lie side by side.
    #[inline(always)]
    unsafe fn outputs<
        L: Lanes,
        const O: usize,
        const V: usize,
        const W: usize,
        const GATHERED: bool,
    >(
        &self,
        part: Part<'_>,
        from: *const f32,
        at: usize,
    ) {
        for block in 0..self.work.outputs.div_ceil(BLOCK) {
            let outputs = (self.work.outputs - block * BLOCK).min(BLOCK);
            let mut first = 0;
            while first < outputs {
                // SAFETY: the caller's promise; whatever is left, no group ends beyond its block.
                unsafe {
                    let weight = self.weights.0.add(block * self.weights.1 + first);
                    let weight = weight.add(part.before * BLOCK);
                    let sums = self.sums.0.add(block * self.sums.1 + at);
                    let sums = sums.add(first * self.work.room);
                    // Seven and eight are two groups of four.
                    let left = outputs - first;
                    if left > 4 && (O != 6 || !matches!(left, 7 | 8)) {
                        self.group::<L, O, V, W, GATHERED>(part, from, weight, sums);
                        first += O;
                    } else {
                        self.group::<L, 4, V, W, GATHERED>(part, from, weight, sums);
                        first += 4;
                    }
                }
            }
        }
    }

    /// The order in which a sum is added up does not depend on where its position lies.
    #[expect(
        clippy::needless_range_loop,
        reason = "plain counts are what unrolls into registers"
    )]
    #[inline(always)]
    unsafe fn group<
        L: Lanes,
        const O: usize,
        const V: usize,
        const W: usize,
        const GATHERED: bool,
    >(
        &self,
        part: Part<'_>,
        from: *const f32,
        weight: *const f32,
        sums: *mut f32,
    ) {
        let room = self.work.room;
        // SAFETY: the caller's promise.
        unsafe {
            let mut held = [[L::splat(0.0); V]; O];
            if part.before > 0 {
                for o in 0..O {
                    for v in 0..V {
                        held[o][v] = L::load(sums.add(o * room + v * L::WIDTH));
                    }
                }
            }
            let (mut from, mut weight) = (from, weight);
            if GATHERED {
                let (fours, rest) = part.taps.as_chunks::<4>();
                for _ in fours {
                    for place in 0..4 {
                        add_tap(
                            &mut held,
                            from.add(place * W * L::WIDTH),
                            weight.add(place * BLOCK),
                        );
                    }
                    from = from.add(4 * W * L::WIDTH);
                    weight = weight.add(4 * BLOCK);
                }
                for place in 0..rest.len() {
                    add_tap(
                        &mut held,
                        from.add(place * W * L::WIDTH),
                        weight.add(place * BLOCK),
                    );
                }
            } else {
                for tap in part.taps {
                    add_tap(&mut held, from.add(*tap), weight);
                    weight = weight.add(BLOCK);
                }
            }
            for o in 0..O {
                for v in 0..V {
                    held[o][v].store(sums.add(o * room + v * L::WIDTH));
                }
            }
        }
    }
}

/// Adds to the sums of `O` outputs at `V` vectors of positions what one tap gives.
#[inline(always)]
unsafe fn add_tap<L: Lanes, const O: usize, const V: usize>(
    held: &mut [[L; V]; O],
    from: *const f32,
    weight: *const f32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut seen = [L::splat(0.0); V];
        for (v, seen) in seen.iter_mut().enumerate() {
            *seen = L::load(from.add(v * L::WIDTH));
        }
        for (o, held) in held.iter_mut().enumerate() {
            let weight = L::splat(*weight.add(o));
            for (sum, seen) in held.iter_mut().zip(seen) {
                *sum = sum.add_product(weight, seen);
            }
        }
    }
}
