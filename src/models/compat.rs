//! Whether two model folders can share one denoising run.

use std::fmt::Debug;
use std::path::Path;

use serde::Deserialize;

use super::ModelError;
use super::loader::read_json;
use super::wan::{self, TextEncoder, VaeConfig, WanTransformer, WanVae};

/// Checks that two models can take turns in one run: same latent channels, patches
/// and text width, and, as far as the small folder has them too, the same VAE (compression,
/// normalisation and weights), text encoder, tokenizer and prediction type.
///
/// The error names the first difference with both values.
pub fn check_compatible(large: &Path, small: &Path) -> Result<(), ModelError> {
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
        same_text(large, small)?;
    }
    if let (Some(a), Some(b)) = (Scheduler::read(large)?, Scheduler::read(small)?) {
        same(
            "the schedulers' prediction types",
            &a.prediction(),
            &b.prediction(),
        )?;
    }
    let vae = WanVae::read_config(large)?;
    if vae.z_dim != a.in_channels {
        return Err(ModelError::Incompatible(format!(
            "the VAE in {} has {} latent channels, but the transformers have {}",
            large.display(),
            vae.z_dim,
            a.in_channels
        )));
    }
    let text = TextEncoder::read_config(large)?;
    if text.d_model != a.text_dim {
        return Err(ModelError::Incompatible(format!(
            "the text encoder in {} has width {}, but the transformers take {}",
            large.display(),
            text.d_model,
            a.text_dim
        )));
    }
    Ok(())
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
    // Equal configs say nothing of the training: two small tensors at the latents' door do. The
    // tolerance lets the same weights pass in another number format.
    let (a, b) = (wan::vae_weights(large)?, wan::vae_weights(small)?);
    for name in [
        "post_quant_conv.bias",
        "quant_conv.bias",
        "decoder.conv_in.bias",
    ] {
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

fn same_text(large: &Path, small: &Path) -> Result<(), ModelError> {
    let (a, b) = (
        TextEncoder::read_config(large)?,
        TextEncoder::read_config(small)?,
    );
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
    )?;
    let (a, b) = (wan::tokenizer(large), wan::tokenizer(small));
    if a.is_file() && b.is_file() {
        let (a, b): (serde_json::Value, serde_json::Value) = (read_json(&a)?, read_json(&b)?);
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
