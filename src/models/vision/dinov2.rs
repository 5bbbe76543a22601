use std::path::Path;

use candle_core::{Device, Result, Tensor};

use super::block::{Bend, Block, FeedShape, Names, Shape};
use super::embed::{PatchEmbed, positions_for};
use super::processor::Processor;
use super::{Dinov2Config, Picture, read_config, weights};
use crate::models::ModelError;
use crate::models::nn::LayerNorm;
use crate::models::weights::{Loading, Params};

const NAMES: Names = Names {
    norms: ["norm1", "norm2"],
    query: "attention.attention.query",
    key: "attention.attention.key",
    value: "attention.attention.value",
    output: "attention.output.dense",
    scales: Some(["layer_scale1.lambda1", "layer_scale2.lambda1"]),
};

/// DINOv2 (Oquab et al., arXiv 2304.07193; `Dinov2Model` in transformers): a picture's class token.
#[derive(Clone, Debug)]
pub struct Dinov2 {
    processor: Processor,
    network: Network,
    device: Device,
}

#[derive(Clone, Debug)]
struct Network {
    patches: PatchEmbed,
    /// `(1, 1, hidden)`.
    class: Tensor,
    /// Of the class token and then of the patches, `(1 + patches, hidden)`.
    positions: Tensor,
    blocks: Vec<Block>,
    norm: LayerNorm,
    patch: usize,
}

impl Dinov2 {
    /// Loads a folder with config.json, preprocessor_config.json and model.safetensors.
    ///
    /// # Errors
    /// A sentence that names the file and, where there is one, the tensor that is missing or misshapen.
    pub fn load(folder: &Path, loading: Loading<'_>) -> std::result::Result<Self, ModelError> {
        let hint = "use a DINOv2 model without registers as transformers saves it";
        let config: Dinov2Config = read_config(folder, Dinov2Config::fault, hint)?;
        let processor = Processor::read(folder)?;
        let device = loading.device().clone();
        // Only pre-training hides patches.
        let spare = |name: &str| name == "embeddings.mask_token";
        let network = weights(folder)?.build(loading, spare, |p| Network::new(&config, p))?;
        Ok(Self {
            processor,
            network,
            device,
        })
    }

    /// What pictures of one size show, `(pictures, hidden)` in f32: the class token behind the last norm.
    pub fn features(&self, pictures: &[Picture<'_>]) -> std::result::Result<Tensor, ModelError> {
        let pixels = self.processor.prepare(pictures, &self.device)?;
        Ok(self.network.forward(&pixels)?)
    }
}

impl Network {
    fn new(config: &Dinov2Config, params: Params) -> Result<Self> {
        let hidden = config.hidden_size;
        let side = config.image_size / config.patch_size;
        let embeddings = params.pp("embeddings");
        let feed = match (config.use_swiglu_ffn, Bend::of(&config.hidden_act)) {
            (true, _) => FeedShape::Gated(config.gated_inner()),
            (false, Some(bend)) => FeedShape::Plain(bend, hidden * config.mlp_ratio),
            (false, None) => candle_core::bail!("unknown hidden_act {}", config.hidden_act),
        };
        let shape = Shape {
            hidden,
            heads: config.num_attention_heads,
            eps: config.layer_norm_eps,
            qkv_bias: config.qkv_bias,
            feed,
        };
        let layers = params.pp("encoder.layer");
        let positions = embeddings.get((1, 1 + side * side, hidden), "position_embeddings")?;
        let projection = embeddings.pp("patch_embeddings.projection");
        Ok(Self {
            patches: PatchEmbed::new(hidden, config.patch_size, true, projection)?,
            class: embeddings.get((1, 1, hidden), "cls_token")?,
            positions: positions.squeeze(0)?,
            blocks: (0..config.num_hidden_layers)
                .map(|i| Block::new(&NAMES, &shape, layers.pp(i)))
                .collect::<Result<_>>()?,
            norm: LayerNorm::new(hidden, config.layer_norm_eps, params.pp("layernorm"))?,
            patch: config.patch_size,
        })
    }

    /// `(batch, 3, height, width)` to `(batch, hidden)`.
    fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        let (batch, _, height, width) = pixels.dims4()?;
        let (rows, columns) = (height / self.patch, width / self.patch);
        let patches = self.patches.forward(pixels)?;
        let class = self.class.broadcast_left(batch)?.squeeze(1)?;
        let own = self.positions.narrow(0, 0, 1)?;
        let learned = self.positions.narrow(0, 1, self.positions.dim(0)? - 1)?;
        let positions = Tensor::cat(
            &[own, positions_for(&learned.contiguous()?, rows, columns)?],
            0,
        )?;
        let mut x = Tensor::cat(&[class, patches], 1)?.broadcast_add(&positions)?;
        for block in &self.blocks {
            x = block.forward(&x, None)?;
        }
        self.norm
            .forward(&x.narrow(1, 0, 1)?.squeeze(1)?.contiguous()?)
    }
}
