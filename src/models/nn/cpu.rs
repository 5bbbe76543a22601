//! What the CPU kernels share: views of tensor storage, disjoint writes, a vectorisable `exp`.

use candle_core::{CpuStorage, Layout, Result, Shape, bail};
use rayon::prelude::*;

/// The elements of a contiguous f32 tensor.
pub(super) fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let CpuStorage::F32(data) = storage else {
        bail!("the CPU kernels need f32, found {:?}", layout.shape());
    };
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&data[start..end]),
        None => bail!("the CPU kernels need contiguous tensors, found {layout:?}"),
    }
}

/// Wraps a kernel's result for candle.
pub(super) fn output(data: Vec<f32>, shape: impl Into<Shape>) -> Result<(CpuStorage, Shape)> {
    Ok((CpuStorage::F32(data), shape.into()))
}

/// A buffer that several tasks write at once, each in places of its own.
#[derive(Clone, Copy)]
pub(super) struct Shared(*mut f32);

// SAFETY: every kernel gives each task its own set of elements; the buffer outlives the scope
// in which the tasks run.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// Shares `buffer` for the time of one parallel scope.
    pub(super) fn new(buffer: &mut [f32]) -> Self {
        Self(buffer.as_mut_ptr())
    }

    /// The address of element `index`.
    ///
    /// # Safety
    /// `index` lies inside the buffer, and no other task touches what is read or written there.
    pub(super) unsafe fn at(&self, index: usize) -> *mut f32 {
        // SAFETY: the caller keeps `index` inside the buffer.
        unsafe { self.0.add(index) }
    }

    /// The `len` elements from `index` on.
    ///
    /// # Safety
    /// As for [`at`](Self::at), for all of them.
    #[expect(clippy::mut_from_ref, reason = "disjointness is the caller's promise")]
    pub(super) unsafe fn slice(&self, index: usize, len: usize) -> &mut [f32] {
        // SAFETY: the caller keeps the range inside the buffer and to itself.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(index), len) }
    }
}

/// The `len` numbers that `work` writes.
///
/// # Safety
/// It writes every one of them, and reads none before.
pub(super) unsafe fn written(len: usize, work: impl FnOnce(Shared)) -> Vec<f32> {
    let mut out = Vec::<f32>::with_capacity(len);
    in_large_pages(&mut out);
    work(Shared(out.as_mut_ptr()));
    // SAFETY: there is room for them, and the caller promises that they are there.
    unsafe { out.set_len(len) };
    out
}

/// Asks for what is large to come in pages of two megabytes, where the system has them on request: of the usual ones each has to be
/// fetched by itself. What was written already stays where it is.
pub(super) fn in_large_pages<T>(numbers: &mut Vec<T>) {
    #[cfg(target_os = "linux")]
    {
        const PAGE: usize = 4096;
        const LARGE: usize = 8 << 20;
        let (start, len) = (numbers.as_mut_ptr(), size_of::<T>() * numbers.capacity());
        // Whole pages alone: what lies beside them belongs to others.
        let skipped = start.addr().wrapping_neg() % PAGE;
        if len >= LARGE {
            let pages = (len - skipped) / PAGE * PAGE;
            // SAFETY: the pages are the vector's, and the hint changes nothing but how they come.
            let _ = unsafe {
                let first = start.cast::<u8>().add(skipped).cast();
                rustix::mm::madvise(first, pages, rustix::mm::Advice::LinuxHugepage)
            };
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = numbers;
}

/// The `rows` of `row_len` numbers that `work` writes, each by a call of its own. It is told which.
///
/// # Safety
/// It writes every number of its row, and reads none before.
pub(super) unsafe fn written_rows(
    rows: usize,
    row_len: usize,
    work: impl Fn(usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    /// Rows that are not worth sharing out.
    const FEW: usize = 8;
    let all = |out: Shared| {
        let rows = (0..rows).into_par_iter().with_min_len(FEW);
        // SAFETY: a task owns its row.
        rows.for_each(|row| work(row, unsafe { out.slice(row * row_len, row_len) }));
    };
    // SAFETY: the rows make up all of it, and the caller promises that each is written.
    unsafe { written(rows * row_len, all) }
}

/// A row-major view of a matrix for [`gemm`]: address, step between rows, step between columns.
#[derive(Clone, Copy)]
pub(super) struct Mat(pub *const f32, pub usize, pub usize);

/// `dst (m, n) = [dst +] a (m, k) * b (k, n)` on `threads` threads (1: the caller's only).
///
/// # Safety
/// `a`, `b` and `dst` with their steps stay inside their buffers; `dst` is the caller's alone.
pub(super) unsafe fn gemm(
    (m, n, k): (usize, usize, usize),
    dst: (*mut f32, usize, usize),
    add: bool,
    a: Mat,
    b: Mat,
    threads: usize,
) {
    #[cfg(test)]
    counting::add(m * n * k);
    let parallelism = if threads > 1 {
        gemm::Parallelism::Rayon(threads)
    } else {
        gemm::Parallelism::None
    };
    // SAFETY: the caller's promise is the one this function needs.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            dst.0,
            dst.2 as isize,
            dst.1 as isize,
            add,
            a.0,
            a.2 as isize,
            a.1 as isize,
            b.0,
            b.2 as isize,
            b.1 as isize,
            1.0f32,
            1.0f32,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// What the matrix products really do, for the formulas that foretell it.
#[cfg(test)]
pub(crate) mod counting {
    use std::cell::Cell;

    thread_local! {
        static DONE: Cell<u64> = const { Cell::new(0) };
    }

    pub(in super::super) fn add(multiply_adds: usize) {
        DONE.set(DONE.get() + multiply_adds as u64);
    }

    /// Multiply-adds of all matrix products in `work`, which one thread does alone.
    pub(crate) fn multiply_adds(work: impl FnOnce() + Send) -> u64 {
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build();
        alone.unwrap().install(|| {
            DONE.set(0);
            work();
            DONE.get()
        })
    }
}

/// Defines a function whose loops are compiled a second time for AVX2 and a third for AVX-512, and the choice between them. In its
/// body `FUSED` says whether the processor multiplies and adds at once; what does not look at it is the same everywhere.
macro_rules! vectorised {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),*) $body:block) => {
        $(#[$meta])*
        $vis fn $name($($arg: $type),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn wide($($arg: $type),*) {
                    #[allow(dead_code, reason = "most loops have nothing to fuse")]
                    const FUSED: bool = true;
                    $body
                }
                #[target_feature(enable = "avx512f,fma")]
                fn widest($($arg: $type),*) {
                    #[allow(dead_code, reason = "as above")]
                    const FUSED: bool = true;
                    $body
                }
                if std::arch::is_x86_feature_detected!("fma") {
                    if std::arch::is_x86_feature_detected!("avx512f") {
                        // SAFETY: the processor has the features.
                        return unsafe { widest($($arg),*) };
                    }
                    if std::arch::is_x86_feature_detected!("avx2") {
                        // SAFETY: the processor has the features.
                        return unsafe { wide($($arg),*) };
                    }
                }
            }
            #[allow(dead_code, reason = "as above")]
            const FUSED: bool = cfg!(target_arch = "aarch64");
            $body
        }
    };
}
pub(super) use vectorised;

/// `a + b * c`, rounded once where it is `fused`. Without the instruction that would be slow.
#[inline(always)]
fn add_product(a: f32, b: f32, c: f32, fused: bool) -> f32 {
    if fused { b.mul_add(c, a) } else { a + b * c }
}

/// Adding and taking away 1.5 * 2^23 rounds to the nearest integer, which then sits in the low bits of the sum.
pub(super) const ROUND: f32 = 12_582_912.0;

/// `e^x` by range reduction and a polynomial: relative error below 3e-7 for the arguments f32 can represent, and free of
/// branches, so that loops over it are vectorised.
#[inline(always)]
pub(super) fn exp(x: f32, fused: bool) -> f32 {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let shifted = add_product(ROUND, x, std::f32::consts::LOG2_E, fused);
    let n = shifted - ROUND;
    let r = add_product(add_product(x, -LN2_HIGH, n, fused), -LN2_LOW, n, fused);
    // Of the polynomials of degree 5 that begin with 1 + r, that with the smallest largest relative error from -ln(2)/2 to ln(2)/2: 1.05e-7.
    let p = 0.008_312_525;
    let p = add_product(0.041_890_115, p, r, fused);
    let p = add_product(0.166_671_14, p, r, fused);
    let p = add_product(0.499_992_3, p, r, fused);
    let p = add_product(1.0, p, r, fused);
    let p = add_product(1.0, p, r, fused);
    times_power(p, shifted)
}

/// `2^x`, likewise, for arguments up to 127; what is below -126 counts as that. The error of the argument, x * 6e-8, comes on top.
#[inline(always)]
pub(super) fn exp2(x: f32, fused: bool) -> f32 {
    // Unlike f32::max this keeps NaN, which must not be hidden.
    let x = if x < -126.0 { -126.0 } else { x };
    let shifted = x + ROUND;
    let r = x - (shifted - ROUND);
    // That of `exp`, for powers of two.
    let p = 0.001_330_026_4;
    let p = add_product(0.009_669_708, p, r, fused);
    let p = add_product(0.055_505_6, p, r, fused);
    let p = add_product(0.240_222_81, p, r, fused);
    let p = add_product(std::f32::consts::LN_2, p, r, fused);
    let p = add_product(1.0, p, r, fused);
    times_power(p, shifted)
}

/// `p * 2^n` for `p` about 1 and the integer in the low bits of `shifted`: it is added to the exponent.
#[inline(always)]
fn times_power(p: f32, shifted: f32) -> f32 {
    f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23))
}

#[cfg(test)]
mod tests {
    #[test]
    fn exp_is_accurate() {
        for (i, fused) in (-8600..8800).flat_map(|i| [(i, false), (i, true)]) {
            let x = i as f32 * 0.01 + 0.003;
            let want = f64::from(x).exp();
            let got = f64::from(super::exp(x, fused));
            assert!(
                ((got - want) / want).abs() < 3e-7,
                "exp({x}) = {got}, want {want}"
            );
        }
    }

    #[test]
    fn exp2_is_accurate() {
        for (i, fused) in (-12600..12700).flat_map(|i| [(i, false), (i, true)]) {
            let x = i as f32 * 0.01;
            let want = f64::from(x).exp2();
            let got = f64::from(super::exp2(x, fused));
            assert!(
                ((got - want) / want).abs() < 3e-7,
                "2^{x} = {got}, want {want}"
            );
        }
        for fused in [false, true] {
            assert_eq!(super::exp2(0.0, fused), 1.0);
            assert_eq!(super::exp2(-1e9, fused), super::exp2(-126.0, fused));
            assert!(super::exp2(f32::NAN, fused).is_nan());
        }
    }
}
