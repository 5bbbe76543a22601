use std::ops::Range;
use std::sync::OnceLock;

use candle_core::backend::BackendStorage as _;
use candle_core::cuda_backend::WrapErr as _;
use candle_core::cuda_backend::cudarc::driver::{CudaView, LaunchConfig, PushKernelArg as _};
use candle_core::cuda_backend::cudarc::nvrtc::compile_ptx;
use candle_core::{CudaStorage, DType, Device, Layout, Result, Shape, Tensor, bail};
use half::bf16;

use super::super::norm::{FusedNorm, GatedAdd, composed_gated_add, composed_norm};
use super::super::rope::Rope3d;
use super::loads;

/// The name under which candle keeps the loaded kernels.
const MODULE: &str = "flowblend_rows";
const KERNELS: [&str; 3] = ["norm_rows", "gated_add_rows", "rotate_rows"];

/// The widest row of a norm: a block of 256 threads that keep four eights each.
const WIDEST: usize = 256 * KEPT * 8;
const KEPT: usize = 4;

/// A tensor's storage, and how it lies in it.
type Part<'a> = (&'a CudaStorage, &'a Layout);

/// Whether [`norm`], [`gated_add`] and [`rotate`] can do this: bf16, rows of a multiple of eight that are not too wide, and kernels that
/// could be compiled and loaded and that agree with candle's operations on this very GPU.
pub(in crate::models::nn) fn rows_can(x: &Tensor) -> bool {
    static AGREE: OnceLock<bool> = OnceLock::new();
    let (Device::Cuda(device), Some(&dim)) = (x.device(), x.dims().last()) else {
        return false;
    };
    let loaded = |ptx| KERNELS.iter().all(|name| loads(device, name, MODULE, ptx));
    x.dtype() == DType::BF16
        && dim.is_multiple_of(8)
        && dim <= WIDEST
        && x.layout().start_offset().is_multiple_of(8)
        && ptx().is_some_and(loaded)
        && *AGREE.get_or_init(|| agree(x.device()).unwrap_or(false))
}

/// Whether the kernels agree with candle's operations on some numbers, as nearly as the format allows: a driver or a GPU they were never
/// tried on must not cost a clip.
fn agree(device: &Device) -> Result<bool> {
    const SHAPE: (usize, usize, usize, usize) = (1, 6, 5, 264);
    let numbers = |shape: &Shape, step: usize, dtype: DType| {
        let numbers = (0..shape.elem_count()).map(|i| (i * step % 1009) as f32 / 252.0 - 1.7);
        Tensor::from_iter(numbers, device)?
            .reshape(shape)?
            .to_dtype(dtype)
    };
    let (shape, dim) = (Shape::from(SHAPE), Shape::from(SHAPE.3));
    let (x, y) = (
        numbers(&shape, 619, DType::BF16)?,
        numbers(&shape, 271, DType::BF16)?,
    );
    let (weight, bias) = (
        numbers(&dim, 97, DType::F32)?,
        numbers(&dim, 389, DType::F32)?,
    );
    let rope = Rope3d::new((1, 2, 3), SHAPE.3, 1e4, device)?;
    let mut pairs = vec![
        (
            x.apply_op3_no_bwd(&y, &weight, &GatedAdd)?,
            composed_gated_add(&x, &y, &weight)?,
        ),
        (rope.fused(&x)?, rope.composed(&x)?),
    ];
    for centred in [false, true] {
        let op = FusedNorm { eps: 1e-6, centred };
        pairs.push((
            x.apply_op3_no_bwd(&weight, &bias, &op)?,
            composed_norm(&x, &weight, &bias, 1e-6, centred)?,
        ));
    }
    for (got, want) in pairs {
        let (got, want) = (got.to_dtype(DType::F32)?, want.to_dtype(DType::F32)?);
        // One is rounded once, the other may be a unit beside it.
        let most = want.abs()?.affine(1.0 / 64.0, 1.0 / 64.0)?;
        let near = (got - want)?.abs()?.le(&most)?;
        let count = near.to_dtype(DType::F32)?.sum_all()?.to_scalar::<f32>()?;
        if count as usize != shape.elem_count() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The compiled kernels; `None` where they could not be compiled.
fn ptx() -> Option<&'static str> {
    static PTX: OnceLock<Option<String>> = OnceLock::new();
    let compile = || {
        let source = concat!(include_str!("bf16.cuh"), include_str!("rows.cu"));
        Some(compile_ptx(source).ok()?.to_src())
    };
    PTX.get_or_init(compile).as_deref()
}

/// A layer norm of bf16 rows or, where it is not `centred`, an RMS norm, with weight and bias in f32.
pub(in crate::models::nn) fn norm(
    x: Part<'_>,
    weight: Part<'_>,
    bias: Part<'_>,
    eps: f32,
    centred: bool,
) -> Result<(CudaStorage, Shape)> {
    let (shape, dim) = (x.1.shape(), row(x.1, weight.1)?);
    row(x.1, bias.1)?;
    let (weight, bias, x_numbers) = (f32s(weight)?, f32s(bias)?, bf16s(x)?);
    let device = x.0.device().clone();
    let kernel = device.get_or_load_custom_func(KERNELS[0], MODULE, source()?)?;
    let eights = dim / 8;
    let config = LaunchConfig {
        grid_dim: ((shape.elem_count() / dim) as u32, 1, 1),
        block_dim: ((eights.div_ceil(32 * KEPT) * 32) as u32, 1, 1),
        shared_mem_bytes: 0,
    };
    // SAFETY: the kernel writes every number of it.
    let out = unsafe { device.alloc::<bf16>(shape.elem_count())? };
    let (eights, centred) = (eights as i32, i32::from(centred));
    let mut launch = kernel.builder();
    launch.arg(&x_numbers).arg(&weight).arg(&bias).arg(&out);
    launch.arg(&eights).arg(&eps).arg(&centred);
    // SAFETY: the arguments are the kernel's; a block stays within its row, and the rows cover both tensors.
    unsafe { launch.launch(config) }.w()?;
    Ok((CudaStorage::wrap_cuda_slice(out, device), shape.clone()))
}

/// `x + y * gate` for bf16 `x` and `y`, rows of as many numbers as `gate` has in f32.
pub(in crate::models::nn) fn gated_add(
    x: Part<'_>,
    y: Part<'_>,
    gate: Part<'_>,
) -> Result<(CudaStorage, Shape)> {
    let (shape, dim) = (x.1.shape(), row(x.1, gate.1)?);
    if x.1.dims() != y.1.dims() {
        bail!("gated add was given {shape:?} and {:?}", y.1.shape());
    }
    let (gate, x_numbers, y_numbers) = (f32s(gate)?, bf16s(x)?, bf16s(y)?);
    let device = x.0.device().clone();
    let kernel = device.get_or_load_custom_func(KERNELS[1], MODULE, source()?)?;
    // SAFETY: the kernel writes every number of it.
    let out = unsafe { device.alloc::<bf16>(shape.elem_count())? };
    let (eights, all) = ((dim / 8) as i32, shape.elem_count() / 8);
    let mut launch = kernel.builder();
    launch.arg(&x_numbers).arg(&y_numbers).arg(&gate).arg(&out);
    launch.arg(&eights).arg(&all);
    // SAFETY: the arguments are the kernel's, which looks for the end of the tensors, all of one shape.
    unsafe { launch.launch(LaunchConfig::for_num_elems(all as u32)) }.w()?;
    Ok((CudaStorage::wrap_cuda_slice(out, device), shape.clone()))
}

/// Turns the pairs of channels of bf16 `(B, tokens, heads, head_dim)` by angles in f32, `(tokens, head_dim / 2)`.
pub(in crate::models::nn) fn rotate(
    x: Part<'_>,
    cosines: Part<'_>,
    sines: Part<'_>,
) -> Result<(CudaStorage, Shape)> {
    let shape = x.1.shape();
    let (_, tokens, heads, dim) = shape.dims4()?;
    let angles = [tokens, dim / 2];
    if cosines.1.dims() != angles || sines.1.dims() != angles {
        bail!(
            "rope for {:?} angles was given {shape:?}",
            cosines.1.shape()
        );
    }
    let (cosines, sines, x_numbers) = (f32s(cosines)?, f32s(sines)?, bf16s(x)?);
    let device = x.0.device().clone();
    let kernel = device.get_or_load_custom_func(KERNELS[2], MODULE, source()?)?;
    // SAFETY: the kernel writes every number of it.
    let out = unsafe { device.alloc::<bf16>(shape.elem_count())? };
    let counts = [dim / 8, heads, tokens].map(|count| count as i32);
    let all = shape.elem_count() / 8;
    let mut launch = kernel.builder();
    launch.arg(&x_numbers).arg(&cosines).arg(&sines).arg(&out);
    launch.arg(&counts[0]).arg(&counts[1]).arg(&counts[2]);
    launch.arg(&all);
    // SAFETY: the arguments are the kernel's, which looks for the end of the tensors; there are angles for every token.
    unsafe { launch.launch(LaunchConfig::for_num_elems(all as u32)) }.w()?;
    Ok((CudaStorage::wrap_cuda_slice(out, device), shape.clone()))
}

fn source() -> Result<&'static str> {
    match ptx() {
        Some(ptx) => Ok(ptx),
        None => bail!("the kernels for rows could not be compiled"),
    }
}

/// Numbers of a row of `x`, which has to be as long as `weight`, and one that the kernels can do.
fn row(x: &Layout, weight: &Layout) -> Result<usize> {
    match x.dims().last() {
        Some(&dim) if weight.dims() == [dim] && dim > 0 && dim % 8 == 0 && dim <= WIDEST => Ok(dim),
        _ => bail!(
            "rows of {:?} were given numbers of {:?}",
            x.shape(),
            weight.shape()
        ),
    }
}

fn range(layout: &Layout) -> Result<Range<usize>> {
    match layout.contiguous_offsets() {
        Some((from, to)) => Ok(from..to),
        None => bail!("the kernels for rows take tensors without gaps"),
    }
}

/// The numbers of a tensor that is read sixteen bytes at a time.
fn bf16s<'a>((storage, layout): Part<'a>) -> Result<CudaView<'a, bf16>> {
    let range = range(layout)?;
    if range.start % 8 != 0 || range.len() % 8 != 0 {
        bail!("the kernels for rows take numbers in eights");
    }
    Ok(storage.as_cuda_slice::<bf16>()?.slice(range))
}

fn f32s<'a>((storage, layout): Part<'a>) -> Result<CudaView<'a, f32>> {
    Ok(storage.as_cuda_slice::<f32>()?.slice(range(layout)?))
}
