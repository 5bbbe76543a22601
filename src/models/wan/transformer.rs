use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Device, Shape, Tensor, bail};

use super::TransformerConfig;
use super::block::Block;
use super::embed::ConditionEmbedder;
use super::files;
use crate::models::ModelError;
use crate::models::nn::{Linear, Rope3d, linear, modulated};
use crate::models::weights::{Loading, Params};
use crate::sampler::{Cancel, Context, Entered, Parts, SampleError, VelocityModel};

/// Base of the rotary frequencies (`WanRotaryPosEmbed` in diffusers).
const ROPE_THETA: f64 = 10_000.0;

/// Tokens along time, height and width.
type Grid = (usize, usize, usize);

/// The WAN 2.1 text-to-video transformer (`WanTransformer3DModel` in diffusers). Rotary
/// embedding, time embedder, scale-shift tables and layer norms stay in f32 whatever the format
/// of the other weights.
#[derive(Debug)]
pub struct WanTransformer {
    config: TransformerConfig,
    patch: Linear,
    condition: ConditionEmbedder,
    blocks: Vec<Block>,
    output: Linear,
    scale_shift_table: Tensor,
    device: Device,
    dtype: DType,
    /// The angles of the last grid: every step of a run asks for the same.
    rope: Mutex<Option<(Grid, Rope3d)>>,
}

impl WanTransformer {
    /// Loads the transformer of a model: a folder in diffusers' layout or the authors', or a single
    /// safetensors or GGUF file.
    pub fn load(model: &Path, loading: Loading<'_>) -> Result<Self, ModelError> {
        let (config, weights) = files::transformer(model)?;
        let construct = |params| Self::new(&config, params);
        weights.build(loading, |_| false, construct)
    }

    /// Reads and checks the transformer's config alone; of a file without one, its header.
    pub fn read_config(model: &Path) -> Result<TransformerConfig, ModelError> {
        files::transformer_config(model)
    }

    /// Builds the network from tensors named as in diffusers.
    pub fn new(config: &TransformerConfig, params: Params) -> candle_core::Result<Self> {
        let dim = config.inner_dim();
        let [t, h, w] = config.patch_size;
        let patch = params.pp("patch_embedding");
        // A convolution whose stride is its kernel is a matrix product over patches.
        let weight = patch
            .get((dim, config.in_channels, t, h, w), "weight")?
            .reshape((dim, config.in_channels * t * h * w))?;
        let blocks = params.pp("blocks");
        Ok(Self {
            config: config.clone(),
            patch: Linear::new(weight, Some(patch.get(dim, "bias")?))?,
            condition: ConditionEmbedder::new(config, params.pp("condition_embedder"))?,
            blocks: (0..config.num_layers)
                .map(|layer| Block::new(config, blocks.pp(layer)))
                .collect::<candle_core::Result<_>>()?,
            output: linear(
                dim,
                config.output_channels() * t * h * w,
                params.pp("proj_out"),
            )?,
            scale_shift_table: params
                .to_dtype(DType::F32)
                .get((1, 2, dim), "scale_shift_table")?,
            device: params.device().clone(),
            dtype: params.dtype(),
            rope: Mutex::new(None),
        })
    }

    /// The network's config.
    pub fn config(&self) -> &TransformerConfig {
        &self.config
    }

    /// Latents `(1, C, T, H, W)` as rows of patches, `(1, tokens, C * patch)`.
    fn patches(&self, latents: &Tensor) -> candle_core::Result<Tensor> {
        let (_, c, frames, height, width) = latents.dims5()?;
        let [t, h, w] = self.config.patch_size;
        let (nt, nh, nw) = (frames / t, height / h, width / w);
        latents
            .to_dtype(self.dtype)?
            .reshape([c, nt, t, nh, h, nw, w].as_slice())?
            .permute([1, 3, 5, 0, 2, 4, 6].as_slice())?
            .reshape((1, nt * nh * nw, c * t * h * w))
    }

    /// The inverse for the output, whose patches have their channels last.
    fn latents(
        &self,
        patches: &Tensor,
        grid: (usize, usize, usize),
    ) -> candle_core::Result<Tensor> {
        let c = self.config.output_channels();
        let [t, h, w] = self.config.patch_size;
        patches
            .reshape([grid.0, grid.1, grid.2, t, h, w, c].as_slice())?
            .permute([6, 0, 3, 1, 4, 2, 5].as_slice())?
            .reshape((1, c, grid.0 * t, grid.1 * h, grid.2 * w))
    }

    /// Patches of latents along time, height and width.
    fn tokens_of(&self, latents: &Shape) -> candle_core::Result<Grid> {
        let (_, _, frames, height, width) = latents.dims5()?;
        let [t, h, w] = self.config.patch_size;
        Ok((frames / t, height / h, width / w))
    }

    /// The same of latents that the network may not take; says why.
    fn grid(&self, latents: &Tensor) -> candle_core::Result<Grid> {
        let (batch, channels, frames, height, width) = latents.dims5()?;
        let [t, h, w] = self.config.patch_size;
        let fits = frames % t == 0 && height % h == 0 && width % w == 0;
        let grid = self.tokens_of(latents.shape())?;
        let longest = grid.0.max(grid.1).max(grid.2);
        if batch != 1 || channels != self.config.in_channels || !fits || latents.elem_count() == 0 {
            bail!(
                "the transformer takes latents (1, {}, T, H, W) in patches of {:?}, not {:?}",
                self.config.in_channels,
                self.config.patch_size,
                latents.shape()
            );
        }
        if longest > self.config.rope_max_seq_len {
            bail!(
                "the transformer takes at most {} tokens along one axis, not {longest}",
                self.config.rope_max_seq_len
            );
        }
        Ok(grid)
    }

    /// The rotary angles of a grid, kept for the next call.
    fn rope(&self, grid: Grid) -> candle_core::Result<Rope3d> {
        let mut kept = self.rope.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, rope)) = kept.as_ref()
            && *of == grid
        {
            return Ok(rope.clone());
        }
        let rope = Rope3d::new(
            grid,
            self.config.attention_head_dim,
            ROPE_THETA,
            &self.device,
        )?;
        *kept = Some((grid, rope.clone()));
        Ok(rope)
    }
}

impl VelocityModel for WanTransformer {
    /// For each block the keys and the values of its cross-attention, in this order.
    fn context(&self, embeddings: &Tensor) -> Result<Context, SampleError> {
        let text = self.condition.text(&embeddings.to_device(&self.device)?)?;
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

impl Parts for WanTransformer {
    fn enter(&self, latents: &Tensor, timestep: f64) -> Result<Entered, SampleError> {
        self.grid(latents)?;
        let (embedding, modulation) = self.condition.time(timestep, &self.device)?;
        Ok(Entered {
            tokens: self.patch.forward(&self.patches(latents)?)?,
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
        let rope = self.rope(self.tokens_of(&entered.shape)?)?;
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
            .squeeze(0)?
            .broadcast_add(&entered.embedding)?;
        let x = modulated(tokens, &table.get(1)?, &table.get(0)?, self.config.eps)?;
        let grid = self.tokens_of(&entered.shape)?;
        Ok(self
            .latents(&self.output.forward(&x)?, grid)?
            .to_dtype(DType::F32)?)
    }
}

impl WanTransformer {
    /// The error for a context that another model made.
    fn foreign(&self, context: &Context) -> SampleError {
        SampleError::Shape {
            what: "the text context's list of tensors".into(),
            found: vec![context.0.len()],
            expected: vec![2 * self.blocks.len()],
        }
    }
}
