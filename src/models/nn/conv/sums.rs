//! The innermost loops of the convolutions: sums of products for a block of outputs at many positions, held in registers.

use super::lanes::{Lanes, Plain};

/// Outputs that share what is read of the input.
pub(super) const BLOCK: usize = 8;

/// The most positions that a step of the kernel takes: three vectors of sixteen.
pub(super) const REACH: usize = 48;

/// A band's sums for one block of outputs.
pub(super) struct Work {
    /// Padded planes that are added up: kernel frames times inputs.
    pub planes: usize,
    /// Numbers of a plane.
    pub plane: usize,
    /// Kernel height and width.
    pub taps: [usize; 2],
    /// Numbers between two rows.
    pub line: usize,
    /// Positions of the band.
    pub positions: usize,
    /// Numbers between the sums of two outputs.
    pub room: usize,
}

/// The instructions that the kernel is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kernel {
    Plain,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Kernel {
    /// Those of this processor, the widest last.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let found = [
            (Self::Plain, true),
            #[cfg(target_arch = "x86_64")]
            (
                Self::Avx2,
                std::arch::is_x86_feature_detected!("avx2")
                    && std::arch::is_x86_feature_detected!("fma"),
            ),
            #[cfg(target_arch = "x86_64")]
            (Self::Avx512, std::arch::is_x86_feature_detected!("avx512f")),
        ];
        found
            .into_iter()
            .filter_map(|(kernel, here)| here.then_some(kernel))
    }

    /// The widest of this processor.
    pub(super) fn best() -> Self {
        Self::all().last().unwrap_or(Self::Plain)
    }

    /// The sums of the first `outputs` of a block, `(outputs, room)`, from the padded planes and the block's weight.
    pub(super) fn run(
        self,
        work: &Work,
        outputs: usize,
        padded: &[f32],
        weight: &[f32],
        sums: &mut [f32],
    ) {
        let seen = (work.taps[0] - 1) * work.line + work.taps[1] - 1;
        let last = work.planes.saturating_sub(1) * work.plane + seen + work.room;
        assert!(padded.len() >= last && sums.len() >= outputs * work.room);
        assert!(weight.len() >= work.planes * work.taps[0] * work.taps[1] * BLOCK);
        let (padded, weight, sums) = (padded.as_ptr(), weight.as_ptr(), sums.as_mut_ptr());
        // SAFETY: the lengths were looked at, and `best` at the processor.
        unsafe {
            match self {
                Self::Plain => narrow::<Plain>(work, outputs, padded, weight, sums),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => avx2(work, outputs, padded, weight, sums),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512 => avx512(work, outputs, padded, weight, sums),
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2(work: &Work, outputs: usize, x: *const f32, weight: *const f32, sums: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe { narrow::<super::lanes::x86::Avx2>(work, outputs, x, weight, sums) };
}

/// Thirty-two registers hold the sums of a whole block.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512(work: &Work, outputs: usize, x: *const f32, weight: *const f32, sums: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe {
        match outputs > BLOCK / 2 {
            true => band::<super::lanes::x86::Avx512, BLOCK>(work, x, weight, sums),
            false => band::<super::lanes::x86::Avx512, { BLOCK / 2 }>(work, x, weight, sums),
        }
    }
}

/// Sixteen registers hold those of half a block.
#[inline(always)]
unsafe fn narrow<L: Lanes>(
    work: &Work,
    outputs: usize,
    x: *const f32,
    weight: *const f32,
    sums: *mut f32,
) {
    for half in (0..outputs).step_by(BLOCK / 2) {
        // SAFETY: the caller's promise; a half lies inside its block.
        unsafe { band::<L, { BLOCK / 2 }>(work, x, weight.add(half), sums.add(half * work.room)) };
    }
}

/// The sums of `O` outputs at all positions of a band.
#[inline(always)]
unsafe fn band<L: Lanes, const O: usize>(
    work: &Work,
    x: *const f32,
    weight: *const f32,
    sums: *mut f32,
) {
    let mut at = 0;
    while at < work.positions {
        // SAFETY: the caller's promise; a step begins at a position, and room is left for a whole one.
        unsafe {
            let (x, sums) = (x.add(at), sums.add(at));
            match (work.positions - at).div_ceil(L::WIDTH) {
                1 => step::<L, O, 1>(work, x, weight, sums),
                2 => step::<L, O, 2>(work, x, weight, sums),
                _ => step::<L, O, 3>(work, x, weight, sums),
            }
        }
        at += 3 * L::WIDTH;
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
    work: &Work,
    x: *const f32,
    mut weight: *const f32,
    sums: *mut f32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut held = [[L::splat(0.0); V]; O];
        for plane in 0..work.planes {
            for tap_y in 0..work.taps[0] {
                let row = x.add(plane * work.plane + tap_y * work.line);
                for tap_x in 0..work.taps[1] {
                    let mut seen = [L::splat(0.0); V];
                    for v in 0..V {
                        seen[v] = L::load(row.add(tap_x + v * L::WIDTH));
                    }
                    for o in 0..O {
                        let weight = L::splat(*weight.add(o));
                        for v in 0..V {
                            held[o][v] = held[o][v].add_product(weight, seen[v]);
                        }
                    }
                    weight = weight.add(BLOCK);
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
