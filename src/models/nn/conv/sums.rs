//! The innermost loops of the convolutions: sums of products for a block of outputs at many positions, held in registers.

use super::super::lanes::{Instructions, Lanes, Vectorised, WIDEST};

/// Outputs that share what is read of the input.
pub(super) const BLOCK: usize = 8;

/// What is multiplied and added up for every position: a number of the input, so far from the position's own place, and the weights of
/// a block's outputs, which lie side by side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tap {
    pub input: usize,
    pub weight: usize,
}

/// A band's sums for one block of outputs.
pub(super) struct Work<'a> {
    taps: &'a [Tap],
    /// Positions of the band.
    positions: usize,
    /// Numbers between the sums of two outputs.
    room: usize,
    /// The farthest tap in the input and in the weight.
    last: Tap,
}

impl<'a> Work<'a> {
    /// The sums of `taps` at `positions`; those of an output take `room` numbers, at least the positions rounded up to
    /// [`WIDEST`](super::super::lanes::WIDEST).
    pub(super) fn new(taps: &'a [Tap], positions: usize, room: usize) -> Self {
        let farthest = |of: fn(&Tap) -> usize| taps.iter().map(of).max().unwrap_or(0);
        Self {
            taps,
            positions,
            room,
            last: Tap {
                input: farthest(|tap| tap.input),
                weight: farthest(|tap| tap.weight),
            },
        }
    }
}

/// The sums of the first `outputs` of a block, `(outputs, room)`, from the input and the block's weight.
pub(super) fn add_up(
    instructions: Instructions,
    work: &Work<'_>,
    outputs: usize,
    input: &[f32],
    weight: &[f32],
    sums: &mut [f32],
) {
    assert!(input.len() >= work.last.input + work.room && sums.len() >= outputs * work.room);
    assert!(weight.len() >= work.last.weight + BLOCK);
    assert!(work.room >= work.positions.next_multiple_of(WIDEST));
    instructions.run(AddUp {
        work,
        outputs,
        x: input.as_ptr(),
        weight: weight.as_ptr(),
        sums: sums.as_mut_ptr(),
    });
}

/// What [`add_up`] was given, whose lengths it looked at.
struct AddUp<'a> {
    work: &'a Work<'a>,
    outputs: usize,
    x: *const f32,
    weight: *const f32,
    sums: *mut f32,
}

impl Vectorised for AddUp<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Self {
            work,
            outputs,
            x,
            weight,
            sums,
        } = self;
        // SAFETY: the lengths were looked at.
        unsafe {
            match L::WIDTH {
                // Thirty-two registers hold the sums of a whole block.
                WIDEST if outputs > BLOCK / 2 => band::<L, BLOCK, 3>(work, x, weight, sums),
                WIDEST => band::<L, { BLOCK / 2 }, 3>(work, x, weight, sums),
                _ => narrow::<L>(work, outputs, x, weight, sums),
            }
        }
    }
}

/// Sixteen registers hold those of half a block at two vectors, and what they are made of; with three, sums go out to memory and back.
#[inline(always)]
unsafe fn narrow<L: Lanes>(
    work: &Work<'_>,
    outputs: usize,
    x: *const f32,
    weight: *const f32,
    sums: *mut f32,
) {
    for half in (0..outputs).step_by(BLOCK / 2) {
        // SAFETY: the caller's promise; a half lies inside its block.
        unsafe {
            band::<L, { BLOCK / 2 }, 2>(work, x, weight.add(half), sums.add(half * work.room))
        };
    }
}

/// The sums of `O` outputs at all positions of a band, up to `V` vectors at a time.
#[inline(always)]
unsafe fn band<L: Lanes, const O: usize, const V: usize>(
    work: &Work<'_>,
    x: *const f32,
    weight: *const f32,
    sums: *mut f32,
) {
    let mut at = 0;
    while at < work.positions {
        let left = (work.positions - at).div_ceil(L::WIDTH);
        // SAFETY: the caller's promise; a step begins at a position, and room is left for a whole one.
        unsafe {
            let (x, sums) = (x.add(at), sums.add(at));
            match left {
                1 => step::<L, O, 1>(work, x, weight, sums),
                2 => step::<L, O, 2>(work, x, weight, sums),
                _ => step::<L, O, V>(work, x, weight, sums),
            }
        }
        at += left.min(V) * L::WIDTH;
    }
}

/// The sums of `O` outputs at `V` vectors of positions. The order in which a sum is added up does not depend on
/// where its position lies.
#[expect(
    clippy::needless_range_loop,
    reason = "plain counts are what unrolls into registers"
)]
#[inline(always)]
unsafe fn step<L: Lanes, const O: usize, const V: usize>(
    work: &Work<'_>,
    x: *const f32,
    weight: *const f32,
    sums: *mut f32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut held = [[L::splat(0.0); V]; O];
        // One loop over all taps: sums that go through several nested ones do not stay in their registers.
        for tap in work.taps {
            let (x, weight) = (x.add(tap.input), weight.add(tap.weight));
            let mut seen = [L::splat(0.0); V];
            for v in 0..V {
                seen[v] = L::load(x.add(v * L::WIDTH));
            }
            for o in 0..O {
                let weight = L::splat(*weight.add(o));
                for v in 0..V {
                    held[o][v] = held[o][v].add_product(weight, seen[v]);
                }
            }
        }
        for o in 0..O {
            for v in 0..V {
                held[o][v].store(sums.add(o * work.room + v * L::WIDTH));
            }
        }
    }
}
