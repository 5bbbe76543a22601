use super::time::WAVES;
use super::{TransformerConfig, VaeConfig};
use crate::schedule::{Flops, PaperCount};

impl TransformerConfig {
    /// The cost of one forward pass over `tokens` video tokens and `text_tokens` text tokens,
    /// without guidance's second pass.
    ///
    /// A block of width d over N tokens with C of text costs `8 N d^2` for self-attention's four
    /// layers, `4 N d^2 + 4 C d^2` for cross-attention's, `16 N d^2` for the feed-forward layer,
    /// and `4 N^2 d + 4 N C d` for the two attentions themselves. Input, output, text and time
    /// layers are counted once. The text's own share is counted in every pass, as published figures
    /// do, though it is computed once a run here.
    ///
    /// The FlowBlending paper (arXiv 2512.24724) counts no attention products and, unlike for WAN, both
    /// passes. Its figures come out where the timestep is embedded for each token apart: the pipelines that
    /// came with 0.9.7 give every token a timestep of its own once a mask of conditions is there
    /// (`LTXConditionPipeline` in diffusers). Here all tokens share one, so that `linear` counts it once.
    pub fn flops(&self, tokens: usize, text_tokens: usize) -> Flops {
        let (n, c) = (tokens as f64, text_tokens as f64);
        let (d, f) = (self.inner_dim() as f64, self.ffn_dim() as f64);
        let layers = self.num_layers as f64;
        let ends = 2.0 * n * d * (self.in_channels + self.output_channels()) as f64;
        let text = 2.0 * c * d * (self.caption_channels as f64 + d);
        let time = 2.0 * d * (WAVES as f64 + 7.0 * d);
        let block = 12.0 * n * d * d + 4.0 * c * d * d + 4.0 * n * d * f;
        let linear = layers * block + ends + text + time;
        Flops {
            linear,
            paper: PaperCount::EveryPass(linear + (n - 1.0) * time),
            attention: layers * (4.0 * n * n * d + 4.0 * n * c * d),
        }
    }

    /// Bytes that a forward pass over `tokens` video tokens holds at its peak beside the weights, in
    /// f32: a block's input, the modulated copy, q, k, v, the attention's result and the feed-forward's
    /// inner layer.
    pub fn working_bytes(&self, tokens: usize) -> u64 {
        let (dim, inner) = (self.inner_dim() as u64, self.ffn_dim() as u64);
        tokens as u64 * (8 * dim + 2 * inner) * 4
    }
}

impl VaeConfig {
    /// Bytes that a decode to `voxels` pixels in all frames together holds at its peak beside weights
    /// and video, in f32. It goes over all frames at once; its last level works at the patches' size,
    /// where a residual block holds its input, two normed copies, the result, and a copy that is wider
    /// by the frames repeated at the ends.
    pub fn working_bytes(&self, voxels: u64) -> u64 {
        let patch = (self.patch_size as u64).pow(2).max(1);
        let last = self.decoder_block_out_channels.first().copied();
        let factor = self.upsample_factor.first().copied();
        let channels = (last.unwrap_or(1) / factor.unwrap_or(1).max(1)) as u64;
        voxels / patch * channels * 5 * 4
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor};

    use super::TransformerConfig;
    use crate::models::ltx::{self, LtxTransformer};
    use crate::models::nn::multiply_adds;
    use crate::models::weights::Params;
    use crate::sampler::{Cancel, VelocityModel as _};

    #[test]
    fn what_is_counted_is_what_the_network_does() {
        let config = TransformerConfig::tiny();
        let (params, _) = Params::random(0.02, DType::F32, &Device::Cpu);
        let network = LtxTransformer::new(&config, params).unwrap();
        let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        for (latents, text_tokens) in [[1, 128, 3, 4, 6], [1, 128, 1, 1, 1], [1, 128, 9, 11, 19]]
            .into_iter()
            .zip([5, 1, 256])
        {
            let done = multiply_adds(|| {
                let text = zeros(&[1, text_tokens, config.caption_channels]);
                let text = network.context(&text).unwrap();
                let velocity = network.velocity(&zeros(&latents), 500.0, &text, &Cancel::new());
                velocity.unwrap();
            });
            let told = config.flops(config.tokens(latents), text_tokens).full();
            assert_eq!(told, 2.0 * done as f64, "{latents:?}");
        }
    }

    /// The figures published for clips of 608x352, 61 frames (project page of arXiv 2512.24724), in
    /// TFLOPs to the unit. 61 frames are padded to 65, prompts to 256 tokens; steps of the full models
    /// have two passes, those of the distilled one have one. 13B and 2B together leave no room for chance:
    /// an attention product more or half the text would be off by ten times the tolerance.
    #[test]
    fn published_figures_come_out() {
        let latents = ltx::latent_shape(608, 352, 65);
        let pass = |config: TransformerConfig| {
            let tokens = config.tokens(latents);
            assert_eq!(tokens, 9 * 11 * 19);
            config.flops(tokens, 256).paper.of_step(1) / 1e12
        };
        let large = pass(TransformerConfig::ltx_13b());
        let small = pass(TransformerConfig::ltx_2b());
        for (passes_of_large, passes_of_small, published) in [
            // DPM++, 20 steps: LLL, SSS, and LSL of nine large steps.
            (40.0, 0.0, 1748.0),
            (0.0, 40.0, 257.0),
            (18.0, 22.0, 928.0),
            // The distilled small model beside 40 steps of the large one: LLL, LDL of 20 large steps, DDD.
            (80.0, 0.0, 3496.0),
            (40.0, 4.0, 1774.0),
            (0.0, 8.0, 51.0),
        ] {
            let counted = passes_of_large * large + passes_of_small * small;
            assert_eq!(counted.round(), published, "{counted}");
        }
    }

    /// What torch counts of diffusers' transformer at full size: the sums behind `tests/reference/paper_flops.py`.
    #[test]
    fn diffusers_counts_the_same() {
        let latents = ltx::latent_shape(608, 352, 65);
        for (config, one_timestep, each_token_its_own) in [
            (
                TransformerConfig::ltx_13b(),
                43_259_871_100_928_f64,
                43_705_390_071_808_f64,
            ),
            (
                TransformerConfig::ltx_2b(),
                6_314_090_561_536.0,
                6_426_455_965_696.0,
            ),
        ] {
            let flops = config.flops(config.tokens(latents), 256);
            assert_eq!(flops.linear, one_timestep);
            assert_eq!(flops.paper.of_step(1), each_token_its_own);
        }
    }

    /// What other implementations count for a pass over 768x512, 121 frames.
    #[test]
    fn figures_of_others_come_out() {
        let tokens = TransformerConfig::ltx_2b().tokens(ltx::latent_shape(768, 512, 121));
        for (config, counted) in [
            (TransformerConfig::ltx_2b(), 29.3e12),
            (TransformerConfig::ltx_13b(), 170.3e12),
        ] {
            let flops = config.flops(tokens, 128).full();
            assert!((flops / counted - 1.0).abs() < 0.01, "{flops:e}");
        }
    }

    #[test]
    fn a_token_costs_about_two_operations_a_parameter() {
        let tokens = TransformerConfig::ltx_13b().tokens(ltx::latent_shape(768, 512, 161));
        assert_eq!(tokens, 8064);
        for (config, parameters) in [
            (TransformerConfig::ltx_2b(), 1.923e9),
            (TransformerConfig::ltx_13b(), 13.04e9),
        ] {
            let flops = config.flops(tokens, 128);
            // Cross-attention's keys and values, an eighth of a block, see the few tokens of the text
            // only; and no token sees the layers of the timestep.
            let share = flops.linear / (2.0 * parameters * tokens as f64);
            assert!((0.85..0.88).contains(&share), "{share}");
            assert!(flops.attention < flops.linear);
        }
    }
}
