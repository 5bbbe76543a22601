use super::super::super::lanes::Lanes;
#[cfg(target_arch = "x86_64")]
use super::super::super::lanes::x86;

/// The instructions that products of integers are compiled for. Where a processor has none of them, f32 is as fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super::super) enum Instructions {
    /// A multiplication of pairs, then an addition.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Both at once.
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
}

impl Instructions {
    /// Those of this processor, the fastest last.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let found = {
            use std::arch::is_x86_feature_detected as has;
            let avx2 = has!("avx2") && has!("fma");
            [
                (Self::Avx2, avx2),
                (Self::AvxVnni, avx2 && has!("avxvnni")),
                (Self::Avx512Vnni, has!("avx512f") && has!("avx512vnni")),
            ]
        };
        #[cfg(not(target_arch = "x86_64"))]
        let found: [(Self, bool); 0] = [];
        found
            .into_iter()
            .filter_map(|(instructions, here)| here.then_some(instructions))
    }

    /// The fastest of this processor, where products of integers are faster than those of f32: its widest vectors have to
    /// have them.
    pub(in super::super::super) fn best() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx512f")
            && !std::arch::is_x86_feature_detected!("avx512vnni")
        {
            return None;
        }
        Self::all().last()
    }

    /// Rows that are added up together: as many as there are registers for.
    pub(super) fn rows(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 | Self::AvxVnni => FEW,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => MANY,
        }
    }

    /// Columns that are: two vectors.
    pub(super) fn columns(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 | Self::AvxVnni => 2 * x86::Avx2::WIDTH,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => 2 * x86::Avx512::WIDTH,
        }
    }

    /// Does `work` with these.
    pub(super) fn run(self, work: impl Vectorised) {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        unsafe fn avx2(work: impl Vectorised) {
            // SAFETY: the caller's promise.
            unsafe { work.run::<pairs::Avx2, FEW>() };
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma,avxvnni")]
        unsafe fn avx_vnni(work: impl Vectorised) {
            // SAFETY: the caller's promise.
            unsafe { work.run::<pairs::AvxVnni, FEW>() };
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512vnni")]
        unsafe fn avx512_vnni(work: impl Vectorised) {
            // SAFETY: the caller's promise.
            unsafe { work.run::<pairs::Avx512Vnni, MANY>() };
        }
        // SAFETY: the processor was looked at where the instructions were chosen.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            match self {
                Self::Avx2 => avx2(work),
                Self::AvxVnni => avx_vnni(work),
                Self::Avx512Vnni => avx512_vnni(work),
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        match self {}
    }
}

/// Work on vectors that is compiled once for each set of instructions, for `R` rows together.
pub(super) trait Vectorised {
    /// Does it. Its loops have the instructions of `P` where they are inlined.
    ///
    /// # Safety
    /// The processor has the instructions of `P`.
    unsafe fn run<P: Pairs<R>, const R: usize>(self);
}

/// Rows together of the widest vectors and of others.
pub(super) const MANY: usize = 12;
#[cfg(target_arch = "x86_64")]
const FEW: usize = 6;

/// Registers full of integers: sums for two vectors of columns and `R` rows.
pub(super) trait Pairs<const R: usize> {
    /// As many f32.
    type Wide: Lanes;

    /// Adds to `sums`, `(R, two vectors)`, the products of a block of `R` rows with that of two vectors of columns.
    ///
    /// # Safety
    /// The processor has the instructions of the type. The block of rows has as many places as the other, and both have the scales of
    /// as many lines.
    unsafe fn add_block(sums: *mut f32, rows: Lines, columns: Lines, places: usize);
}

/// A block of lines: pairs of places of all of them in turn, and a scale of each.
#[derive(Clone, Copy)]
pub(super) struct Lines {
    pub pairs: *const u32,
    pub scales: *const f32,
}

impl Lines {
    /// The block after one of `places`, of as many lines as lie `together`.
    ///
    /// # Safety
    /// There is one, or this was the last.
    #[inline(always)]
    pub(super) unsafe fn after(self, places: usize, together: usize) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            Self {
                pairs: self.pairs.add(places / 2 * together),
                scales: self.scales.add(together),
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod pairs {
    use std::arch::x86_64 as isa;

    use super::super::PLACES;
    use super::{FEW, Lanes as _, Lines, MANY, Pairs, x86};

    pub(super) struct Avx2;

    /// Adds to two sums the products with one row of a pair of places.
    macro_rules! row {
        ($pair:literal, $row:literal, $first:literal, $second:literal) => {
            concat!(
                "vpbroadcastd {row}, dword ptr [{rows} + 24*",
                $pair,
                " + 4*",
                $row,
                "]\n",
                "vpmaddwd {products}, {row}, {left}\n",
                "vpmaddwd {row}, {row}, {right}\n",
                "vpaddd {",
                $first,
                "}, {",
                $first,
                "}, {products}\n",
                "vpaddd {",
                $second,
                "}, {",
                $second,
                "}, {row}\n",
            )
        };
    }

    /// The same with six rows.
    macro_rules! pair {
        ($pair:literal) => {
            concat!(
                "vmovdqu {left}, ymmword ptr [{columns} + 64*",
                $pair,
                "]\n",
                "vmovdqu {right}, ymmword ptr [{columns} + 64*",
                $pair,
                " + 32]\n",
                row!($pair, 0, "a", "b"),
                row!($pair, 1, "c", "d"),
                row!($pair, 2, "e", "f"),
                row!($pair, 3, "g", "h"),
                row!($pair, 4, "i", "j"),
                row!($pair, 5, "k", "l"),
            )
        };
    }

    /// Begins two sums.
    macro_rules! zero {
        ($first:literal, $second:literal) => {
            concat!(
                "vpxor {", $first, "}, {", $first, "}, {", $first, "}\n", "vpxor {", $second,
                "}, {", $second, "}, {", $second, "}\n",
            )
        };
    }

    /// Adds two sums, times their scales, to where they go.
    macro_rules! scaled {
        ($row:literal, $first:literal, $second:literal) => {
            concat!(
                "vbroadcastss {row}, dword ptr [{row_scales} + 4*",
                $row,
                "]\n",
                "vmulps {left}, {row}, ymmword ptr [{column_scales}]\n",
                "vmulps {right}, {row}, ymmword ptr [{column_scales} + 32]\n",
                "vcvtdq2ps {",
                $first,
                "}, {",
                $first,
                "}\n",
                "vcvtdq2ps {",
                $second,
                "}, {",
                $second,
                "}\n",
                "vfmadd213ps {",
                $first,
                "}, {left}, ymmword ptr [{sums} + 64*",
                $row,
                "]\n",
                "vfmadd213ps {",
                $second,
                "}, {right}, ymmword ptr [{sums} + 64*",
                $row,
                " + 32]\n",
                "vmovups ymmword ptr [{sums} + 64*",
                $row,
                "], {",
                $first,
                "}\n",
                "vmovups ymmword ptr [{sums} + 64*",
                $row,
                " + 32], {",
                $second,
                "}\n",
            )
        };
    }

    impl Pairs<FEW> for Avx2 {
        type Wide = x86::Avx2;

        /// Written by hand, since twelve sums, two vectors of columns and two of what is between them are all the registers that there
        /// are: the compiler, which moves multiplications forward, runs out of them and keeps sums in memory.
        #[inline(always)]
        unsafe fn add_block(sums: *mut f32, rows: Lines, columns: Lines, places: usize) {
            const _: () = assert!(PLACES == 8 && FEW == 6);
            /// All registers are taken, whatever the caller keeps.
            #[inline]
            #[target_feature(enable = "avx2,fma")]
            unsafe fn add(sums: *mut f32, rows: Lines, columns: Lines, steps: usize) {
                // SAFETY: it reads and writes what the caller says may be.
                unsafe {
                    std::arch::asm!(
                        zero!("a", "b"),
                        zero!("c", "d"),
                        zero!("e", "f"),
                        zero!("g", "h"),
                        zero!("i", "j"),
                        zero!("k", "l"),
                        "2:",
                        pair!(0),
                        pair!(1),
                        pair!(2),
                        pair!(3),
                        "add {rows}, 96",
                        "add {columns}, 256",
                        "dec {steps}",
                        "jnz 2b",
                        scaled!(0, "a", "b"),
                        scaled!(1, "c", "d"),
                        scaled!(2, "e", "f"),
                        scaled!(3, "g", "h"),
                        scaled!(4, "i", "j"),
                        scaled!(5, "k", "l"),
                        rows = inout(reg) rows.pairs => _,
                        columns = inout(reg) columns.pairs => _,
                        steps = inout(reg) steps => _,
                        row_scales = in(reg) rows.scales,
                        column_scales = in(reg) columns.scales,
                        sums = in(reg) sums,
                        a = out(ymm_reg) _, b = out(ymm_reg) _, c = out(ymm_reg) _, d = out(ymm_reg) _,
                        e = out(ymm_reg) _, f = out(ymm_reg) _, g = out(ymm_reg) _, h = out(ymm_reg) _,
                        i = out(ymm_reg) _, j = out(ymm_reg) _, k = out(ymm_reg) _, l = out(ymm_reg) _,
                        left = out(ymm_reg) _, right = out(ymm_reg) _,
                        row = out(ymm_reg) _, products = out(ymm_reg) _,
                        options(nostack)
                    );
                }
            }
            if places > 0 {
                // SAFETY: the caller's promise.
                unsafe { add(sums, rows, columns, places / PLACES) };
            }
        }
    }

    /// Where one instruction multiplies and adds, there are registers enough.
    macro_rules! multiplied_and_added {
        ($name:ident, $wide:ident, $rows:ident, $zero:ident, $load:ident, $splat:ident, $add:ident, $to_f32:ident) => {
            pub(super) struct $name;

            impl Pairs<$rows> for $name {
                type Wide = x86::$wide;

                #[inline(always)]
                unsafe fn add_block(sums: *mut f32, rows: Lines, columns: Lines, places: usize) {
                    const WIDTH: usize = x86::$wide::WIDTH;
                    // SAFETY: the caller's promise.
                    unsafe {
                        let mut held = [[isa::$zero(); 2]; $rows];
                        for pair in 0..places / 2 {
                            let columns = columns.pairs.add(2 * pair * WIDTH);
                            let columns = [
                                isa::$load(columns.cast()),
                                isa::$load(columns.add(WIDTH).cast()),
                            ];
                            for (r, held) in held.iter_mut().enumerate() {
                                let row = *rows.pairs.add(pair * $rows + r);
                                let row = isa::$splat(row.cast_signed());
                                for (sum, columns) in held.iter_mut().zip(columns) {
                                    *sum = isa::$add(*sum, row, columns);
                                }
                            }
                        }
                        for (r, held) in held.into_iter().enumerate() {
                            let row_scale = x86::$wide::splat(*rows.scales.add(r));
                            for (v, held) in held.into_iter().enumerate() {
                                let scale = x86::$wide::load(columns.scales.add(v * WIDTH));
                                let scale = x86::$wide::splat(0.0).add_product(scale, row_scale);
                                let to = sums.add((2 * r + v) * WIDTH);
                                let held = x86::$wide(isa::$to_f32(held));
                                x86::$wide::load(to).add_product(held, scale).store(to);
                            }
                        }
                    }
                }
            }
        };
    }

    multiplied_and_added!(
        AvxVnni,
        Avx2,
        FEW,
        _mm256_setzero_si256,
        _mm256_loadu_si256,
        _mm256_set1_epi32,
        _mm256_dpwssd_avx_epi32,
        _mm256_cvtepi32_ps
    );
    multiplied_and_added!(
        Avx512Vnni,
        Avx512,
        MANY,
        _mm512_setzero_si512,
        _mm512_loadu_si512,
        _mm512_set1_epi32,
        _mm512_dpwssd_epi32,
        _mm512_cvtepi32_ps
    );
}
