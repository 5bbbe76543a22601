use super::time::WAVES;
use super::{TransformerConfig, VaeConfig};
use crate::schedule::Flops;

impl TransformerConfig {
    /// The cost of one forward pass over `tokens` video tokens and `text_tokens` text tokens,
    /// without guidance's second pass. `linear` alone is the convention of the FlowBlending
    /// paper (arXiv 2512.24724).
    ///
    /// A block of width d over N tokens with C of text costs `8 N d^2` for self-attention's four
    /// layers, `4 N d^2 + 4 C d^2` for cross-attention's, `16 N d^2` for the feed-forward layer,
    /// and `4 N^2 d + 4 N C d` for the two attentions themselves. Input, output, text and time
    /// layers are counted once. The text's own share is counted in every pass, as published figures
    /// do, though it is computed once a run here.
    pub fn flops(&self, tokens: usize, text_tokens: usize) -> Flops {
        let (n, c) = (tokens as f64, text_tokens as f64);
        let (d, f) = (self.inner_dim() as f64, self.ffn_dim() as f64);
        let layers = self.num_layers as f64;
        let ends = 2.0 * n * d * (self.in_channels + self.output_channels()) as f64;
        let text = 2.0 * c * d * (self.caption_channels as f64 + d);
        let time = 2.0 * d * (WAVES as f64 + 7.0 * d);
        let block = 12.0 * n * d * d + 4.0 * c * d * d + 4.0 * n * d * f;
        Flops {
            linear: layers * block + ends + text + time,
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
    use super::TransformerConfig;
    use crate::models::ltx;

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
