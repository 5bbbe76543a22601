//! Configs of the single files of LTX-Video's authors, told by the shapes of their tensors.

use std::path::Path;

use super::names::{TRANSFORMER, VAE};
use super::{TransformerConfig, VaeConfig};
use crate::models::ModelError;
use crate::models::weights::Weights;

/// Heads of every published transformer; no shape tells them.
const HEADS: usize = 32;

/// The error for a file that no network can be built for.
pub(super) fn unusable(path: &Path, reason: String) -> ModelError {
    ModelError::Config {
        path: path.to_owned(),
        reason,
        hint: "use a file of LTX-Video 0.9.5, 0.9.6 or 0.9.7".into(),
    }
}

/// The transformer's config.
pub(super) fn transformer_config(path: &Path) -> Result<TransformerConfig, ModelError> {
    let weights = Weights::open_file(path)?.renamed(|name| TRANSFORMER.ours(name));
    let shape = |name: &str| match weights.shape(name) {
        Some([outputs, inputs]) => Ok((*outputs, *inputs)),
        _ => Err(unusable(path, format!("it has no matrix {name}"))),
    };
    let (dim, channels) = shape("proj_in.weight")?;
    let (_, captions) = shape("caption_projection.linear_1.weight")?;
    let config = TransformerConfig {
        in_channels: channels,
        out_channels: Some(shape("proj_out.weight")?.0),
        num_attention_heads: HEADS,
        attention_head_dim: dim / HEADS,
        cross_attention_dim: dim,
        num_layers: numbered(&weights, "transformer_blocks."),
        caption_channels: captions,
        ..TransformerConfig::default()
    };
    match config.fault() {
        None => Ok(config),
        Some(reason) => Err(unusable(path, reason)),
    }
}

/// The VAE's config.
pub(super) fn vae_config(path: &Path) -> Result<VaeConfig, ModelError> {
    let weights = Weights::open_file(path)?.renamed(|name| VAE.ours(name));
    let shape = |name: &str| match weights.shape(&format!("{name}.conv.weight")) {
        Some([outputs, inputs, _, _, _]) => Ok((*outputs, *inputs)),
        _ => Err(unusable(path, format!("it has no convolution {name}"))),
    };
    let known = VaeConfig::ltx_095();
    let (levels, ups) = (known.down_block_types.len(), known.upsample_factor.len());
    let mut channels = Vec::new();
    let mut layers = Vec::new();
    for level in 0..levels {
        let name = format!("encoder.down_blocks.{level}");
        channels.push(shape(&format!("{name}.downsamplers.0.conv"))?.1);
        layers.push(numbered(&weights, &format!("{name}.resnets.")));
    }
    channels.push(shape("encoder.conv_out")?.1);
    layers.push(numbered(&weights, "encoder.mid_block.resnets."));
    let mut decoder_channels = Vec::new();
    let mut decoder_layers = vec![numbered(&weights, "decoder.mid_block.resnets.")];
    for level in 0..ups {
        let name = format!("decoder.up_blocks.{level}");
        decoder_channels.push(shape(&format!("{name}.upsamplers.0.conv"))?.1);
        decoder_layers.push(numbered(&weights, &format!("{name}.resnets.")));
    }
    // Configs list the decoder's levels from its end.
    decoder_channels.reverse();
    decoder_layers.reverse();
    let config = VaeConfig {
        latent_channels: shape("decoder.conv_in")?.1,
        block_out_channels: channels,
        layers_per_block: layers,
        decoder_block_out_channels: decoder_channels,
        decoder_layers_per_block: decoder_layers,
        timestep_conditioning: weights.shape("decoder.scale_shift_table").is_some(),
        ..known
    };
    match config.fault() {
        None => Ok(config),
        Some(reason) => Err(unusable(path, reason)),
    }
}

/// How many numbers follow `start` in the names of tensors: one more than the largest.
fn numbered(weights: &Weights, start: &str) -> usize {
    let number = |name: &str| {
        let rest = name.strip_prefix(start)?;
        rest.split('.').next()?.parse::<usize>().ok()
    };
    weights
        .names()
        .filter_map(number)
        .max()
        .map_or(0, |largest| largest.saturating_add(1))
}
