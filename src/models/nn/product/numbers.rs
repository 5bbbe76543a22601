use std::ops::Range;

use candle_core::{CpuStorage, Layout, Result, bail};
use half::slice::HalfFloatSliceExt as _;
use half::{bf16, f16};

use super::super::cpu;

/// The numbers of a factor as they are kept. Products are made in f32.
#[derive(Clone, Copy)]
pub(in super::super) enum Numbers<'a> {
    F32(&'a [f32]),
    Bf16(&'a [bf16]),
    F16(&'a [f16]),
}

impl<'a> Numbers<'a> {
    /// Those of a contiguous tensor.
    pub(in super::super) fn of(storage: &'a CpuStorage, layout: &Layout) -> Result<Self> {
        let Some((start, end)) = layout.contiguous_offsets() else {
            bail!("the CPU kernels need contiguous tensors, found {layout:?}");
        };
        Ok(match storage {
            CpuStorage::F32(numbers) => Self::F32(&numbers[start..end]),
            CpuStorage::BF16(numbers) => Self::Bf16(&numbers[start..end]),
            CpuStorage::F16(numbers) => Self::F16(&numbers[start..end]),
            _ => bail!("the CPU kernels need f32, bf16 or f16"),
        })
    }

    pub(in super::super) fn len(&self) -> usize {
        match self {
            Self::F32(numbers) => numbers.len(),
            Self::Bf16(numbers) => numbers.len(),
            Self::F16(numbers) => numbers.len(),
        }
    }

    /// Those of `range` in f32, as they lie or in `buffer`.
    #[inline]
    pub(super) fn wide<'b>(&self, range: Range<usize>, buffer: &'b mut Vec<f32>) -> &'b [f32]
    where
        'a: 'b,
    {
        let len = range.len();
        if !matches!(self, Self::F32(_)) {
            buffer.resize(buffer.len().max(len), 0.0);
        }
        match self {
            Self::F32(numbers) => return &numbers[range],
            Self::Bf16(numbers) => widen(&mut buffer[..len], &numbers[range]),
            Self::F16(numbers) => numbers[range].convert_to_f32_slice(&mut buffer[..len]),
        }
        &buffer[..len]
    }
}

cpu::vectorised! {
    /// bf16 is the upper half of f32.
    fn widen(to: &mut [f32], numbers: &[bf16]) {
        for (to, number) in to.iter_mut().zip(numbers) {
            *to = f32::from_bits(u32::from(number.to_bits()) << 16);
        }
    }
}
