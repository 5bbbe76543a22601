use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Device, Shape, Tensor, bail};

use super::block::Block;
use super::rope::Positions;
use super::time::TimeEmbedding;
use super::{Pipeline, TransformerConfig, files};
use crate::models::ModelError;
use crate::models::nn::{Activation, Linear, Rope3d, activate, linear, modulated};
use crate::models::weights::{Loading, Params};
use crate::sampler::{Cancel, Context, Entered, Parts, SampleError, VelocityModel};

/// Epsilon of the last norm, which no config states (`LTXVideoTransformer3DModel` in diffusers).
const NORM_OUT_EPS: f64 = 1e-6;

/// Frames a second where nothing else is set, as in diffusers' pipelines.
const FRAME_RATE: f64 = 25.0;

/// The LTX-Video transformer (`LTXVideoTransformer3DModel` in diffusers). Rotary embedding and
/// scale-shift tables stay in f32 whatever the format of the other weights.
#[derive(Debug)]
pub struct LtxTransformer {
    config: TransformerConfig,
    input: Linear,
    time: TimeEmbedding,
    time_projection: Linear,
    text_in: Linear,
    text_out: Linear,
    blocks: Vec<Block>,
    output: Linear,
    scale_shift_table: Tensor,
    device: Device,
    dtype: DType,
    frame_rate: f64,
    pipeline: Pipeline,
    /// The angles of the last call: every step of a run asks for the same.
    rope: Mutex<Option<(Positions, Rope3d)>>,
}

impl LtxTransformer {
    /// Loads the transformer of a model: of a folder in diffusers' layout, or of a file or folder as
    /// its authors publish it; to be run as the model's `model_index.json` says.
    pub fn load(model: &Path, loading: Loading<'_>) -> Result<Self, ModelError> {
        let (config, weights) = files::transformer(model)?;
        let construct = |params| Self::new(&config, params);
        let mut loaded = weights.build(loading, |_| false, construct)?;
        loaded.pipeline = Pipeline::read(model)?;
        Ok(loaded)
    }

    /// Reads and checks the transformer's config alone; of a file without one, its header.
    pub fn read_config(model: &Path) -> Result<TransformerConfig, ModelError> {
        files::transformer_config(model)
    }

    /// Builds the network from tensors named as in diffusers.
    pub fn new(config: &TransformerConfig, params: Params) -> candle_core::Result<Self> {
        let (dim, channels) = (config.inner_dim(), config.in_channels);
        let (time, text) = (params.pp("time_embed"), params.pp("caption_projection"));
        let blocks = params.pp("transformer_blocks");
        Ok(Self {
            config: config.clone(),
            input: linear(channels, dim, params.pp("proj_in"))?,
            time: TimeEmbedding::new(dim, time.pp("emb"))?,
            time_projection: linear(dim, 6 * dim, time.pp("linear"))?,
            text_in: linear(config.caption_channels, dim, text.pp("linear_1"))?,
            text_out: linear(dim, dim, text.pp("linear_2"))?,
            blocks: (0..config.num_layers)
                .map(|layer| Block::new(config, blocks.pp(layer)))
                .collect::<candle_core::Result<_>>()?,
            output: linear(dim, config.output_channels(), params.pp("proj_out"))?,
            scale_shift_table: params
                .to_dtype(DType::F32)
                .get((2, dim), "scale_shift_table")?,
            device: params.device().clone(),
            dtype: params.dtype(),
            frame_rate: FRAME_RATE,
            pipeline: Pipeline::default(),
            rope: Mutex::new(None),
        })
    }

    /// Sets the clip's frames a second, which the positions in time depend on; 25 at first. Fails
    /// for what is no rate.
    pub fn set_frame_rate(&mut self, frame_rate: f64) -> Result<(), SampleError> {
        if !(frame_rate.is_finite() && frame_rate > 0.0) {
            return Err(candle_core::Error::Msg(format!(
                "a clip cannot have {frame_rate} frames a second; give a number above 0"
            ))
            .into());
        }
        self.frame_rate = frame_rate;
        Ok(())
    }

    /// Sets the conventions of positions in time. In a blend both models take those of one folder.
    pub fn set_pipeline(&mut self, pipeline: Pipeline) {
        self.pipeline = pipeline;
    }

    /// The network's config.
    pub fn config(&self) -> &TransformerConfig {
        &self.config
    }

    fn grid(&self, latents: &Shape) -> candle_core::Result<(usize, usize, usize)> {
        match latents.dims() {
            [1, channels, frames, height, width]
                if *channels == self.config.in_channels && latents.elem_count() > 0 =>
            {
                Ok((*frames, *height, *width))
            }
            dims => bail!(
                "the transformer takes latents (1, {}, T, H, W), not {dims:?}",
                self.config.in_channels
            ),
        }
    }

    /// The rotary angles of a grid, kept for the next call.
    fn rope(&self, grid: (usize, usize, usize)) -> candle_core::Result<Rope3d> {
        let positions = Positions {
            grid,
            frame_rate: self.frame_rate,
            pipeline: self.pipeline,
        };
        let mut kept = self.rope.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, rope)) = kept.as_ref()
            && *of == positions
        {
            return Ok(rope.clone());
        }
        let rope = positions.rope(self.config.inner_dim(), &self.device)?;
        *kept = Some((positions, rope.clone()));
        Ok(rope)
    }

    /// The error for a context that another model made.
    fn foreign(&self, context: &Context) -> SampleError {
        SampleError::Shape {
            what: "the text context's list of tensors".into(),
            found: vec![context.0.len()],
            expected: vec![2 * self.blocks.len()],
        }
    }
}

impl VelocityModel for LtxTransformer {
    /// For each block the keys and the values of its cross-attention, in this order. `embeddings`
    /// hold a prompt's true tokens alone: the reference keeps the padding and takes ten thousand
    /// off its scores, which leaves it no weight at all.
    fn context(&self, embeddings: &Tensor) -> Result<Context, SampleError> {
        let embeddings = embeddings.to_device(&self.device)?.to_dtype(self.dtype)?;
        let text = self.text_out.forward(
            &self
                .text_in
                .forward_activated(&embeddings, Activation::GeluTanh)?,
        )?;
        let mut tensors = Vec::with_capacity(2 * self.blocks.len());
        for block in &self.blocks {
            let (key, value) = block.text(&text)?;
            tensors.extend([key, value]);
        }
        Ok(Context(tensors))
    }

    fn velocity(
        &self,
        latents: &Tensor,
        timestep: f64,
        context: &Context,
        cancel: &Cancel,
    ) -> Result<Tensor, SampleError> {
        self.whole(latents, timestep, context, cancel)
    }

    fn parts(&self) -> Option<&dyn Parts> {
        Some(self)
    }
}

impl Parts for LtxTransformer {
    fn enter(&self, latents: &Tensor, timestep: f64) -> Result<Entered, SampleError> {
        self.grid(latents.shape())?;
        let embedding = self.time.forward(timestep, &self.device)?;
        let modulation = self
            .time_projection
            .forward(&activate(&embedding, Activation::Silu)?)?
            .reshape((6, self.config.inner_dim()))?
            .to_dtype(DType::F32)?;
        // (1, C, T, H, W) to (1, tokens, C).
        let tokens = latents
            .to_dtype(self.dtype)?
            .flatten_from(2)?
            .transpose(1, 2)?
            .contiguous()?;
        Ok(Entered {
            tokens: self.input.forward(&tokens)?,
            embedding,
            modulation,
            shape: latents.shape().clone(),
        })
    }

    fn block_count(&self) -> usize {
        self.blocks.len()
    }

    fn blocks(
        &self,
        entered: &Entered,
        tokens: &Tensor,
        blocks: Range<usize>,
        context: &Context,
        cancel: &Cancel,
    ) -> Result<Tensor, SampleError> {
        let (text, []) = context.0.as_chunks::<2>() else {
            return Err(self.foreign(context));
        };
        if text.len() != self.blocks.len() {
            return Err(self.foreign(context));
        }
        cancel.check()?;
        let rope = self.rope(self.grid(&entered.shape)?)?;
        let mut x = tokens.clone();
        for (block, [key, value]) in self
            .blocks
            .iter()
            .zip(text)
            .take(blocks.end)
            .skip(blocks.start)
        {
            cancel.check()?;
            x = block.forward(&x, &entered.modulation, (key, value), &rope)?;
        }
        Ok(x)
    }

    fn leave(&self, entered: &Entered, tokens: &Tensor) -> Result<Tensor, SampleError> {
        let table = self
            .scale_shift_table
            .broadcast_add(&entered.embedding.to_dtype(DType::F32)?)?;
        let x = modulated(tokens, &table.get(1)?, &table.get(0)?, NORM_OUT_EPS)?;
        let velocity = self.output.forward(&x)?.transpose(1, 2)?.contiguous()?;
        Ok(velocity.reshape(&entered.shape)?.to_dtype(DType::F32)?)
    }
}
