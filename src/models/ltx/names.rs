//! How the files of LTX-Video's authors name tensors, as tables.

/// Names as the model's authors have them beside those of diffusers.
#[derive(Debug)]
pub(super) struct Names {
    /// What stands before every name of theirs in a file that holds more than one part of the
    /// model, and is dropped. A file of one part may lack it.
    prefix: &'static str,
    /// Starts of the names of other parts of the model.
    foreign: &'static [&'static str],
    /// Theirs and ours; the first row that fits counts, in either direction. `{}` stands for a
    /// number between dots, and a `*` at the end for the rest of the name.
    rows: &'static [(&'static str, &'static str)],
}

/// The transformer.
pub(super) const TRANSFORMER: Names = Names {
    prefix: "model.diffusion_model.",
    foreign: &["vae.", "text_encoders."],
    rows: &[
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
};

/// The VAE of 0.9.5, 0.9.6 and 0.9.7. Its authors count levels and the steps between them in one
/// row; diffusers counts levels, each with its step.
pub(super) const VAE: Names = Names {
    prefix: "vae.",
    foreign: &["model.diffusion_model.", "text_encoders."],
    rows: &[
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
};

/// Statistics in the authors' files that no computation uses.
pub(super) const UNUSED_STATISTICS: &str = "per_channel_statistics.";

/// The name that diffusers has for the transformer's tensor `native`; `None` for tensors of other
/// parts of the model.
pub fn transformer_name(native: &str) -> Option<String> {
    TRANSFORMER.ours(native)
}

/// The name that diffusers has for the VAE's tensor `native`; `None` for tensors of other parts of
/// the model.
pub fn vae_name(native: &str) -> Option<String> {
    VAE.ours(native)
}

impl Names {
    /// Our name for theirs; `None` where it belongs to another part. What the table does not know
    /// keeps its name, so that it can be named in an error.
    pub(super) fn ours(&self, theirs: &str) -> Option<String> {
        if self.foreign.iter().any(|start| theirs.starts_with(start)) {
            return None;
        }
        let bare = theirs.strip_prefix(self.prefix).unwrap_or(theirs);
        Some(translate(bare, self.rows.iter().copied()))
    }

    /// The inverse of [`ours`](Self::ours), with the prefix.
    #[cfg(test)]
    fn theirs(&self, ours: &str) -> String {
        let rows = self.rows.iter().map(|(theirs, ours)| (*ours, *theirs));
        format!("{}{}", self.prefix, translate(ours, rows))
    }
}

fn translate(name: &str, mut rows: impl Iterator<Item = (&'static str, &'static str)>) -> String {
    rows.find_map(|(from, to)| replaced(name, from, to))
        .unwrap_or_else(|| name.to_owned())
}

/// `to` with the numbers and the rest that `from` finds in `name`; `None` where `from` does not fit.
fn replaced(name: &str, from: &str, to: &str) -> Option<String> {
    let mut parts = name.split('.');
    let mut numbers = Vec::new();
    let mut rest = Vec::new();
    for pattern in from.split('.') {
        if pattern == "*" {
            rest = parts.by_ref().collect();
            if rest.is_empty() {
                return None;
            }
            break;
        }
        let part = parts.next()?;
        match pattern {
            "{}" if part.parse::<usize>().is_ok() => numbers.push(part),
            _ if pattern == part => {}
            _ => return None,
        }
    }
    if parts.next().is_some() {
        return None;
    }
    let mut numbers = numbers.into_iter();
    let mut out = Vec::new();
    for pattern in to.split('.') {
        match pattern {
            "*" => out.append(&mut rest),
            "{}" => out.push(numbers.next()?),
            literal => out.push(literal),
        }
    }
    Some(out.join("."))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};
    use std::path::Path;

    use super::{Names, TRANSFORMER, VAE};

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
                let bare = native.strip_prefix(names.prefix).unwrap();
                assert_eq!(names.ours(bare).as_deref(), Some(diffusers.as_str()));
                assert_eq!(&names.theirs(diffusers), native);
            }
            let ours: HashSet<&String> = pairs.values().collect();
            assert_eq!(ours.len(), pairs.len());
        }
    }

    #[test]
    fn a_part_leaves_the_others_alone() {
        assert_eq!(TRANSFORMER.ours("vae.encoder.conv_in.conv.bias"), None);
        assert_eq!(VAE.ours("model.diffusion_model.proj_out.bias"), None);
        let strange = "model.diffusion_model.strange.0";
        assert_eq!(TRANSFORMER.ours(strange).unwrap(), "strange.0");
    }

    #[test]
    fn patterns_fit_whole_names() {
        let names = Names {
            prefix: "p.",
            foreign: &[],
            rows: &[("a.{}.b.*", "x.{}.*"), ("c.d", "e")],
        };
        for (theirs, ours) in [
            ("a.12.b.bias", "x.12.bias"),
            ("a.3.b.q.r", "x.3.q.r"),
            ("c.d", "e"),
        ] {
            assert_eq!(names.ours(theirs).unwrap(), ours);
            assert_eq!(names.theirs(ours), format!("p.{theirs}"));
        }
        for unknown in ["a.n.b.c", "a.1.b", "c.d.f", "c", "z"] {
            assert_eq!(names.ours(unknown).unwrap(), unknown);
        }
    }
}
