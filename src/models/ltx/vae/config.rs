use serde::Deserialize;

use super::topology::{Down, Up, down_blocks, up_blocks};
use crate::models::ltx::config::{LARGEST, MOST_LAYERS};

/// The keys of an `AutoencoderKLLTXVideo` config.json that decide the network's shape; absent keys
/// take the defaults of diffusers, which are those of 0.9.0.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct VaeConfig {
    /// The class that diffusers would make of this folder.
    #[serde(rename = "_class_name")]
    pub class_name: String,
    /// Colours of the input.
    pub in_channels: usize,
    /// Colours of the output.
    pub out_channels: usize,
    /// Latent channels.
    pub latent_channels: usize,
    /// Channels of the encoder's levels and, from 0.9.5 on, of what follows the last.
    pub block_out_channels: Vec<usize>,
    /// The kind of each of the encoder's levels.
    pub down_block_types: Vec<String>,
    /// Channels of the decoder's levels, the last one's first.
    pub decoder_block_out_channels: Vec<usize>,
    /// Residual blocks of the encoder's levels, then of its middle.
    pub layers_per_block: Vec<usize>,
    /// Residual blocks of the decoder's levels, the last one's first, then of its middle.
    pub decoder_layers_per_block: Vec<usize>,
    /// Whether each of the encoder's levels makes a step down.
    pub spatio_temporal_scaling: Vec<bool>,
    /// Whether each of the decoder's levels makes a step up, the last one's first.
    pub decoder_spatio_temporal_scaling: Vec<bool>,
    /// Whether the decoder's blocks draw noise of their own, as in 0.9.1; not supported.
    pub decoder_inject_noise: Vec<bool>,
    /// The kind of the step down of each of the encoder's levels.
    pub downsample_type: Vec<String>,
    /// Whether the input goes around each step up, the last one's first.
    pub upsample_residual: Vec<bool>,
    /// By how much each step up divides the channels, the last one's first.
    pub upsample_factor: Vec<usize>,
    /// Whether the decoder is told a timestep, for it takes the last step of denoising.
    pub timestep_conditioning: bool,
    /// Pixels along a side that are folded into channels at the ends.
    pub patch_size: usize,
    /// Frames that are folded into channels at the ends; only 1 is supported.
    pub patch_size_t: usize,
    /// Epsilon of the layer norms before shortcuts.
    pub resnet_norm_eps: f64,
    /// What normalised latents are multiplied by.
    pub scaling_factor: f64,
    /// Whether the encoder sees no later frame.
    pub encoder_causal: bool,
    /// Whether the decoder sees no later frame.
    pub decoder_causal: bool,
    /// Pixels along a side for each latent position; absent means what the levels come to.
    pub spatial_compression_ratio: Option<usize>,
    /// Frames for each latent frame after the first; absent means what the levels come to.
    pub temporal_compression_ratio: Option<usize>,
}

impl Default for VaeConfig {
    fn default() -> Self {
        Self {
            class_name: "AutoencoderKLLTXVideo".into(),
            in_channels: 3,
            out_channels: 3,
            latent_channels: 128,
            block_out_channels: vec![128, 256, 512, 512],
            down_block_types: vec!["LTXVideoDownBlock3D".into(); 4],
            decoder_block_out_channels: vec![128, 256, 512, 512],
            layers_per_block: vec![4, 3, 3, 3, 4],
            decoder_layers_per_block: vec![4, 3, 3, 3, 4],
            spatio_temporal_scaling: vec![true, true, true, false],
            decoder_spatio_temporal_scaling: vec![true, true, true, false],
            decoder_inject_noise: vec![false; 5],
            downsample_type: vec!["conv".into(); 4],
            upsample_residual: vec![false; 4],
            upsample_factor: vec![1; 4],
            timestep_conditioning: false,
            patch_size: 4,
            patch_size_t: 1,
            resnet_norm_eps: 1e-6,
            scaling_factor: 1.0,
            encoder_causal: true,
            decoder_causal: false,
            spatial_compression_ratio: None,
            temporal_compression_ratio: None,
        }
    }
}

impl VaeConfig {
    /// The VAE of 0.9.5, 0.9.6 and 0.9.7.
    pub fn ltx_095() -> Self {
        let kinds = ["spatial", "temporal", "spatiotemporal", "spatiotemporal"];
        Self {
            block_out_channels: vec![128, 256, 512, 1024, 2048],
            down_block_types: vec!["LTXVideo095DownBlock3D".into(); 4],
            decoder_block_out_channels: vec![256, 512, 1024],
            layers_per_block: vec![4, 6, 6, 2, 2],
            decoder_layers_per_block: vec![5, 5, 5, 5],
            spatio_temporal_scaling: vec![true; 4],
            decoder_spatio_temporal_scaling: vec![true; 3],
            decoder_inject_noise: vec![false; 4],
            downsample_type: kinds.map(String::from).to_vec(),
            upsample_residual: vec![true; 3],
            upsample_factor: vec![2; 3],
            timestep_conditioning: true,
            spatial_compression_ratio: Some(32),
            temporal_compression_ratio: Some(8),
            ..Self::default()
        }
    }

    /// The topology of 0.9.5 in a size for tests.
    pub fn tiny() -> Self {
        Self {
            block_out_channels: vec![4, 8, 16, 16, 16],
            decoder_block_out_channels: vec![8, 16, 32],
            layers_per_block: vec![1; 5],
            decoder_layers_per_block: vec![1; 4],
            ..Self::ltx_095()
        }
    }

    /// The encoder's levels; the error is what is wrong with the config.
    pub(super) fn down_blocks(&self) -> Result<Vec<Down>, String> {
        down_blocks(self)
    }

    /// The decoder's levels, in the order in which they run; the error is what is wrong with the
    /// config.
    pub(super) fn up_blocks(&self) -> Result<Vec<Up>, String> {
        up_blocks(self)
    }

    /// Frames of video for each latent frame after the first.
    pub fn frames_per_latent(&self) -> usize {
        self.compression().map_or(1, |(time, _)| time)
    }

    /// Pixels along a side for each latent position.
    pub fn pixels_per_latent(&self) -> usize {
        self.compression().map_or(1, |(_, side)| side)
    }

    /// Frames and pixels for each latent position, which encoder and decoder must agree on.
    fn compression(&self) -> Result<(usize, usize), String> {
        let (mut down, mut up) = ((1, self.patch_size), (1, self.patch_size));
        for block in self.down_blocks()? {
            let [time, side, _] = block.stride();
            down = (down.0 * time, down.1 * side);
        }
        for block in self.up_blocks()? {
            if block.upsample.is_some() {
                up = (2 * up.0, 2 * up.1);
            }
        }
        if down != up {
            return Err(format!(
                "its encoder makes {} frames and {} pixels one latent position, its decoder {} and {}",
                down.0, down.1, up.0, up.1
            ));
        }
        for (key, stated, real) in [
            (
                "temporal_compression_ratio",
                self.temporal_compression_ratio,
                down.0,
            ),
            (
                "spatial_compression_ratio",
                self.spatial_compression_ratio,
                down.1,
            ),
        ] {
            if stated.is_some_and(|stated| stated != real) {
                let stated = stated.unwrap_or_default();
                return Err(format!("{key} is {stated}, but its levels come to {real}"));
            }
        }
        Ok(down)
    }

    /// What no network here can be built from, in words; `None` where all is well.
    pub fn fault(&self) -> Option<String> {
        if self.class_name != "AutoencoderKLLTXVideo" {
            return Some(format!(
                "it describes a {}, not an AutoencoderKLLTXVideo",
                self.class_name
            ));
        }
        if self.decoder_inject_noise.contains(&true) {
            return Some("decoder_inject_noise is set, as in version 0.9.1".into());
        }
        let single = [
            ("in_channels", self.in_channels),
            ("out_channels", self.out_channels),
            ("latent_channels", self.latent_channels),
            ("patch_size", self.patch_size),
        ];
        let lists = [
            ("block_out_channels", &self.block_out_channels),
            (
                "decoder_block_out_channels",
                &self.decoder_block_out_channels,
            ),
            ("layers_per_block", &self.layers_per_block),
            ("decoder_layers_per_block", &self.decoder_layers_per_block),
            ("upsample_factor", &self.upsample_factor),
        ];
        let listed = lists
            .into_iter()
            .flat_map(|(key, values)| values.iter().map(move |value| (key, *value)));
        for (key, value) in single.into_iter().chain(listed) {
            if !(1..=LARGEST).contains(&value) {
                return Some(format!(
                    "{key} holds {value}, but must be from 1 to {LARGEST}"
                ));
            }
        }
        if let Some((key, values)) = lists.iter().find(|(_, values)| values.len() > 16) {
            return Some(format!("{key} has {} entries, more than 16", values.len()));
        }
        let layers = self
            .layers_per_block
            .iter()
            .chain(&self.decoder_layers_per_block);
        if let Some(layers) = layers.max().filter(|layers| **layers > MOST_LAYERS) {
            return Some(format!(
                "a level has {layers} layers, more than {MOST_LAYERS}"
            ));
        }
        if self.patch_size > 64 {
            return Some(format!("patch_size is {}, more than 64", self.patch_size));
        }
        if self.patch_size_t != 1 {
            return Some(format!(
                "patch_size_t is {}, but only 1 is supported",
                self.patch_size_t
            ));
        }
        let positive = |value: f64| value.is_finite() && value > 0.0;
        if !positive(self.scaling_factor) || !positive(self.resnet_norm_eps) {
            return Some("scaling_factor and resnet_norm_eps must be above 0".into());
        }
        self.compression().err()
    }
}

#[cfg(test)]
mod tests {
    use super::VaeConfig;

    #[test]
    fn known_vaes_are_sound() {
        for config in [
            VaeConfig::default(),
            VaeConfig::ltx_095(),
            VaeConfig::tiny(),
        ] {
            assert_eq!(config.fault(), None);
            assert_eq!(config.frames_per_latent(), 8);
            assert_eq!(config.pixels_per_latent(), 32);
        }
    }

    #[test]
    fn unusable_configs_are_named() {
        let fault = |change: &dyn Fn(&mut VaeConfig)| {
            let mut config = VaeConfig::ltx_095();
            change(&mut config);
            config.fault().unwrap_or_default()
        };
        type Change<'a> = &'a dyn Fn(&mut VaeConfig);
        let cases: &[(Change<'_>, &str)] = &[
            (&|c| c.class_name = "AutoencoderKLWan".into(), "not an Auto"),
            (&|c| c.decoder_inject_noise[1] = true, "0.9.1"),
            (&|c| c.latent_channels = 0, "latent_channels holds 0"),
            (
                &|c| c.block_out_channels[2] = 1 << 40,
                "holds 1099511627776",
            ),
            (&|c| c.block_out_channels[2] = 510, "510"),
            (&|c| c.block_out_channels.truncate(2), "entries"),
            (&|c| c.block_out_channels.clear(), "entries"),
            (&|c| c.down_block_types[0] = "Other".into(), "Other"),
            (&|c| c.downsample_type[0] = "none".into(), "none"),
            (&|c| c.downsample_type[0] = "conv".into(), "conv"),
            (&|c| c.upsample_factor[0] = 3, "upsample_factor"),
            (&|c| c.decoder_block_out_channels[0] = 128, "channels"),
            (
                &|c| c.decoder_spatio_temporal_scaling[0] = false,
                "channels",
            ),
            (&|c| c.decoder_layers_per_block.truncate(1), "entries"),
            (&|c| c.spatial_compression_ratio = Some(16), "come to 32"),
            (&|c| c.patch_size = 2, "spatial_compression_ratio is 32"),
            (&|c| c.patch_size_t = 2, "only 1"),
            (&|c| c.scaling_factor = f64::NAN, "scaling_factor"),
            (&|c| c.layers_per_block = vec![1; 40], "40 entries"),
        ];
        for (i, (change, said)) in cases.iter().enumerate() {
            let found = fault(change);
            assert!(found.contains(said), "case {i}: {found}");
        }
    }
}
