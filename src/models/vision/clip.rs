use std::path::Path;

use candle_core::{Device, Result, Tensor};

use super::block::{Bend, Block, FeedShape, Names, Shape};
use super::embed::PatchEmbed;
use super::processor::Processor;
use super::{ClipConfig, ClipTextConfig, ClipVisionConfig, Picture, read_config, weights};
use crate::models::ModelError;
use crate::models::nn::{LayerNorm, Linear, linear_no_bias};
use crate::models::text::PromptTokenizer;
use crate::models::weights::{Loading, Params};

const NAMES: Names = Names {
    norms: ["layer_norm1", "layer_norm2"],
    query: "self_attn.q_proj",
    key: "self_attn.k_proj",
    value: "self_attn.v_proj",
    output: "self_attn.out_proj",
    scales: None,
};

/// The token id that the first configs name as the mark at the end by mistake.
const MISTAKEN_END: u32 = 2;

/// CLIP (Radford et al., arXiv 2103.00020; `CLIPModel` in transformers): pictures and words as vectors in one
/// space.
#[derive(Debug)]
pub struct ClipModel {
    processor: Processor,
    tokenizer: PromptTokenizer,
    network: Network,
    device: Device,
}

#[derive(Clone, Debug)]
struct Network {
    vision: Vision,
    text: Text,
}

impl ClipModel {
    /// Loads a folder with config.json, preprocessor_config.json, tokenizer.json and model.safetensors.
    ///
    /// # Errors
    /// A sentence that names the file and, where there is one, the tensor that is missing or misshapen.
    pub fn load(folder: &Path, loading: Loading<'_>) -> std::result::Result<Self, ModelError> {
        let hint = "use a CLIP model as transformers saves it";
        let config: ClipConfig = read_config(folder, ClipConfig::fault, hint)?;
        let processor = Processor::read(folder)?;
        let side = config.vision_config.image_size;
        if processor.output() != Some((side, side)) {
            return Err(ModelError::Config {
                path: folder.join("preprocessor_config.json"),
                reason: format!("it does not make pictures of {side}x{side}, as config.json needs"),
                hint: "the two are not of the same model, fetch both again".into(),
            });
        }
        let text = &config.text_config;
        let tokenizer = PromptTokenizer::read(
            &folder.join("tokenizer.json"),
            text.max_position_embeddings,
            text.vocab_size,
        )?;
        let device = loading.device().clone();
        // The first is for training, the others count from 0 to their length.
        let spare = |name: &str| name == "logit_scale" || name.ends_with(".position_ids");
        let network = weights(folder)?.build(loading, spare, |p| Network::new(&config, p))?;
        Ok(Self {
            processor,
            tokenizer,
            network,
            device,
        })
    }

    /// What pictures of one size show, `(pictures, projection_dim)` in f32, not normalised.
    pub fn features(&self, pictures: &[Picture<'_>]) -> std::result::Result<Tensor, ModelError> {
        let pixels = self.processor.prepare(pictures, &self.device)?;
        Ok(self.network.vision.forward(&pixels)?)
    }

    /// What a text says, `(projection_dim,)` in f32, not normalised. What is longer than the network reads is
    /// cut off.
    pub fn text_features(&self, text: &str) -> std::result::Result<Tensor, ModelError> {
        let tokens = self.tokenizer.tokens(text)?;
        Ok(self.network.text.forward(&tokens, &self.device)?)
    }
}

impl Network {
    fn new(config: &ClipConfig, params: Params) -> Result<Self> {
        Ok(Self {
            vision: Vision::new(&config.vision_config, config.projection_dim, &params)?,
            text: Text::new(&config.text_config, config.projection_dim, &params)?,
        })
    }
}

#[derive(Clone, Debug)]
struct Vision {
    patches: PatchEmbed,
    /// `(hidden,)`.
    class: Tensor,
    /// `(1 + patches, hidden)`.
    positions: Tensor,
    before: LayerNorm,
    blocks: Vec<Block>,
    after: LayerNorm,
    projection: Linear,
}

impl Vision {
    fn new(config: &ClipVisionConfig, projection: usize, all: &Params) -> Result<Self> {
        let (params, hidden) = (all.pp("vision_model"), config.hidden_size);
        let side = config.image_size / config.patch_size;
        let embeddings = params.pp("embeddings");
        let patches = embeddings.pp("patch_embedding");
        let norm = |name: &str| LayerNorm::new(hidden, config.layer_norm_eps, params.pp(name));
        let shape = shape(
            hidden,
            config.num_attention_heads,
            config.layer_norm_eps,
            (&config.hidden_act, config.intermediate_size),
        )?;
        Ok(Self {
            patches: PatchEmbed::new(hidden, config.patch_size, false, patches)?,
            class: embeddings.get(hidden, "class_embedding")?,
            positions: embeddings
                .pp("position_embedding")
                .get((1 + side * side, hidden), "weight")?,
            // As it is spelled there.
            before: norm("pre_layrnorm")?,
            blocks: blocks(config.num_hidden_layers, &shape, &params)?,
            after: norm("post_layernorm")?,
            projection: linear_no_bias(hidden, projection, all.pp("visual_projection"))?,
        })
    }

    /// `(batch, 3, side, side)` to `(batch, projection)`.
    fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        let class = self.class.broadcast_left((pixels.dim(0)?, 1))?;
        let tokens = Tensor::cat(&[class, self.patches.forward(pixels)?], 1)?;
        let mut x = self
            .before
            .forward(&tokens.broadcast_add(&self.positions)?)?;
        for block in &self.blocks {
            x = block.forward(&x, None)?;
        }
        let class = x.narrow(1, 0, 1)?.squeeze(1)?.contiguous()?;
        self.projection.forward(&self.after.forward(&class)?)
    }
}

#[derive(Clone, Debug)]
struct Text {
    /// `(vocab_size, hidden)`.
    tokens: Tensor,
    /// `(max_position_embeddings, hidden)`.
    positions: Tensor,
    blocks: Vec<Block>,
    after: LayerNorm,
    projection: Linear,
    end: u32,
}

impl Text {
    fn new(config: &ClipTextConfig, projection: usize, all: &Params) -> Result<Self> {
        let (params, hidden) = (all.pp("text_model"), config.hidden_size);
        let embeddings = params.pp("embeddings");
        let table = |name: &str, entries| embeddings.pp(name).get((entries, hidden), "weight");
        let shape = shape(
            hidden,
            config.num_attention_heads,
            config.layer_norm_eps,
            (&config.hidden_act, config.intermediate_size),
        )?;
        let norm = params.pp("final_layer_norm");
        Ok(Self {
            tokens: table("token_embedding", config.vocab_size)?,
            positions: table("position_embedding", config.max_position_embeddings)?,
            blocks: blocks(config.num_hidden_layers, &shape, &params)?,
            after: LayerNorm::new(hidden, config.layer_norm_eps, norm)?,
            projection: linear_no_bias(hidden, projection, all.pp("text_projection"))?,
            end: config.eos_token_id,
        })
    }

    /// The tokens of one text, marks included, to `(projection,)`.
    fn forward(&self, tokens: &[u32], device: &Device) -> Result<Tensor> {
        let count = tokens.len();
        let ids = Tensor::new(tokens, device)?;
        let positions = self.positions.narrow(0, 0, count)?;
        let mut x = (self.tokens.index_select(&ids, 0)? + positions)?.unsqueeze(0)?;
        let mask = causal(count, device)?;
        for block in &self.blocks {
            x = block.forward(&x, Some(&mask))?;
        }
        let end = x.narrow(1, self.end_of(tokens), 1)?.squeeze(1)?;
        let normed = self.after.forward(&end.contiguous()?)?;
        self.projection.forward(&normed)?.squeeze(0)
    }

    /// Where the state of the whole text lies.
    fn end_of(&self, tokens: &[u32]) -> usize {
        let end = match self.end {
            MISTAKEN_END => tokens.iter().max().copied().unwrap_or_default(),
            end => end,
        };
        tokens.iter().position(|token| *token == end).unwrap_or(0)
    }
}

/// Zero where a token sees another, which lies not behind it, and minus infinity elsewhere.
fn causal(tokens: usize, device: &Device) -> Result<Tensor> {
    let values = (0..tokens).flat_map(|query| {
        (0..tokens).map(move |key| if key > query { f32::NEG_INFINITY } else { 0.0 })
    });
    Tensor::from_iter(values, device)?.reshape((tokens, tokens))
}

fn shape(hidden: usize, heads: usize, eps: f64, (bend, inner): (&str, usize)) -> Result<Shape> {
    let Some(bend) = Bend::of(bend) else {
        candle_core::bail!("unknown hidden_act {bend}")
    };
    Ok(Shape {
        hidden,
        heads,
        eps,
        qkv_bias: true,
        feed: FeedShape::Plain(bend, inner),
    })
}

fn blocks(count: usize, shape: &Shape, params: &Params) -> Result<Vec<Block>> {
    let layers = params.pp("encoder.layers");
    (0..count)
        .map(|i| Block::new(&NAMES, shape, layers.pp(i)))
        .collect()
}
