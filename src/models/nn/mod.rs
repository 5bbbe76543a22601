//! The operations that cost time, each in one place: a fast form for f32 on the CPU, and a form
//! composed of candle's own operations for every other device and number format.
//!
//! The CPU forms split work by the output alone and add up in a fixed order, so that a result
//! does not depend on the number of threads.

mod activation;
mod attention;
mod channel_rms;
mod conv;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod lanes;
mod last;
mod linear;
mod norm;
mod product;
mod rgb;
mod rope;
mod sinusoid;

pub use activation::{Activation, activate};
pub use attention::{attention, attention_by_distance, attention_in};
pub use channel_rms::channel_rms;
pub use conv::{Conv3d, Conv3dConfig, With};
#[cfg(test)]
pub(crate) use cpu::counting::multiply_adds;
pub use last::last_frames;
pub use linear::{Linear, linear, linear_no_bias};
pub use norm::{
    ChannelRmsNorm, LayerNorm, RmsNorm, gated_add, layer_norm, modulated, rms_modulated,
};
pub use product::Integers;
pub use rgb::rgb_frames;
pub use rope::Rope3d;
pub use sinusoid::sinusoid;

use candle_core::{DType, Tensor};

/// Whether norms, gates and rotations of the rows of `tensor` are one kernel.
fn rows_are_fused(tensor: &Tensor) -> bool {
    #[cfg(feature = "cuda")]
    if cuda::rows_can(tensor) {
        return true;
    }
    on_cpu_f32(tensor)
}

/// Whether the CPU forms of this module apply to `tensor`.
fn on_cpu_f32(tensor: &Tensor) -> bool {
    tensor.device().is_cpu() && tensor.dtype() == DType::F32
}
