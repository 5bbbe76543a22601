//! The innermost loops of the convolutions: sums of products for a block of outputs at many positions, held in registers.

#[cfg(target_arch = "x86_64")]
use super::super::lanes::x86;
use super::super::lanes::{Instructions, Lanes, Plain};

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
    /// Taps of each plane's weight that come before the first and are left out.
    pub passed: usize,
    /// Positions of the band.
    pub positions: usize,
    /// Numbers between the sums of two outputs.
    pub room: usize,
}

/// The sums of the first `outputs` of a block, `(outputs, room)`, from the padded planes and the block's weight.
pub(super) fn add_up(
    instructions: Instructions,
    work: &Work,
    outputs: usize,
    padded: &[f32],
    weight: &[f32],
    sums: &mut [f32],
) {
    let seen = (work.taps[0] - 1) * work.line + work.taps[1] - 1;
    let last = work.planes.saturating_sub(1) * work.plane + seen + work.room;
    assert!(padded.len() >= last && sums.len() >= outputs * work.room);
    assert!(weight.len() >= work.planes * (work.passed + work.taps[0] * work.taps[1]) * BLOCK);
    let (padded, weight, sums) = (padded.as_ptr(), weight.as_ptr(), sums.as_mut_ptr());
    // SAFETY: the lengths were looked at, and the processor where the instructions were chosen.
    unsafe {
        match instructions {
            Instructions::Plain => narrow::<Plain>(work, outputs, padded, weight, sums),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => avx2(work, outputs, padded, weight, sums),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => avx512(work, outputs, padded, weight, sums),
        }
    }
}
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2(work: &Work, outputs: usize, x: *const f32, weight: *const f32, sums: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe { narrow::<x86::Avx2>(work, outputs, x, weight, sums) };
}

/// Thirty-two registers hold the sums of a whole block.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512(work: &Work, outputs: usize, x: *const f32, weight: *const f32, sums: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe {
        match outputs > BLOCK / 2 {
            true => band::<x86::Avx512, BLOCK>(work, x, weight, sums),
            false => band::<x86::Avx512, { BLOCK / 2 }>(work, x, weight, sums),
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
            weight = weight.add(work.passed * BLOCK);
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
