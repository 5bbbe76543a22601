use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor, safetensors};

use crate::analysis::AnalysisError;
use crate::models::nn::{Conv3d, Conv3dConfig, Linear};

/// The tensors of the reader's file, taken by name and shape.
pub(super) struct Tensors {
    path: PathBuf,
    stored: HashMap<String, Tensor>,
}

impl Tensors {
    /// Reads the file whole; it is small.
    pub(super) fn read(path: &Path) -> Result<Self, AnalysisError> {
        let fault = |reason: String| AnalysisError::ReaderFile {
            path: path.to_owned(),
            reason,
        };
        // Asked first, since candle's own words for a missing file come with a backtrace.
        std::fs::metadata(path).map_err(|why| fault(why.to_string()))?;
        let stored = safetensors::load(path, &Device::Cpu).map_err(|why| {
            let why = why.to_string();
            fault(why.lines().next().unwrap_or_default().to_owned())
        })?;
        Ok(Self {
            path: path.to_owned(),
            stored,
        })
    }

    /// A tensor in f32.
    pub(super) fn take(&self, name: &str, shape: &[usize]) -> Result<Tensor, AnalysisError> {
        let misfit = |found: String| AnalysisError::ReaderTensor {
            path: self.path.clone(),
            tensor: name.to_owned(),
            found,
            expected: shape.to_vec(),
        };
        match self.stored.get(name) {
            None => Err(misfit("is missing".to_owned())),
            Some(tensor) if tensor.dims() != shape => {
                Err(misfit(format!("has shape {:?}", tensor.dims())))
            }
            Some(tensor) => Ok(tensor.to_dtype(DType::F32)?),
        }
    }

    /// The layer `<name>.weight` (outputs, inputs) and `<name>.bias`.
    pub(super) fn linear(
        &self,
        name: &str,
        inputs: usize,
        outputs: usize,
    ) -> Result<Linear, AnalysisError> {
        let weight = self.take(&format!("{name}.weight"), &[outputs, inputs])?;
        let bias = self.take(&format!("{name}.bias"), &[outputs])?;
        Ok(Linear::new(weight, Some(bias))?)
    }

    /// The layer `<name>.weight` (outputs, inputs, *kernel) and `<name>.bias`.
    pub(super) fn conv(
        &self,
        name: &str,
        inputs: usize,
        outputs: usize,
        config: Conv3dConfig,
    ) -> Result<Conv3d, AnalysisError> {
        let [t, h, w] = config.kernel;
        let weight = self.take(&format!("{name}.weight"), &[outputs, inputs, t, h, w])?;
        let bias = self.take(&format!("{name}.bias"), &[outputs])?;
        Ok(Conv3d::from_tensors(&weight, bias, config)?)
    }
}
