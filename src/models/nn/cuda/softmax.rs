use std::sync::OnceLock;

use candle_core::backend::BackendStorage as _;
use candle_core::cuda_backend::WrapErr as _;
use candle_core::cuda_backend::cudarc::driver::{LaunchConfig, PushKernelArg as _};
use candle_core::cuda_backend::cudarc::nvrtc::compile_ptx;
use candle_core::{
    CpuStorage, CudaStorage, DType, Device, InplaceOp1, Layout, Result, Tensor, bail,
};
use half::bf16;

use super::loads;

/// The name under which candle keeps the loaded kernels.
const MODULE: &str = "flowblend_softmax";
/// The kernel for rows of a multiple of eight, and that for all others.
const KERNELS: [&str; 2] = ["softmax_by_eight", "softmax_any"];

/// Whether [`softmax_in_place`] can do this: bf16, and kernels that could be compiled and loaded.
pub(in crate::models::nn) fn softmax_can(tensor: &Tensor) -> bool {
    let Device::Cuda(device) = tensor.device() else {
        return false;
    };
    let loaded = |ptx| KERNELS.iter().all(|name| loads(device, name, MODULE, ptx));
    tensor.dtype() == DType::BF16 && ptx().is_some_and(loaded)
}

/// `softmax(scale * x)` over the last axis, in place, for contiguous bf16 on CUDA. Worked out in f32 and
/// rounded once.
pub(in crate::models::nn) fn softmax_in_place(scores: &Tensor, scale: f64) -> Result<()> {
    let scale = scale as f32;
    scores.inplace_op1(&Softmax { scale })
}

/// The compiled kernels; `None` where they could not be compiled.
fn ptx() -> Option<&'static str> {
    static PTX: OnceLock<Option<String>> = OnceLock::new();
    let compile = || {
        let source = concat!(include_str!("bf16.cuh"), include_str!("softmax.cu"));
        Some(compile_ptx(source).ok()?.to_src())
    };
    PTX.get_or_init(compile).as_deref()
}

struct Softmax {
    scale: f32,
}

impl InplaceOp1 for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn cpu_fwd(&self, _: &mut CpuStorage, _: &Layout) -> Result<()> {
        bail!("softmax in place is for CUDA")
    }

    fn cuda_fwd(&self, storage: &mut CudaStorage, layout: &Layout) -> Result<()> {
        let (Some(ptx), Some((from, to))) = (ptx(), layout.contiguous_offsets()) else {
            bail!("softmax in place takes contiguous scores and needs NVRTC")
        };
        let columns = layout.dims().last().copied().unwrap_or(0);
        if columns == 0 || from == to {
            return Ok(());
        }
        let by_eight = columns.is_multiple_of(8) && from.is_multiple_of(8);
        let (name, steps) = match by_eight {
            true => (KERNELS[0], columns / 8),
            false => (KERNELS[1], columns),
        };
        let device = storage.device().clone();
        let kernel = device.get_or_load_custom_func(name, MODULE, ptx)?;
        let config = LaunchConfig {
            grid_dim: (((to - from) / columns) as u32, 1, 1),
            // Whole warps, and no more of them than there is work for.
            block_dim: ((steps.div_ceil(32) * 32).min(512) as u32, 1, 1),
            shared_mem_bytes: 0,
        };
        let mut scores = storage.as_cuda_slice_mut::<bf16>()?.slice_mut(from..to);
        let (columns, scale) = (columns as i32, self.scale);
        let mut launch = kernel.builder();
        launch.arg(&mut scores).arg(&columns).arg(&scale);
        // SAFETY: the arguments are those of both kernels; a block stays within its row, and the rows
        // cover the slice.
        unsafe { launch.launch(config) }.w()?;
        Ok(())
    }
}
