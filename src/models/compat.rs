//! Whether two model folders can share one denoising run.

use std::fmt::Debug;
use std::path::Path;

use serde::Deserialize;

use super::loader::read_json;
use super::ltx::{self, LtxTransformer, LtxVae};
use super::wan::{self, TextEncoder, VaeConfig, WanTransformer, WanVae};
use super::weights::Weights;
use super::{Family, ModelError, PairSpec, T5Config};

/// Checks that two models can take turns in one run: same latent channels, patches
/// and text width, and, as far as the small folder has them too, the same VAE (compression,
/// normalisation and weights), text encoder, tokenizer and prediction type.
///
/// The error names the first difference with both values.
pub fn check_compatible(large: &Path, small: &Path) -> Result<(), ModelError> {
    match common_family(large, small)? {
        Family::Wan => wan_compatible(large, small)?,
        Family::Ltx => ltx_compatible(large, small)?,
    }
    if let (Some(a), Some(b)) = (Scheduler::read(large)?, Scheduler::read(small)?) {
        same(
            "the schedulers' prediction types",
            &a.prediction(),
            &b.prediction(),
        )?;
    }
    Ok(())
}

/// Checks that the models of a pair can take turns in one run, see [`check_compatible`]; the distilled one, where there
/// is one, is held against the large one as the small one is.
pub fn check_pair(pair: &PairSpec) -> Result<(), ModelError> {
    check_compatible(&pair.large, &pair.small)?;
    let Some(distilled) = &pair.distilled else {
        return Ok(());
    };
    check_compatible(&pair.large, distilled).map_err(|why| match why {
        ModelError::Incompatible(why) => ModelError::Incompatible(format!(
            "the distilled model, taken for the small one, does not fit: {why}"
        )),
        why => why,
    })
}

/// The family that both models are of.
pub fn common_family(large: &Path, small: &Path) -> Result<Family, ModelError> {
    let (a, b) = (Family::of(large), Family::of(small));
    same("the models' families", &a.name(), &b.name())?;
    Ok(a)
}

fn ltx_compatible(large: &Path, small: &Path) -> Result<(), ModelError> {
    let (a, b) = (
        LtxTransformer::read_config(large)?,
        LtxTransformer::read_config(small)?,
    );
    same(
        "the transformers' latent channels (in_channels)",
        &a.in_channels,
        &b.in_channels,
    )?;
    same(
        "the transformers' text widths (caption_channels)",
        &a.caption_channels,
        &b.caption_channels,
    )?;
    for transformer in [&a, &b] {
        ltx::check_vae_age(large, transformer)?;
    }
    if ltx::has_vae(large) && ltx::has_vae(small) {
        same_ltx_vae(large, small)?;
    }
    if ltx::has_text(large) && ltx::has_text(small) {
        same_text(
            &ltx::TextEncoder::read_config(large)?,
            &ltx::TextEncoder::read_config(small)?,
        )?;
        same_tokenizer(&ltx::tokenizer(large), &ltx::tokenizer(small))?;
    }
    let channels = LtxVae::read_config(large)?.latent_channels;
    fits_vae(large, channels, a.in_channels)?;
    let width = ltx::TextEncoder::read_config(large)?.d_model;
    fits_text(large, width, a.caption_channels)
}

/// The statistics of the latents are tensors in this family; like the weights at the latents' door
/// they tell one training from another.
fn same_ltx_vae(large: &Path, small: &Path) -> Result<(), ModelError> {
    let (a, b) = (LtxVae::read_config(large)?, LtxVae::read_config(small)?);
    same(
        "the VAEs' latent channels (latent_channels)",
        &a.latent_channels,
        &b.latent_channels,
    )?;
    same(
        "the VAEs' spatial compressions",
        &a.pixels_per_latent(),
        &b.pixels_per_latent(),
    )?;
    same(
        "the VAEs' temporal compressions",
        &a.frames_per_latent(),
        &b.frames_per_latent(),
    )?;
    same(
        "the VAEs' scaling_factor",
        &a.scaling_factor,
        &b.scaling_factor,
    )?;
    same_values(
        &ltx::vae_weights(large)?,
        &ltx::vae_weights(small)?,
        &["latents_mean", "latents_std", "decoder.conv_in.conv.bias"],
    )
}

fn wan_compatible(large: &Path, small: &Path) -> Result<(), ModelError> {
    let (a, b) = (
        WanTransformer::read_config(large)?,
        WanTransformer::read_config(small)?,
    );
    same(
        "the transformers' latent channels (in_channels)",
        &a.in_channels,
        &b.in_channels,
    )?;
    same(
        "the transformers' patches (patch_size)",
        &a.patch_size,
        &b.patch_size,
    )?;
    same(
        "the transformers' text widths (text_dim)",
        &a.text_dim,
        &b.text_dim,
    )?;
    if wan::has_vae(large) && wan::has_vae(small) {
        same_vae(large, small)?;
    }
    if wan::has_text(large) && wan::has_text(small) {
        same_text(
            &TextEncoder::read_config(large)?,
            &TextEncoder::read_config(small)?,
        )?;
        same_tokenizer(&wan::tokenizer(large), &wan::tokenizer(small))?;
    }
    fits_vae(large, WanVae::read_config(large)?.z_dim, a.in_channels)?;
    fits_text(large, TextEncoder::read_config(large)?.d_model, a.text_dim)
}

fn fits_vae(model: &Path, vae: usize, transformer: usize) -> Result<(), ModelError> {
    if vae == transformer {
        return Ok(());
    }
    Err(ModelError::Incompatible(format!(
        "the VAE in {} has {vae} latent channels, but the transformers have {transformer}",
        model.display()
    )))
}

fn fits_text(model: &Path, encoder: usize, transformer: usize) -> Result<(), ModelError> {
    if encoder == transformer {
        return Ok(());
    }
    Err(ModelError::Incompatible(format!(
        "the text encoder in {} has width {encoder}, but the transformers take {transformer}",
        model.display()
    )))
}

/// An error unless both values are equal.
fn same<T: PartialEq + Debug>(what: &str, large: &T, small: &T) -> Result<(), ModelError> {
    if large == small {
        return Ok(());
    }
    Err(ModelError::Incompatible(format!(
        "{what} differ, {large:?} in the large model and {small:?} in the small one; choose two \
         models of one family and version"
    )))
}

fn same_vae(large: &Path, small: &Path) -> Result<(), ModelError> {
    let (a, b): (VaeConfig, VaeConfig) = (WanVae::read_config(large)?, WanVae::read_config(small)?);
    same("the VAEs' latent channels (z_dim)", &a.z_dim, &b.z_dim)?;
    same(
        "the VAEs' spatial compressions",
        &a.pixels_per_latent(),
        &b.pixels_per_latent(),
    )?;
    same(
        "the VAEs' temporal compressions",
        &a.frames_per_latent(),
        &b.frames_per_latent(),
    )?;
    for (what, a, b) in [
        ("latents_mean", &a.latents_mean, &b.latents_mean),
        ("latents_std", &a.latents_std, &b.latents_std),
    ] {
        for (channel, (a, b)) in a.iter().zip(b).enumerate() {
            same(&format!("the VAEs' {what} of channel {channel}"), a, b)?;
        }
    }
    // Equal configs say nothing of the training: small tensors at the latents' door do.
    same_values(
        &wan::vae_weights(large)?,
        &wan::vae_weights(small)?,
        &[
            "post_quant_conv.bias",
            "quant_conv.bias",
            "decoder.conv_in.bias",
        ],
    )
}

/// An error unless the tensors `names` of two VAEs are equal, as far as both have them. The tolerance
/// lets the same weights pass in another number format.
fn same_values(a: &Weights, b: &Weights, names: &[&str]) -> Result<(), ModelError> {
    for name in names {
        let (Some(a), Some(b)) = (a.values(name)?, b.values(name)?) else {
            continue;
        };
        same(&format!("the VAEs' sizes of {name}"), &a.len(), &b.len())?;
        let differs = a
            .iter()
            .zip(&b)
            .position(|(a, b)| (a - b).abs() > 0.01 * a.abs().max(0.01));
        if let Some(at) = differs {
            same(&format!("the VAEs' weights, {name}[{at}],"), &a[at], &b[at])?;
        }
    }
    Ok(())
}

fn same_text(a: &T5Config, b: &T5Config) -> Result<(), ModelError> {
    same(
        "the text encoders' widths (d_model)",
        &a.d_model,
        &b.d_model,
    )?;
    same(
        "the text encoders' depths (num_layers)",
        &a.num_layers,
        &b.num_layers,
    )?;
    same(
        "the text encoders' vocabularies (vocab_size)",
        &a.vocab_size,
        &b.vocab_size,
    )
}

fn same_tokenizer(large: &Path, small: &Path) -> Result<(), ModelError> {
    let spiece = |path: &Path| path.extension().is_some_and(|ending| ending == "model");
    if spiece(large) || spiece(small) {
        // A model saved in both forms cannot be told from two models.
        return Ok(());
    }
    if large.is_file() && small.is_file() {
        let (a, b): (serde_json::Value, serde_json::Value) = (read_json(large)?, read_json(small)?);
        // Cutting and padding are set by the program.
        for part in [
            "model",
            "normalizer",
            "pre_tokenizer",
            "post_processor",
            "added_tokens",
        ] {
            if a.get(part) != b.get(part) {
                return Err(ModelError::Incompatible(format!(
                    "the tokenizers differ in `{part}` between {} and {}; choose two models with \
                     the same text encoder",
                    large.display(),
                    small.display()
                )));
            }
        }
    }
    Ok(())
}

/// The keys of scheduler_config.json that say what a model predicts.
#[derive(Deserialize)]
struct Scheduler {
    #[serde(rename = "_class_name", default)]
    class_name: String,
    prediction_type: Option<String>,
}

impl Scheduler {
    fn read(model: &Path) -> Result<Option<Self>, ModelError> {
        let path = model.join("scheduler").join("scheduler_config.json");
        if path.is_file() {
            read_json(&path).map(Some)
        } else {
            Ok(None)
        }
    }

    /// What the model predicts: flow-matching schedulers know only the flow.
    fn prediction(&self) -> String {
        if self.class_name.starts_with("FlowMatch") {
            return "flow_prediction".into();
        }
        self.prediction_type
            .clone()
            .unwrap_or_else(|| "epsilon".into())
    }
}
