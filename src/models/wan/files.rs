//! The parts of a WAN model on disk: how they are found, and what their files say of their shape
//! where no config does.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::native;
use super::{TextConfig, TransformerConfig, VaeConfig};
use crate::models::ModelError;
use crate::models::layout::{self, Part, Place};
use crate::models::loader::{self, read_json};
use crate::models::weights::{PartSize, Weights};

const TRANSFORMER: Part = Part {
    folder: "transformer",
    stem: "diffusion_pytorch_model",
    files: &[],
    names: &native::TRANSFORMER,
};

const VAE: Part = Part {
    folder: "vae",
    stem: "diffusion_pytorch_model",
    files: &[
        "Wan2.1_VAE",
        "wan_2.1_vae",
        "Wan2_1_VAE_bf16",
        "Wan2_1_VAE_fp32",
    ],
    names: &native::VAE,
};

const TEXT: Part = Part {
    folder: "text_encoder",
    stem: "model",
    files: &[
        "models_t5_umt5-xxl-enc-bf16",
        "umt5_xxl_fp16",
        "umt5-xxl-enc-bf16",
        "umt5_xxl",
    ],
    names: &native::TEXT,
};

/// Where a tokenizer may lie beside the parts of a model.
const TOKENIZERS: [&str; 5] = [
    "tokenizer/tokenizer.json",
    "google/umt5-xxl/tokenizer.json",
    "umt5-xxl/tokenizer.json",
    "tokenizer.json",
    "../text_encoders/tokenizer.json",
];

/// The config of a model's transformer; of its weights no more than the headers are read.
pub(super) fn transformer_config(model: &Path) -> Result<TransformerConfig, ModelError> {
    let place = layout::find(model, &TRANSFORMER)?;
    read_transformer_config(model, &place)
}

/// A model's transformer: its config and its weights.
pub(super) fn transformer(model: &Path) -> Result<(TransformerConfig, Weights), ModelError> {
    let place = layout::find(model, &TRANSFORMER)?;
    let config = read_transformer_config(model, &place)?;
    Ok((config, layout::open(&place, &TRANSFORMER)?))
}

/// The config of a model's VAE.
pub(super) fn vae_config(model: &Path) -> Result<VaeConfig, ModelError> {
    read_vae_config(&layout::find(model, &VAE)?)
}

/// A model's VAE: its config and its weights.
pub(super) fn vae(model: &Path) -> Result<(VaeConfig, Weights), ModelError> {
    let place = layout::find(model, &VAE)?;
    Ok((read_vae_config(&place)?, layout::open(&place, &VAE)?))
}

/// The config of a model's text encoder.
pub(super) fn text_config(model: &Path) -> Result<TextConfig, ModelError> {
    read_text_config(&layout::find(model, &TEXT)?)
}

/// A model's text encoder: its config and its weights.
pub(super) fn text(model: &Path) -> Result<(TextConfig, Weights), ModelError> {
    let place = layout::find(model, &TEXT)?;
    Ok((read_text_config(&place)?, layout::open(&place, &TEXT)?))
}

/// The weights of a model's VAE.
pub(in crate::models) fn vae_weights(model: &Path) -> Result<Weights, ModelError> {
    layout::open(&layout::find(model, &VAE)?, &VAE)
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

/// What tells a model's text encoder from every other; see [`loader::identity`].
pub(in crate::models) fn text_identity(model: &Path) -> Result<String, ModelError> {
    loader::identity(&text_files(model)?)
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

/// Whether a model has a VAE of its own.
pub(in crate::models) fn has_vae(model: &Path) -> bool {
    layout::find(model, &VAE).is_ok()
}

/// Whether a model has a text encoder of its own.
pub(in crate::models) fn has_text(model: &Path) -> bool {
    layout::find(model, &TEXT).is_ok()
}

/// The file of a model's tokenizer; where there is none, the place it should be in.
pub(in crate::models) fn tokenizer(model: &Path) -> PathBuf {
    let home = layout::home(model);
    let beside = match layout::find(model, &TEXT) {
        Ok(Place::Native(file, _)) => file.parent().map(|folder| folder.join("tokenizer.json")),
        _ => None,
    };
    let found = TOKENIZERS.iter().map(|path| home.join(path)).chain(beside);
    found
        .into_iter()
        .find(|path| path.is_file())
        .unwrap_or_else(|| home.join(TOKENIZERS[0]))
}

/// The config.json that WAN's authors publish beside their weights, or diffusers' one of the same
/// transformer.
#[derive(Default, Deserialize)]
struct NativeConfig {
    #[serde(alias = "num_attention_heads")]
    num_heads: Option<usize>,
    eps: Option<f64>,
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
        Ok(transformer_of(&weights, &beside))
    };
    let hint =
        "use a WAN 2.1 text-to-video model, in diffusers' layout or as its authors publish it";
    layout::read_config(place, told, TransformerConfig::fault, hint)
}

fn read_vae_config(place: &Place) -> Result<VaeConfig, ModelError> {
    let told = || Ok(Ok(vae_of(&layout::open(place, &VAE)?)));
    let hint = "use the VAE of a WAN 2.1 model, in diffusers' layout or as its authors publish it";
    layout::read_config(place, told, VaeConfig::fault, hint)
}

fn read_text_config(place: &Place) -> Result<TextConfig, ModelError> {
    let told = || Ok(TextConfig::told_by(&layout::open(place, &TEXT)?, "umt5"));
    let fault = |config: &TextConfig| config.fault("umt5");
    let hint = "use the UMT5 text encoder of a WAN 2.1 model";
    layout::read_config(place, told, fault, hint)
}

fn transformer_of(weights: &Weights, beside: &NativeConfig) -> Result<TransformerConfig, String> {
    if let Some(name) = weights.names().find(|name| native::of_images(name)) {
        return Err(format!("it is an image-to-video model (it holds `{name}`)"));
    }
    let (dim, in_channels) = weights.sizes("patch_embedding.weight")?;
    let (_, text_dim) = weights.sizes("condition_embedder.text_embedder.linear_1.weight")?;
    let (_, freq_dim) = weights.sizes("condition_embedder.time_embedder.linear_1.weight")?;
    let (ffn_dim, _) = weights.sizes("blocks.0.ffn.net.0.proj.weight")?;
    let (patches, _) = weights.sizes("proj_out.weight")?;
    let patch_size = match weights.shape("patch_embedding.weight") {
        Some([_, _, t, h, w]) => [*t, *h, *w],
        shape => return Err(format!("its patch embedding has the shape {shape:?}")),
    };
    let heads = beside.num_heads.unwrap_or(dim / native::HEAD_DIM);
    if heads == 0 || !dim.is_multiple_of(heads) {
        return Err(format!(
            "its width {dim} does not divide into heads of {}, and no config.json beside it says \
             how many there are",
            native::HEAD_DIM
        ));
    }
    Ok(TransformerConfig {
        patch_size,
        num_attention_heads: heads,
        attention_head_dim: dim / heads,
        in_channels,
        out_channels: patches.checked_div(patch_size.iter().product()),
        text_dim,
        freq_dim,
        ffn_dim,
        num_layers: weights.count("blocks."),
        cross_attn_norm: weights.shape("blocks.0.norm2.weight").is_some(),
        eps: beside.eps.unwrap_or(1e-6),
        ..TransformerConfig::default()
    })
}

/// What the file cannot say (the mean and deviation of its latents, the levels) is that of WAN 2.1.
fn vae_of(weights: &Weights) -> VaeConfig {
    let size = |name: &str| weights.sizes(name).map_or(0, |(outputs, _)| outputs);
    VaeConfig {
        base_dim: size("encoder.conv_in.weight"),
        z_dim: size("post_quant_conv.weight"),
        ..VaeConfig::default()
    }
}
