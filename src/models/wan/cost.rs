use super::{TransformerConfig, VaeConfig};
use crate::schedule::{Flops, PaperCount};

impl TransformerConfig {
    /// The cost of one forward pass over `tokens` video tokens and `text_tokens` text tokens,
    /// without guidance's second pass. The FlowBlending paper (arXiv 2512.24724) counts `linear` alone,
    /// once a step.
    ///
    /// A block of width d and inner width f over N tokens with C of text costs
    /// `8 N d^2` for self-attention's four layers, `4 N d^2 + 4 C d^2` for cross-attention's,
    /// `4 N d f` for the feed-forward layer, and `4 N^2 d + 4 N C d` for the two attentions
    /// themselves. Patches, output, text and time layers are counted once. The text's own share
    /// is counted in every pass, as published figures do, though it is computed once a run here.
    pub fn flops(&self, tokens: usize, text_tokens: usize) -> Flops {
        let (n, c) = (tokens as f64, text_tokens as f64);
        let (d, f) = (self.inner_dim() as f64, self.ffn_dim as f64);
        let layers = self.num_layers as f64;
        let patch = self.patch_size.iter().product::<usize>() as f64;
        let ends = 2.0 * n * d * patch * (self.in_channels + self.output_channels()) as f64;
        let text = 2.0 * c * d * (self.text_dim as f64 + d);
        let time = 2.0 * d * (self.freq_dim as f64 + 7.0 * d);
        let block = 12.0 * n * d * d + 4.0 * c * d * d + 4.0 * n * d * f;
        let linear = layers * block + ends + text + time;
        Flops {
            linear,
            paper: PaperCount::OnePass(linear),
            attention: layers * (4.0 * n * n * d + 4.0 * n * c * d),
        }
    }

    /// Bytes that a forward pass over `tokens` video tokens holds at its peak beside the weights, in
    /// f32: a block's input, the modulated copy, q, k, v, the attention's result and the feed-forward's
    /// inner layer.
    pub fn working_bytes(&self, tokens: usize) -> u64 {
        let (dim, inner) = (self.inner_dim() as u64, self.ffn_dim as u64);
        tokens as u64 * (8 * dim + 2 * inner) * 4
    }
}

impl VaeConfig {
    /// Bytes that a decode to `pixels` pixels a frame holds at its peak beside weights and video, in
    /// f32, however long the clip is: the last level's four frames at full size, the widest layer with
    /// its input, its output and two cached frames of each convolution.
    pub fn working_bytes(&self, pixels: u64) -> u64 {
        let base = self.decoder_base_dim.unwrap_or(self.base_dim) as u64;
        pixels * base * 2 * (4 * 4 + 2 * 6) * 4
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor};

    use super::TransformerConfig;
    use crate::models::nn::multiply_adds;
    use crate::models::wan::{self, WanTransformer};
    use crate::models::weights::Params;
    use crate::sampler::{Cancel, VelocityModel as _};

    #[test]
    fn what_is_counted_is_what_the_network_does() {
        let config = TransformerConfig::tiny();
        let (params, _) = Params::random(0.02, DType::F32, &Device::Cpu);
        let network = WanTransformer::new(&config, params).unwrap();
        let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        for (latents, text_tokens) in [[1, 16, 3, 8, 12], [1, 16, 1, 4, 4], [1, 16, 2, 30, 52]]
            .into_iter()
            .zip([5, 1, 256])
        {
            let done = multiply_adds(|| {
                let text = zeros(&[1, text_tokens, config.text_dim]);
                let text = network.context(&text).unwrap();
                let velocity = network.velocity(&zeros(&latents), 500.0, &text, &Cancel::new());
                velocity.unwrap();
            });
            let told = config.flops(config.tokens(latents), text_tokens).full();
            assert_eq!(told, 2.0 * done as f64, "{latents:?}");
        }
    }

    /// The figures published for 50 steps of 832x480, 61 frames (project page of arXiv
    /// 2512.24724), in TFLOPs.
    #[test]
    fn published_figures_come_out() {
        let latents = wan::latent_shape(832, 480, 61);
        assert_eq!(latents, [1, 16, 16, 60, 104]);
        for (config, published) in [
            (TransformerConfig::wan_14b(), 29950.0),
            (TransformerConfig::wan_1_3b(), 3129.0),
        ] {
            let tokens = config.tokens(latents);
            assert_eq!(tokens, 24_960);
            let run = 50.0 * config.flops(tokens, 512).linear / 1e12;
            assert!(
                (run / published - 1.0).abs() < 1e-3,
                "{run} against {published}"
            );
        }
    }

    /// What torch counts of diffusers' transformer at full size, its patch embedding among it: the sums behind
    /// `tests/reference/paper_flops.py`.
    #[test]
    fn diffusers_counts_the_same() {
        for (config, layers, patches) in [
            (
                TransformerConfig::wan_14b(),
                598_944_548_126_720_f64,
                16_357_785_600_f64,
            ),
            (
                TransformerConfig::wan_1_3b(),
                62_580_064_518_144.0,
                4_907_335_680.0,
            ),
        ] {
            assert_eq!(config.flops(24_960, 512).linear, layers + patches);
        }
    }

    #[test]
    fn attention_outweighs_the_rest_on_long_clips() {
        let config = TransformerConfig::wan_14b();
        let flops = config.flops(24_960, 512);
        assert!(
            (flops.full() / 1e12 - 1119.8).abs() < 1.5,
            "{}",
            flops.full()
        );
    }
}
