//! The names that LTX-Video's authors have for tensors, beside those of diffusers.

use crate::models::names::Names;

/// The transformer.
pub(super) const TRANSFORMER: Names = Names {
    prefixes: &["model.diffusion_model."],
    stems: &[
        ("patchify_proj.*", "proj_in.*"),
        ("adaln_single.*", "time_embed.*"),
        (
            "transformer_blocks.{}.attn1.q_norm.*",
            "transformer_blocks.{}.attn1.norm_q.*",
        ),
        (
            "transformer_blocks.{}.attn1.k_norm.*",
            "transformer_blocks.{}.attn1.norm_k.*",
        ),
        (
            "transformer_blocks.{}.attn2.q_norm.*",
            "transformer_blocks.{}.attn2.norm_q.*",
        ),
        (
            "transformer_blocks.{}.attn2.k_norm.*",
            "transformer_blocks.{}.attn2.norm_k.*",
        ),
    ],
    tails: &[],
    foreign: &["vae.", "text_encoders."],
};

/// The VAE of 0.9.5, 0.9.6 and 0.9.7. Its authors count levels and the steps between them in one
/// row; diffusers counts levels, each with its step. The rows of steps come first: diffusers keeps
/// them inside the levels.
pub(super) const VAE: Names = Names {
    prefixes: &["vae."],
    stems: &[
        (
            "encoder.down_blocks.1.*",
            "encoder.down_blocks.0.downsamplers.0.*",
        ),
        (
            "encoder.down_blocks.3.*",
            "encoder.down_blocks.1.downsamplers.0.*",
        ),
        (
            "encoder.down_blocks.5.*",
            "encoder.down_blocks.2.downsamplers.0.*",
        ),
        (
            "encoder.down_blocks.7.*",
            "encoder.down_blocks.3.downsamplers.0.*",
        ),
        (
            "encoder.down_blocks.0.res_blocks.*",
            "encoder.down_blocks.0.resnets.*",
        ),
        (
            "encoder.down_blocks.2.res_blocks.*",
            "encoder.down_blocks.1.resnets.*",
        ),
        (
            "encoder.down_blocks.4.res_blocks.*",
            "encoder.down_blocks.2.resnets.*",
        ),
        (
            "encoder.down_blocks.6.res_blocks.*",
            "encoder.down_blocks.3.resnets.*",
        ),
        (
            "encoder.down_blocks.8.res_blocks.*",
            "encoder.mid_block.resnets.*",
        ),
        (
            "decoder.up_blocks.1.*",
            "decoder.up_blocks.0.upsamplers.0.*",
        ),
        (
            "decoder.up_blocks.3.*",
            "decoder.up_blocks.1.upsamplers.0.*",
        ),
        (
            "decoder.up_blocks.5.*",
            "decoder.up_blocks.2.upsamplers.0.*",
        ),
        (
            "decoder.up_blocks.0.res_blocks.*",
            "decoder.mid_block.resnets.*",
        ),
        (
            "decoder.up_blocks.2.res_blocks.*",
            "decoder.up_blocks.0.resnets.*",
        ),
        (
            "decoder.up_blocks.4.res_blocks.*",
            "decoder.up_blocks.1.resnets.*",
        ),
        (
            "decoder.up_blocks.6.res_blocks.*",
            "decoder.up_blocks.2.resnets.*",
        ),
        ("decoder.up_blocks.0.*", "decoder.mid_block.*"),
        ("decoder.up_blocks.2.*", "decoder.up_blocks.0.*"),
        ("decoder.up_blocks.4.*", "decoder.up_blocks.1.*"),
        ("decoder.up_blocks.6.*", "decoder.up_blocks.2.*"),
        ("decoder.last_time_embedder.*", "decoder.time_embedder.*"),
        (
            "decoder.last_scale_shift_table",
            "decoder.scale_shift_table",
        ),
        ("per_channel_statistics.mean-of-means", "latents_mean"),
        ("per_channel_statistics.std-of-means", "latents_std"),
    ],
    tails: &[],
    foreign: &[
        "model.diffusion_model.",
        "text_encoders.",
        // Statistics that no computation uses.
        "vae.per_channel_statistics.channel",
        "vae.per_channel_statistics.mean-of-stds",
        "per_channel_statistics.channel",
        "per_channel_statistics.mean-of-stds",
    ],
};

/// The text encoder, which the authors' files do not hold; those of other programs use the names of
/// transformers.
pub(super) const TEXT: Names = Names {
    prefixes: &[],
    stems: &[],
    tails: &[],
    foreign: &["spiece_model", "scaled_fp8"],
};

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};
    use std::path::Path;

    use super::{TRANSFORMER, VAE};

    /// Every tensor of the small models: the authors' name and that of diffusers, as diffusers
    /// itself converts them.
    fn pairs(part: &str) -> BTreeMap<String, String> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ltx/names.json");
        let text = std::fs::read_to_string(path).unwrap();
        let mut parts: BTreeMap<String, BTreeMap<String, String>> =
            serde_json::from_str(&text).unwrap();
        parts.remove(part).unwrap()
    }

    #[test]
    fn names_are_those_of_diffusers_in_both_directions() {
        for (part, names) in [("transformer", TRANSFORMER), ("vae", VAE)] {
            let pairs = pairs(part);
            assert!(pairs.len() > 60);
            for (native, diffusers) in &pairs {
                assert_eq!(names.ours(native).as_deref(), Some(diffusers.as_str()));
                let bare = native.strip_prefix(names.prefixes[0]).unwrap();
                assert_eq!(names.ours(bare).as_deref(), Some(diffusers.as_str()));
                assert_eq!(names.theirs(diffusers), bare);
            }
            let ours: HashSet<&String> = pairs.values().collect();
            assert_eq!(ours.len(), pairs.len());
        }
    }

    #[test]
    fn a_part_leaves_the_others_alone() {
        assert_eq!(TRANSFORMER.ours("vae.encoder.conv_in.conv.bias"), None);
        assert_eq!(VAE.ours("model.diffusion_model.proj_out.bias"), None);
        assert_eq!(VAE.ours("vae.per_channel_statistics.mean-of-stds"), None);
        let strange = "model.diffusion_model.strange.0";
        assert_eq!(TRANSFORMER.ours(strange).unwrap(), "strange.0");
    }
}
