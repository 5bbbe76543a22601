use std::sync::OnceLock;

use candle_core::backend::BackendStorage as _;
use candle_core::cuda_backend::WrapErr as _;
use candle_core::cuda_backend::cudarc::driver::sys::CUfunction_attribute;
use candle_core::cuda_backend::cudarc::driver::{LaunchConfig, PushKernelArg as _};
use candle_core::cuda_backend::cudarc::nvrtc::{CompileOptions, compile_ptx_with_opts};
use candle_core::{
    CpuStorage, CudaStorage, CustomOp3, DType, Device, Layout, Result, Shape, Tensor, bail,
};
use half::bf16;

use super::loads;

/// The kernel's name in its file.
const KERNEL: &str = "flash";

/// Queries and keys of a tile, as `flash.cu` has them.
const TILE: (usize, usize) = (128, 64);

/// The name under which candle keeps the kernel for heads of `dim` channels.
fn module(dim: usize) -> String {
    format!("flowblend_flash_{dim}")
}

/// Whether [`flash`] can do this: bf16, heads of 64 or 128 channels, a positive scale, a GPU of compute
/// capability 8 or later, and a kernel that could be compiled and loaded.
pub(in crate::models::nn) fn flash_can(q: &Tensor, k: &Tensor, v: &Tensor, scale: f64) -> bool {
    let (Device::Cuda(device), Some(&dim)) = (q.device(), q.dims().last()) else {
        return false;
    };
    // Rows are read 16 bytes at a time.
    let aligned = |x: &Tensor| x.layout().start_offset().is_multiple_of(8);
    let is_new = || {
        let stream = device.cuda_stream();
        let capability = stream.context().compute_capability();
        capability.is_ok_and(|(major, _)| major >= 8)
    };
    q.dtype() == DType::BF16
        && scale > 0.0
        && [q, k, v].into_iter().all(aligned)
        && is_new()
        && flash_ptx(dim).is_some_and(|ptx| loads(device, KERNEL, &module(dim), ptx))
}

/// As [`attention`](super::super::attention), for what [`flash_can`] says.
pub(in crate::models::nn) fn flash(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    scale: f64,
) -> Result<Tensor> {
    let [q, k, v] = [q.contiguous()?, k.contiguous()?, v.contiguous()?];
    let scale = (scale * std::f64::consts::LOG2_E) as f32;
    q.apply_op3_no_bwd(&k, &v, &Flash { scale })
}

/// The kernel for heads of `dim` channels; `None` where there is none or it could not be compiled.
fn flash_ptx(dim: usize) -> Option<&'static str> {
    static PTX: [OnceLock<Option<String>>; 2] = [OnceLock::new(), OnceLock::new()];
    let which = match dim {
        64 => 0,
        128 => 1,
        _ => return None,
    };
    let compile = || {
        let options = CompileOptions {
            arch: Some("compute_80"),
            options: vec![format!("-DD={dim}")],
            ..CompileOptions::default()
        };
        let ptx = compile_ptx_with_opts(include_str!("flash.cu"), options).ok()?;
        Some(ptx.to_src())
    };
    PTX[which].get_or_init(compile).as_deref()
}

struct Flash {
    /// Includes the logarithm of e to the base 2.
    scale: f32,
}

impl CustomOp3 for Flash {
    fn name(&self) -> &'static str {
        "flash-attention"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        bail!("this attention is for CUDA")
    }

    fn cuda_fwd(
        &self,
        q: &CudaStorage,
        q_layout: &Layout,
        k: &CudaStorage,
        k_layout: &Layout,
        v: &CudaStorage,
        v_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let (batch, queries, heads, dim) = q_layout.shape().dims4()?;
        let keys = k_layout.shape().dims4()?.1;
        if keys == 0
            || k_layout.dims() != [batch, keys, heads, dim]
            || k_layout.dims() != v_layout.dims()
        {
            bail!(
                "attention was given queries {:?}, keys {:?}, values {:?}",
                q_layout.shape(),
                k_layout.shape(),
                v_layout.shape()
            );
        }
        let Some(ptx) = flash_ptx(dim) else {
            bail!("attention of heads of {dim} channels has no kernel")
        };
        let device = q.device().clone();
        let of = |layout: &Layout| match layout.contiguous_offsets() {
            Some((from, to)) => Ok(from..to),
            None => bail!("attention takes tensors without gaps"),
        };
        let q = q.as_cuda_slice::<bf16>()?.slice(of(q_layout)?);
        let k = k.as_cuda_slice::<bf16>()?.slice(of(k_layout)?);
        let v = v.as_cuda_slice::<bf16>()?.slice(of(v_layout)?);
        let kernel = device.get_or_load_custom_func(KERNEL, &module(dim), ptx)?;
        // Two stages of keys and values.
        let shared = 2 * 2 * TILE.1 * dim * size_of::<bf16>();
        kernel
            .set_attribute(
                CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                shared as i32,
            )
            .w()?;
        let config = LaunchConfig {
            grid_dim: (queries.div_ceil(TILE.0) as u32, heads as u32, batch as u32),
            block_dim: (256, 1, 1),
            shared_mem_bytes: shared as u32,
        };
        // SAFETY: the kernel writes every number of it.
        let out = unsafe { device.alloc::<bf16>(batch * queries * heads * dim)? };
        let (n, m, heads) = (queries as i32, keys as i32, heads as i32);
        let mut launch = kernel.builder();
        launch.arg(&q).arg(&k).arg(&v).arg(&out);
        launch.arg(&n).arg(&m).arg(&heads).arg(&self.scale);
        // SAFETY: the arguments are the kernel's, and the shapes were checked: it reads rows of queries,
        // keys and values that there are and writes one for each query.
        unsafe { launch.launch(config) }.w()?;
        let out = CudaStorage::wrap_cuda_slice(out, device);
        Ok((out, q_layout.shape().clone()))
    }
}
