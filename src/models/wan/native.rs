//! The names that WAN's authors have for tensors, beside those of diffusers and transformers. Facts
//! of the published files; checked against both implementations' own lists in tests.

use crate::models::names::Names;

/// Channels of one head in every WAN that was published.
pub(super) const HEAD_DIM: usize = 128;

/// Whether a transformer's tensor is one that only image-to-video models have.
pub(super) fn of_images(name: &str) -> bool {
    name.starts_with("img_emb.") || name.contains("_img.")
}

/// The transformer. The authors' third norm is diffusers' second: the two that have no weights are
/// counted differently.
pub(super) const TRANSFORMER: Names = Names {
    prefixes: &["model.diffusion_model."],
    stems: &[
        (
            "time_embedding.0.*",
            "condition_embedder.time_embedder.linear_1.*",
        ),
        (
            "time_embedding.2.*",
            "condition_embedder.time_embedder.linear_2.*",
        ),
        (
            "text_embedding.0.*",
            "condition_embedder.text_embedder.linear_1.*",
        ),
        (
            "text_embedding.2.*",
            "condition_embedder.text_embedder.linear_2.*",
        ),
        ("time_projection.1.*", "condition_embedder.time_proj.*"),
        ("head.modulation", "scale_shift_table"),
        ("head.head.*", "proj_out.*"),
        ("blocks.{}.modulation", "blocks.{}.scale_shift_table"),
        ("blocks.{}.norm3.*", "blocks.{}.norm2.*"),
        ("blocks.{}.self_attn.*", "blocks.{}.attn1.*"),
        ("blocks.{}.cross_attn.*", "blocks.{}.attn2.*"),
        ("blocks.{}.ffn.0.*", "blocks.{}.ffn.net.0.proj.*"),
        ("blocks.{}.ffn.2.*", "blocks.{}.ffn.net.2.*"),
    ],
    tails: &[
        ("q.weight", "to_q.weight"),
        ("q.bias", "to_q.bias"),
        ("k.weight", "to_k.weight"),
        ("k.bias", "to_k.bias"),
        ("v.weight", "to_v.weight"),
        ("v.bias", "to_v.bias"),
        ("o.weight", "to_out.0.weight"),
        ("o.bias", "to_out.0.bias"),
    ],
    foreign: &[],
};

/// The VAE. The decoder's layers are one list there and levels in diffusers: three residual blocks and
/// a step up to a level, but for the last.
pub(super) const VAE: Names = Names {
    prefixes: &[],
    stems: &[
        ("conv1.*", "quant_conv.*"),
        ("conv2.*", "post_quant_conv.*"),
        ("encoder.conv1.*", "encoder.conv_in.*"),
        ("encoder.downsamples.{}.*", "encoder.down_blocks.{}.*"),
        ("encoder.middle.0.*", "encoder.mid_block.resnets.0.*"),
        ("encoder.middle.1.*", "encoder.mid_block.attentions.0.*"),
        ("encoder.middle.2.*", "encoder.mid_block.resnets.1.*"),
        ("encoder.head.0.*", "encoder.norm_out.*"),
        ("encoder.head.2.*", "encoder.conv_out.*"),
        ("decoder.conv1.*", "decoder.conv_in.*"),
        ("decoder.middle.0.*", "decoder.mid_block.resnets.0.*"),
        ("decoder.middle.1.*", "decoder.mid_block.attentions.0.*"),
        ("decoder.middle.2.*", "decoder.mid_block.resnets.1.*"),
        ("decoder.upsamples.0.*", "decoder.up_blocks.0.resnets.0.*"),
        ("decoder.upsamples.1.*", "decoder.up_blocks.0.resnets.1.*"),
        ("decoder.upsamples.2.*", "decoder.up_blocks.0.resnets.2.*"),
        (
            "decoder.upsamples.3.*",
            "decoder.up_blocks.0.upsamplers.0.*",
        ),
        ("decoder.upsamples.4.*", "decoder.up_blocks.1.resnets.0.*"),
        ("decoder.upsamples.5.*", "decoder.up_blocks.1.resnets.1.*"),
        ("decoder.upsamples.6.*", "decoder.up_blocks.1.resnets.2.*"),
        (
            "decoder.upsamples.7.*",
            "decoder.up_blocks.1.upsamplers.0.*",
        ),
        ("decoder.upsamples.8.*", "decoder.up_blocks.2.resnets.0.*"),
        ("decoder.upsamples.9.*", "decoder.up_blocks.2.resnets.1.*"),
        ("decoder.upsamples.10.*", "decoder.up_blocks.2.resnets.2.*"),
        (
            "decoder.upsamples.11.*",
            "decoder.up_blocks.2.upsamplers.0.*",
        ),
        ("decoder.upsamples.12.*", "decoder.up_blocks.3.resnets.0.*"),
        ("decoder.upsamples.13.*", "decoder.up_blocks.3.resnets.1.*"),
        ("decoder.upsamples.14.*", "decoder.up_blocks.3.resnets.2.*"),
        ("decoder.head.0.*", "decoder.norm_out.*"),
        ("decoder.head.2.*", "decoder.conv_out.*"),
    ],
    tails: &[
        ("residual.0.gamma", "norm1.gamma"),
        ("residual.2.weight", "conv1.weight"),
        ("residual.2.bias", "conv1.bias"),
        ("residual.3.gamma", "norm2.gamma"),
        ("residual.6.weight", "conv2.weight"),
        ("residual.6.bias", "conv2.bias"),
        ("shortcut.weight", "conv_shortcut.weight"),
        ("shortcut.bias", "conv_shortcut.bias"),
    ],
    foreign: &[],
};

/// The text encoder. Files of other programs use the names of transformers already.
pub(super) const TEXT: Names = Names {
    prefixes: &[],
    stems: &[
        ("token_embedding.*", "shared.*"),
        ("blocks.{}.norm1.*", "encoder.block.{}.layer.0.layer_norm.*"),
        ("blocks.{}.norm2.*", "encoder.block.{}.layer.1.layer_norm.*"),
        (
            "blocks.{}.pos_embedding.embedding.*",
            "encoder.block.{}.layer.0.SelfAttention.relative_attention_bias.*",
        ),
        (
            "blocks.{}.attn.*",
            "encoder.block.{}.layer.0.SelfAttention.*",
        ),
        (
            "blocks.{}.ffn.gate.0.*",
            "encoder.block.{}.layer.1.DenseReluDense.wi_0.*",
        ),
        (
            "blocks.{}.ffn.fc1.*",
            "encoder.block.{}.layer.1.DenseReluDense.wi_1.*",
        ),
        (
            "blocks.{}.ffn.fc2.*",
            "encoder.block.{}.layer.1.DenseReluDense.wo.*",
        ),
        ("norm.*", "encoder.final_layer_norm.*"),
    ],
    tails: &[],
    foreign: &["spiece_model", "scaled_fp8"],
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Names, TEXT, TRANSFORMER, VAE};

    /// The tensors of a list made by tests/reference/full_size.py, names to sizes.
    fn list(text: &'static str) -> BTreeMap<&'static str, &'static str> {
        let row = |line: &'static str| {
            let mut words = line.split(' ');
            (words.next().unwrap(), words.next_back().unwrap())
        };
        text.lines().map(row).collect()
    }

    /// Every name of the authors' list turns into the one of diffusers' that has its shape, and back.
    fn agree(names: &Names, theirs: &'static str, ours: &'static str, count: usize) {
        let (theirs, ours) = (list(theirs), list(ours));
        assert_eq!((theirs.len(), ours.len()), (count, count));
        for (name, sizes) in theirs {
            let translated = names.ours(name).unwrap();
            assert_eq!(
                ours.get(&*translated),
                Some(&sizes),
                "{name} -> {translated}"
            );
            assert_eq!(names.theirs(&translated), name);
        }
    }

    macro_rules! fixture {
        ($name:literal) => {
            include_str!(concat!("../../../tests/fixtures/full_size/", $name, ".txt"))
        };
    }

    #[test]
    fn the_authors_names_are_those_of_diffusers() {
        agree(
            &TRANSFORMER,
            fixture!("wan-1.3b.native"),
            fixture!("wan-1.3b"),
            825,
        );
        agree(
            &TRANSFORMER,
            fixture!("wan-14b.native"),
            fixture!("wan-14b"),
            1095,
        );
        agree(&VAE, fixture!("wan-vae.native"), fixture!("wan-vae"), 194);
        agree(
            &TEXT,
            fixture!("umt5-xxl.native"),
            fixture!("umt5-xxl"),
            242,
        );
    }

    #[test]
    fn names_of_diffusers_stay() {
        for (names, text) in [
            (&TRANSFORMER, fixture!("wan-1.3b")),
            (&VAE, fixture!("wan-vae")),
            (&TEXT, fixture!("umt5-xxl")),
        ] {
            for name in list(text).keys() {
                assert_eq!(names.ours(name).as_deref(), Some(*name));
            }
        }
    }
}
