//! The parts of an LTX-Video model on disk: how they are found, and what their files say of their
//! shape where no config does.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Pipeline, TransformerConfig, VaeConfig, names};
use crate::models::ModelError;
use crate::models::layout::{self, Part, Place};
use crate::models::loader::{self, read_json};
use crate::models::text::T5Config;
use crate::models::weights::{PartSize, Weights};

/// Heads of every transformer that was published.
const HEADS: usize = 32;

/// Blocks of the first transformer that came with LTXConditionPipeline, 0.9.7. diffusers tells it by
/// that, too.
const CONDITION_BLOCKS: usize = 48;

pub(in crate::models) const TRANSFORMER: Part = Part {
    folder: "transformer",
    stem: "diffusion_pytorch_model",
    files: &[],
    names: &names::TRANSFORMER,
};

const VAE: Part = Part {
    folder: "vae",
    stem: "diffusion_pytorch_model",
    files: &["LTX-Video-VAE-BF16"],
    names: &names::VAE,
};

const TEXT: Part = Part {
    folder: "text_encoder",
    stem: "model",
    files: &["t5xxl_fp16", "t5xxl_bf16"],
    names: &names::TEXT,
};

/// Where a tokenizer may lie beside the parts of a model.
const TOKENIZERS: [&str; 5] = [
    "tokenizer/tokenizer.json",
    "tokenizer/spiece.model",
    "tokenizer.json",
    "spiece.model",
    "../text_encoders/tokenizer.json",
];

/// A model's transformer: its config and its weights.
pub(super) fn transformer(model: &Path) -> Result<(TransformerConfig, Weights), ModelError> {
    let place = layout::find(model, &TRANSFORMER)?;
    let config = read_transformer_config(model, &place)?;
    Ok((config, layout::open(&place, &TRANSFORMER)?))
}

/// The config of a model's transformer; of its weights no more than the headers are read.
pub(super) fn transformer_config(model: &Path) -> Result<TransformerConfig, ModelError> {
    read_transformer_config(model, &layout::find(model, &TRANSFORMER)?)
}

/// A model's VAE: its config and its weights.
pub(super) fn vae(model: &Path) -> Result<(VaeConfig, Weights), ModelError> {
    let place = vae_place(model)?;
    Ok((read_vae_config(&place)?, layout::open(&place, &VAE)?))
}

/// The config of a model's VAE.
pub(super) fn vae_config(model: &Path) -> Result<VaeConfig, ModelError> {
    read_vae_config(&vae_place(model)?)
}

/// A model's text encoder: its config and its weights.
pub(super) fn text(model: &Path) -> Result<(T5Config, Weights), ModelError> {
    let place = layout::find(model, &TEXT)?;
    Ok((read_text_config(&place)?, layout::open(&place, &TEXT)?))
}

/// The config of a model's text encoder.
pub(super) fn text_config(model: &Path) -> Result<T5Config, ModelError> {
    read_text_config(&layout::find(model, &TEXT)?)
}

/// The weights of a model's VAE.
pub(in crate::models) fn vae_weights(model: &Path) -> Result<Weights, ModelError> {
    layout::open(&vae_place(model)?, &VAE)
}

/// What the headers of the files of a model's transformer say.
pub(in crate::models) fn transformer_size(model: &Path) -> Result<PartSize, ModelError> {
    Ok(transformer(model)?.1.size())
}

/// What the headers of the files of a model's VAE say.
pub(in crate::models) fn vae_size(model: &Path) -> Result<PartSize, ModelError> {
    Ok(vae(model)?.1.size())
}

/// What the headers of the files of a model's text encoder say.
pub(in crate::models) fn text_size(model: &Path) -> Result<PartSize, ModelError> {
    Ok(text(model)?.1.size())
}

/// What tells a model's text encoder, and how it is used, from every other; see
/// [`loader::identity`].
pub(in crate::models) fn text_identity(model: &Path) -> Result<String, ModelError> {
    let files = loader::identity(&text_files(model)?)?;
    Ok(format!("{:?} {files}", pipeline(model)?))
}

/// The files of a model's text encoder, its tokenizer's last.
pub(in crate::models) fn text_files(model: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let mut files = text(model)?.1.files().to_vec();
    files.push(tokenizer(model));
    Ok(files)
}

/// The files of a model's transformer.
pub fn transformer_files(model: &Path) -> Result<Vec<PathBuf>, ModelError> {
    Ok(transformer(model)?.1.files().to_vec())
}

/// An error where the VAE of `model` is older than a transformer that is to share its latents can be: that of 0.9.0 and
/// 0.9.1 is another one, though of equal channels.
pub(in crate::models) fn check_vae_age(
    model: &Path,
    transformer: &TransformerConfig,
) -> Result<(), ModelError> {
    const KIND: &str = "LTXVideo095DownBlock3D";
    let place = vae_place(model)?;
    let config = read_vae_config(&place)?;
    let other = config.down_block_types.iter().find(|kind| *kind != KIND);
    let blocks = transformer.num_layers;
    match other {
        Some(kind) if blocks >= CONDITION_BLOCKS => Err(ModelError::Config {
            path: match place {
                Place::Folder(folder) => folder.join("config.json"),
                Place::Native(path, _) => path,
            },
            reason: format!(
                "it is the VAE of LTX-Video 0.9.0 or 0.9.1 ({kind}), but a transformer of {blocks} blocks came with 0.9.7 \
                 and works with that of 0.9.5 or later ({KIND})"
            ),
            hint: "take the VAE that came with the transformer".into(),
        }),
        _ => Ok(()),
    }
}

/// Whether a model has a VAE of its own.
pub(in crate::models) fn has_vae(model: &Path) -> bool {
    vae_place(model).is_ok()
}

/// Whether a model has a text encoder of its own.
pub(in crate::models) fn has_text(model: &Path) -> bool {
    layout::find(model, &TEXT).is_ok()
}

/// The file of a model's tokenizer; where there is none, the place it should be in.
pub(in crate::models) fn tokenizer(model: &Path) -> PathBuf {
    let home = layout::home(model);
    let mut found = TOKENIZERS.iter().map(|path| home.join(path));
    found
        .find(|path| path.is_file())
        .unwrap_or_else(|| home.join(TOKENIZERS[0]))
}

/// What a folder's `model_index.json` asks for. A model without one was not saved by a pipeline, nor was a file beside one;
/// its transformer's depth tells with which it was published.
pub(super) fn pipeline(model: &Path) -> Result<Pipeline, ModelError> {
    #[derive(Deserialize)]
    struct Index {
        #[serde(rename = "_class_name", default)]
        class_name: String,
    }
    let path = model.join("model_index.json");
    if !path.is_file() {
        let blocks = transformer_config(model)?.num_layers;
        return Ok(if blocks >= CONDITION_BLOCKS {
            Pipeline::Condition
        } else {
            Pipeline::Text
        });
    }
    let index: Index = read_json(&path)?;
    match index.class_name.as_str() {
        "LTXPipeline" | "LTXImageToVideoPipeline" => Ok(Pipeline::Text),
        "LTXConditionPipeline" => Ok(Pipeline::Condition),
        other => Err(ModelError::Config {
            path,
            reason: format!("it describes a {other}"),
            hint: "use a model of LTX-Video 0.9.5, 0.9.6 or 0.9.7".into(),
        }),
    }
}

/// Where a model's VAE lies: in a place of its own, or in the file of the transformer, as the
/// authors publish it.
fn vae_place(model: &Path) -> Result<Place, ModelError> {
    // A file's own one is of its version. A folder beside it may be of another, as in the authors' repository.
    if model.is_file()
        && let Some(place) = vae_inside(model)
    {
        return Ok(place);
    }
    layout::find(model, &VAE).or_else(|why| vae_inside(model).ok_or(why))
}

/// The file of a model's transformer, where its VAE is in there too.
fn vae_inside(model: &Path) -> Option<Place> {
    let place = layout::find(model, &TRANSFORMER).ok()?;
    let is_file = matches!(place, Place::Native(..));
    let weights = is_file.then(|| layout::open(&place, &VAE).ok()).flatten()?;
    weights
        .shape("decoder.conv_in.conv.weight")
        .is_some()
        .then_some(place)
}

/// The part of a config.json beside a transformer's file that its tensors do not tell.
#[derive(Default, Deserialize)]
struct NativeConfig {
    num_attention_heads: Option<usize>,
}

fn read_transformer_config(model: &Path, place: &Place) -> Result<TransformerConfig, ModelError> {
    let told = || {
        let beside = layout::home(model).join("config.json");
        let beside: NativeConfig = if beside.is_file() {
            read_json(&beside)?
        } else {
            NativeConfig::default()
        };
        let weights = layout::open(place, &TRANSFORMER)?;
        let heads = beside.num_attention_heads.unwrap_or(HEADS);
        Ok(transformer_of(&weights, heads))
    };
    let hint = "use a model of LTX-Video, in diffusers' layout or as its authors publish it";
    layout::read_config(place, told, TransformerConfig::fault, hint)
}

fn read_vae_config(place: &Place) -> Result<VaeConfig, ModelError> {
    let told = || Ok(vae_of(&layout::open(place, &VAE)?));
    let hint = "use the VAE of LTX-Video 0.9.5, 0.9.6 or 0.9.7";
    layout::read_config(place, told, VaeConfig::fault, hint)
}

fn read_text_config(place: &Place) -> Result<T5Config, ModelError> {
    let told = || Ok(T5Config::told_by(&layout::open(place, &TEXT)?, "t5"));
    let fault = |config: &T5Config| config.fault("t5");
    let hint = "use the T5 v1.1 text encoder of an LTX-Video model";
    layout::read_config(place, told, fault, hint)
}

fn transformer_of(weights: &Weights, heads: usize) -> Result<TransformerConfig, String> {
    let (dim, channels) = weights.sizes("proj_in.weight")?;
    let (_, captions) = weights.sizes("caption_projection.linear_1.weight")?;
    if heads == 0 || !dim.is_multiple_of(heads) {
        return Err(format!(
            "its width {dim} does not divide into {heads} heads, and no config.json beside it says \
             how many there are"
        ));
    }
    Ok(TransformerConfig {
        in_channels: channels,
        out_channels: Some(weights.sizes("proj_out.weight")?.0),
        num_attention_heads: heads,
        attention_head_dim: dim / heads,
        cross_attention_dim: dim,
        num_layers: weights.count("transformer_blocks."),
        caption_channels: captions,
        ..TransformerConfig::default()
    })
}

/// What the file cannot say (the kinds of its steps, what is causal) is that of 0.9.5 and later.
fn vae_of(weights: &Weights) -> Result<VaeConfig, String> {
    let inputs = |name: &str| {
        weights
            .sizes(&format!("{name}.conv.weight"))
            .map(|(_, inputs)| inputs)
    };
    let known = VaeConfig::ltx_095();
    let mut channels = Vec::new();
    let mut layers = Vec::new();
    for level in 0..known.down_block_types.len() {
        let name = format!("encoder.down_blocks.{level}");
        channels.push(inputs(&format!("{name}.downsamplers.0.conv"))?);
        layers.push(weights.count(&format!("{name}.resnets.")));
    }
    channels.push(inputs("encoder.conv_out")?);
    layers.push(weights.count("encoder.mid_block.resnets."));
    let mut decoder_channels = Vec::new();
    let mut decoder_layers = vec![weights.count("decoder.mid_block.resnets.")];
    for level in 0..known.upsample_factor.len() {
        let name = format!("decoder.up_blocks.{level}");
        decoder_channels.push(inputs(&format!("{name}.upsamplers.0.conv"))?);
        decoder_layers.push(weights.count(&format!("{name}.resnets.")));
    }
    // Configs list the decoder's levels from its end.
    decoder_channels.reverse();
    decoder_layers.reverse();
    Ok(VaeConfig {
        latent_channels: inputs("decoder.conv_in")?,
        block_out_channels: channels,
        layers_per_block: layers,
        decoder_block_out_channels: decoder_channels,
        decoder_layers_per_block: decoder_layers,
        timestep_conditioning: weights.shape("decoder.scale_shift_table").is_some(),
        ..known
    })
}
