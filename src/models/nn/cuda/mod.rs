//! Kernels of our own for NVIDIA GPUs, compiled by NVRTC when they are first needed. Where a kernel cannot be
//! compiled or the driver does not load it, candle's operations do the work.

mod flash;
mod rows;
mod softmax;

pub(super) use flash::{flash, flash_can};
pub(super) use rows::{gated_add, norm, rotate, rows_can};
pub(super) use softmax::{softmax_can, softmax_in_place};

use candle_core::CudaDevice;

/// Whether `device` takes `function` of the kernels `ptx`, which are then loaded under the name `module`.
fn loads(device: &CudaDevice, function: &str, module: &str, ptx: &str) -> bool {
    device
        .get_or_load_custom_func(function, module, ptx)
        .is_ok()
}
