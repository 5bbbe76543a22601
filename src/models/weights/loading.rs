use candle_core::Device;

use super::params::NumberFormat;
use crate::sampler::Cancel;

/// Where weights go, and who hears of it and may stop it.
pub struct Loading<'a> {
    pub(super) device: &'a Device,
    pub(super) format: NumberFormat,
    pub(super) cancel: Cancel,
    progress: Option<&'a mut dyn FnMut(u64, u64)>,
}

impl<'a> Loading<'a> {
    /// Weights go to `device` and matrices that are not quantised get this format.
    pub fn to(device: &'a Device, format: impl Into<NumberFormat>) -> Self {
        Self {
            device,
            format: format.into(),
            cancel: Cancel::new(),
            progress: None,
        }
    }

    /// Looks at `cancel` before every tensor, and tells `progress` after it the bytes of weights that
    /// were read and all of them.
    #[must_use]
    pub fn watched(self, cancel: &Cancel, progress: &'a mut dyn FnMut(u64, u64)) -> Self {
        Self {
            cancel: cancel.clone(),
            progress: Some(progress),
            ..self
        }
    }

    /// Where weights go.
    pub fn device(&self) -> &Device {
        self.device
    }

    pub(super) fn tell(&mut self, done: u64, of: u64) {
        if let Some(progress) = &mut self.progress {
            progress(done, of);
        }
    }
}
