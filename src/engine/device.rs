use std::fmt;

use candle_core::{DType, Device};

use super::gpu_memory;
use super::memory::available_bytes;
use crate::models::nn::Integers;
use crate::models::{NumberFormat, PartSize};
use crate::project::DeviceChoice;

/// A device that is open, with the number format of weights on it and, on a GPU, of activations.
#[derive(Clone, Debug)]
pub struct OpenDevice {
    /// The device.
    pub device: Device,
    /// Number format of weights and, on a GPU, of activations: a CPU computes in f32.
    pub dtype: DType,
    /// Whether products with large matrices may be made in integers.
    pub integers: bool,
    threads: usize,
    /// Bytes of a GPU's own memory that were free when it was opened.
    free_bytes: Option<u64>,
}

/// Why this build cannot compute there; `None` where it can. Whether the machine has the device is seen when
/// it is opened.
pub fn device_missing(choice: DeviceChoice) -> Option<&'static str> {
    match choice {
        DeviceChoice::Cuda(_) if !cfg!(feature = "cuda") => Some(
            "This build of flowblend has no CUDA; build it with the feature cuda to use an NVIDIA GPU",
        ),
        DeviceChoice::Metal if !cfg!(feature = "metal") => {
            Some("This build of flowblend has no Metal; build it with the feature metal on a Mac")
        }
        _ => None,
    }
}

impl OpenDevice {
    /// Bytes of memory that a run may take on this device, what the program holds already included.
    pub fn memory_bytes(&self) -> Option<u64> {
        if self.device.is_cpu() {
            available_bytes()
        } else {
            self.free_bytes
        }
    }

    /// Bytes of a GPU's own memory that all programs together take now; `None` for a processor and where
    /// nobody says.
    pub fn taken_bytes(&self) -> Option<u64> {
        let (free, all) = gpu_memory::free_and_all(&self.device)?;
        Some(all.saturating_sub(free))
    }

    /// The format of weights on it.
    pub fn format(&self) -> NumberFormat {
        NumberFormat {
            dtype: self.dtype,
            integers: self.integers,
        }
    }

    /// What becomes of weights on it.
    pub fn weights(&self) -> WeightFormat {
        WeightFormat {
            format: self.format(),
            on_cpu: self.device.is_cpu(),
        }
    }

    /// Opens `choice`. For a `dtype` of `None` see [`WeightFormat`]. The error is a sentence with a next step.
    pub fn open(choice: DeviceChoice, dtype: Option<DType>) -> Result<Self, String> {
        let device = match choice {
            DeviceChoice::Cpu => Device::Cpu,
            DeviceChoice::Cuda(n) => Device::new_cuda(n).map_err(|why| {
                format!("CUDA device {n} cannot be used ({}); use --device cpu, or a build with the cuda feature on a machine with an NVIDIA driver", first_line(&why))
            })?,
            DeviceChoice::Metal => Device::new_metal(0).map_err(|why| {
                format!("Metal cannot be used ({}); use --device cpu, or a build with the metal feature on a Mac", first_line(&why))
            })?,
            DeviceChoice::Best => Device::new_cuda(0)
                .or_else(|_| Device::new_metal(0))
                .unwrap_or(Device::Cpu),
        };
        let NumberFormat { dtype, integers } = WeightFormat::of(dtype, device.is_cpu()).format;
        let free_bytes = gpu_memory::free_and_all(&device).map(|(free, _)| free);
        Ok(Self {
            device,
            dtype,
            integers,
            free_bytes,
            threads: rayon::current_num_threads(),
        })
    }
}

/// What becomes of weights on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightFormat {
    format: NumberFormat,
    pub(super) on_cpu: bool,
}

impl WeightFormat {
    /// Where `dtype` is asked for. Without one it is f32 on a CPU, and bf16 on a GPU. A CPU makes products with large matrices in
    /// integers, where it is faster so, unless f32 is asked for.
    pub(super) fn of(dtype: Option<DType>, on_cpu: bool) -> Self {
        let usual = if on_cpu { DType::F32 } else { DType::BF16 };
        let format = NumberFormat {
            dtype: dtype.unwrap_or(usual),
            integers: on_cpu && dtype != Some(DType::F32) && Integers::are_faster(),
        };
        Self { format, on_cpu }
    }

    /// Bytes in memory that a text encoder's weights take: it makes no products in integers.
    pub(super) fn bytes_of_text(self, encoder: &PartSize) -> u64 {
        encoder.bytes(self.format.dtype.into(), self.on_cpu)
    }

    /// Bytes in memory that a transformer's weights take.
    pub(super) fn bytes(self, part: &PartSize) -> u64 {
        part.bytes(self.format, self.on_cpu)
    }
}

fn first_line(error: &candle_core::Error) -> String {
    error
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

impl fmt::Display for OpenDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.device {
            Device::Cpu if self.threads == 1 => write!(f, "CPU · 1 thread"),
            Device::Cpu => write!(f, "CPU · {} threads", self.threads),
            Device::Cuda(_) => write!(f, "CUDA"),
            Device::Metal(_) => write!(f, "Metal"),
        }
    }
}

#[cfg(all(test, not(feature = "cuda")))]
mod tests {
    use super::*;

    #[test]
    fn a_missing_gpu_gets_a_sentence() {
        let why = OpenDevice::open(DeviceChoice::Cuda(0), None).unwrap_err();
        assert!(why.contains("use --device cpu"), "{why}");
        assert!(
            OpenDevice::open(DeviceChoice::Best, None)
                .unwrap()
                .device
                .is_cpu()
        );
    }
}
