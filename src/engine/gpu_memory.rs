//! What a GPU's own memory holds, as its driver tells.

use candle_core::Device;

/// Bytes that are free and bytes that there are; `None` for a processor and where nobody says.
pub(super) fn free_and_all(device: &Device) -> Option<(u64, u64)> {
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(_) => {
            let (free, all) =
                candle_core::cuda_backend::cudarc::driver::result::mem_get_info().ok()?;
            Some((free as u64, all as u64))
        }
        // Memory that the processor shares: as much as the system recommends to hold, and what this program holds of it.
        #[cfg(feature = "metal")]
        Device::Metal(device) => {
            let device = device.metal_device();
            let all = device.recommended_max_working_set_size();
            let free = all.saturating_sub(device.current_allocated_size());
            Some((free as u64, all as u64))
        }
        _ => None,
    }
}

/// Asks the driver's pool, which all tensors lie in, for what they take. Libraries' own buffers and the
/// driver's are not in it.
pub(super) struct GpuPeak {
    #[cfg(feature = "cuda")]
    pool: candle_core::cuda_backend::cudarc::driver::sys::CUmemoryPool,
    /// There is no value of it without a GPU.
    #[cfg(not(feature = "cuda"))]
    never: std::convert::Infallible,
}

#[cfg(not(feature = "cuda"))]
impl GpuPeak {
    pub(super) fn start(_: &Device) -> Option<Self> {
        None
    }

    pub(super) fn held(&self) -> Option<u64> {
        match self.never {}
    }

    pub(super) fn most(&self) -> Option<u64> {
        match self.never {}
    }

    pub(super) fn forget(&self) {
        match self.never {}
    }
}

#[cfg(feature = "cuda")]
mod cuda {
    use std::ptr::{from_mut, null_mut};

    use candle_core::Device;
    use candle_core::cuda_backend::cudarc::driver::sys::{
        self, CUmemPool_attribute as Attribute, cuDeviceGetMemPool, cuMemPoolGetAttribute,
        cuMemPoolSetAttribute,
    };

    use super::GpuPeak;

    impl GpuPeak {
        /// The pool of `device`; `None` where it is no such GPU or keeps no pool.
        pub(in crate::engine) fn start(device: &Device) -> Option<Self> {
            let Device::Cuda(device) = device else {
                return None;
            };
            let stream = device.cuda_stream();
            let context = stream.context();
            if !context.has_async_alloc() {
                return None;
            }
            let mut pool = null_mut();
            // SAFETY: the context keeps the device alive, and `pool` is written before it is read.
            let told = unsafe { cuDeviceGetMemPool(&raw mut pool, context.cu_device()) };
            let peak = (told == sys::CUresult::CUDA_SUCCESS).then_some(Self { pool })?;
            peak.forget();
            Some(peak)
        }

        /// Bytes that tensors take now.
        pub(in crate::engine) fn held(&self) -> Option<u64> {
            self.ask(Attribute::CU_MEMPOOL_ATTR_USED_MEM_CURRENT)
        }

        /// The most bytes that they took at once since the start, or since they were forgotten.
        pub(in crate::engine) fn most(&self) -> Option<u64> {
            self.ask(Attribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH)
        }

        /// Begins anew with what is held now. If the driver does not, the most is that since its start.
        pub(in crate::engine) fn forget(&self) {
            let mut zero = 0u64;
            let attribute = Attribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH;
            // SAFETY: this attribute is set from a u64, and the pool is the device's own, which stays.
            let _ =
                unsafe { cuMemPoolSetAttribute(self.pool, attribute, from_mut(&mut zero).cast()) };
        }

        fn ask(&self, attribute: Attribute) -> Option<u64> {
            let mut bytes = 0u64;
            // SAFETY: both attributes asked for are a u64, and the pool is the device's own, which stays.
            let told =
                unsafe { cuMemPoolGetAttribute(self.pool, attribute, from_mut(&mut bytes).cast()) };
            (told == sys::CUresult::CUDA_SUCCESS).then_some(bytes)
        }
    }
}
