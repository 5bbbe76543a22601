//! Vectors of f32 of the widths that processors have, for loops that keep their sums in registers.

/// The most numbers of a vector.
pub(super) const WIDEST: usize = 16;

/// The instructions that a loop is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Instructions {
    Plain,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Instructions {
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
            .filter_map(|(instructions, here)| here.then_some(instructions))
    }

    /// The widest of this processor.
    pub(super) fn best() -> Self {
        Self::all().last().unwrap_or(Self::Plain)
    }
}

/// Work on vectors that is compiled once for each set of instructions.
pub(super) trait Vectorised {
    /// Does it. Its loops have the instructions of `L` where they are inlined.
    ///
    /// # Safety
    /// The processor has the instructions of `L`.
    unsafe fn run<L: Lanes>(self);
}

impl Instructions {
    /// Numbers of a vector.
    pub(super) fn width(self) -> usize {
        match self {
            Self::Plain => Plain::WIDTH,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => x86::Avx2::WIDTH,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => x86::Avx512::WIDTH,
        }
    }

    /// Does `work` with these.
    pub(super) fn run(self, work: impl Vectorised) {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        unsafe fn avx2(work: impl Vectorised) {
            // SAFETY: the caller's promise.
            unsafe { work.run::<x86::Avx2>() };
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f")]
        unsafe fn avx512(work: impl Vectorised) {
            // SAFETY: the caller's promise.
            unsafe { work.run::<x86::Avx512>() };
        }
        // SAFETY: the processor was looked at where the instructions were chosen.
        unsafe {
            match self {
                Self::Plain => work.run::<Plain>(),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => avx2(work),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512 => avx512(work),
            }
        }
    }
}

/// Has the numbers in `range` brought near, as far as there are any, while other work goes on.
#[inline(always)]
pub(super) fn prefetch(numbers: &[f32], range: std::ops::Range<usize>) {
    for at in (range.start..range.end.min(numbers.len())).step_by(WIDEST) {
        prefetch_line(&raw const numbers[at]);
    }
}

/// Has the line of memory that `at` lies in brought near.
#[inline(always)]
pub(super) fn prefetch_line(at: *const f32) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: no more than a hint, which may name any address; every processor of the kind has the instruction.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// Turns a square of four by four numbers: `from` are its rows, `to` its columns.
///
/// # Safety
/// Four numbers from each of the first may be read, and written from each of the others on.
#[inline(always)]
pub(super) unsafe fn turn(from: [*const f32; 4], to: [*mut f32; 4]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_TRANSPOSE4_PS, _mm_loadu_ps, _mm_storeu_ps};
        // SAFETY: the caller's promise; every processor of the kind has the instructions.
        unsafe {
            let mut four = from.map(|row| _mm_loadu_ps(row));
            let [a, b, c, d] = &mut four;
            _MM_TRANSPOSE4_PS(a, b, c, d);
            for (column, values) in to.into_iter().zip(four) {
                _mm_storeu_ps(column, values);
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    for (i, row) in from.into_iter().enumerate() {
        for (j, column) in to.into_iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { *column.add(i) = *row.add(j) };
        }
    }
}

/// A vector of f32 that the processor adds and multiplies at once.
pub(super) trait Lanes: Copy {
    /// Numbers in a vector.
    const WIDTH: usize;

    /// The same number in every lane.
    ///
    /// # Safety
    /// As for all that follow: the processor has the instructions of the type.
    unsafe fn splat(value: f32) -> Self;

    /// [`WIDTH`](Self::WIDTH) numbers from `source` on, aligned or not.
    ///
    /// # Safety
    /// They may be read.
    unsafe fn load(source: *const f32) -> Self;

    /// Writes the lanes from `target` on, aligned or not.
    ///
    /// # Safety
    /// They may be written.
    unsafe fn store(self, target: *mut f32);

    /// `self + a * b`, lane by lane.
    ///
    /// # Safety
    /// The processor has the instructions of the type.
    unsafe fn add_product(self, a: Self, b: Self) -> Self;
}

/// Eight numbers in plain Rust, which the compiler makes of them what the target allows.
#[derive(Clone, Copy)]
pub(super) struct Plain([f32; 8]);

impl Lanes for Plain {
    const WIDTH: usize = 8;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; 8])
    }

    #[inline(always)]
    unsafe fn load(source: *const f32) -> Self {
        // SAFETY: the caller's promise; an array of f32 is aligned like one.
        Self(unsafe { *source.cast() })
    }

    #[inline(always)]
    unsafe fn store(self, target: *mut f32) {
        // SAFETY: as for `load`.
        unsafe { *target.cast() = self.0 };
    }

    #[inline(always)]
    unsafe fn add_product(mut self, a: Self, b: Self) -> Self {
        for i in 0..8 {
            self.0[i] += a.0[i] * b.0[i];
        }
        self
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    use std::arch::x86_64 as isa;

    use super::Lanes;

    /// Eight numbers; needs AVX2 and FMA.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx2(pub isa::__m256);

    /// Sixteen numbers; needs AVX-512F.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx512(pub isa::__m512);

    macro_rules! lanes {
        ($name:ident, $width:literal, $splat:ident, $load:ident, $store:ident, $fma:ident) => {
            impl Lanes for $name {
                const WIDTH: usize = $width;

                #[inline(always)]
                unsafe fn splat(value: f32) -> Self {
                    // SAFETY: the caller's promise, here and below.
                    Self(unsafe { isa::$splat(value) })
                }

                #[inline(always)]
                unsafe fn load(source: *const f32) -> Self {
                    // SAFETY: as above.
                    Self(unsafe { isa::$load(source) })
                }

                #[inline(always)]
                unsafe fn store(self, target: *mut f32) {
                    // SAFETY: as above.
                    unsafe { isa::$store(target, self.0) };
                }

                #[inline(always)]
                unsafe fn add_product(self, a: Self, b: Self) -> Self {
                    // SAFETY: as above.
                    Self(unsafe { isa::$fma(a.0, b.0, self.0) })
                }
            }
        };
    }

    lanes!(
        Avx2,
        8,
        _mm256_set1_ps,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_fmadd_ps
    );
    lanes!(
        Avx512,
        16,
        _mm512_set1_ps,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_fmadd_ps
    );
}
