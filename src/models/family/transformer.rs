use std::path::Path;

use candle_core::Tensor;

use super::Family;
use crate::models::ltx::{LtxTransformer, Pipeline};
use crate::models::wan::WanTransformer;
use crate::models::{Loading, ModelError};
use crate::sampler::{Cancel, Context, Parts, SampleError, VelocityModel};

/// A transformer of any family.
#[derive(Debug)]
pub enum Transformer {
    /// WAN 2.1.
    Wan(WanTransformer),
    /// LTX-Video.
    Ltx(LtxTransformer),
}

impl Transformer {
    /// Loads the transformer of `model` for a run in the conventions of `leader`, the model that
    /// also gives VAE and text encoder.
    pub fn load(model: &Path, leader: &Path, loading: Loading<'_>) -> Result<Self, ModelError> {
        Ok(match Family::of(model) {
            Family::Wan => Self::Wan(WanTransformer::load(model, loading)?),
            Family::Ltx => {
                let mut transformer = LtxTransformer::load(model, loading)?;
                transformer.set_pipeline(Pipeline::read(leader)?);
                Self::Ltx(transformer)
            }
        })
    }

    /// Sets the clip's frames a second, where the family asks for them.
    pub fn set_frame_rate(&mut self, frame_rate: f64) -> Result<(), SampleError> {
        match self {
            Self::Wan(_) => Ok(()),
            Self::Ltx(transformer) => transformer.set_frame_rate(frame_rate),
        }
    }

    fn model(&self) -> &dyn VelocityModel {
        match self {
            Self::Wan(transformer) => transformer,
            Self::Ltx(transformer) => transformer,
        }
    }
}

impl VelocityModel for Transformer {
    fn context(&self, embeddings: &Tensor) -> Result<Context, SampleError> {
        self.model().context(embeddings)
    }

    fn velocity(
        &self,
        latents: &Tensor,
        timestep: f64,
        context: &Context,
        cancel: &Cancel,
    ) -> Result<Tensor, SampleError> {
        self.model().velocity(latents, timestep, context, cancel)
    }

    fn parts(&self) -> Option<&dyn Parts> {
        self.model().parts()
    }
}
