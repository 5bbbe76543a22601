//! What the lists of a config come to: one entry a level.

use super::VaeConfig;

/// One level of the encoder.
#[derive(Clone, Debug)]
pub(super) struct Down {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// Residual blocks of `inputs` channels.
    pub(super) layers: usize,
    pub(super) step: Option<Step>,
    /// Whether a residual block takes `inputs` to `outputs` channels at the end.
    pub(super) widen: bool,
}

/// How a level of the encoder becomes smaller.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// A convolution of stride 2 on all axes.
    Stride,
    /// Neighbours on the axes are folded into channels: how many, by axis.
    Fold([usize; 3]),
}

impl Down {
    /// By how much time, height and width become smaller.
    pub(super) fn stride(&self) -> [usize; 3] {
        match self.step {
            None => [1; 3],
            Some(Step::Stride) => [2; 3],
            Some(Step::Fold(stride)) => stride,
        }
    }
}

/// One level of the decoder.
#[derive(Clone, Debug)]
pub(super) struct Up {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// Residual blocks of `outputs` channels.
    pub(super) layers: usize,
    /// Whether a residual block takes `inputs` to `outputs` channels at the start.
    pub(super) widen: bool,
    pub(super) upsample: Option<UpStep>,
}

/// How a level of the decoder becomes larger, by 2 on all axes.
#[derive(Clone, Copy, Debug)]
pub(super) struct UpStep {
    /// By how much the channels are divided.
    pub(super) factor: usize,
    /// Whether the input goes around the convolution.
    pub(super) residual: bool,
}

/// An entry of a list, or the sentence that says it is missing.
fn entry<'a, T>(key: &str, values: &'a [T], index: usize) -> Result<&'a T, String> {
    values.get(index).ok_or_else(|| {
        format!(
            "{key} has {} entries, too few for its other lists",
            values.len()
        )
    })
}

/// As [`entry`], counted from the end: configs list the decoder's levels from its end.
fn entry_back<'a, T>(key: &str, values: &'a [T], index: usize) -> Result<&'a T, String> {
    let index = values.len().checked_sub(index + 1).unwrap_or(usize::MAX);
    entry(key, values, index)
}

pub(super) fn down_blocks(config: &VaeConfig) -> Result<Vec<Down>, String> {
    const OLD: &str = "LTXVideoDownBlock3D";
    const NEW: &str = "LTXVideo095DownBlock3D";
    let channels = &config.block_out_channels;
    let listed = channels.len();
    // From 0.9.5 on the list also holds what the last level gives.
    let new = config
        .down_block_types
        .last()
        .is_some_and(|kind| kind == NEW);
    let levels = listed.saturating_sub(usize::from(new));
    if levels == 0 {
        return Err(format!("block_out_channels has {listed} entries, too few"));
    }
    if config.layers_per_block.len() != levels + 1 {
        return Err(format!(
            "layers_per_block has {} entries, but its other lists ask for {}",
            config.layers_per_block.len(),
            levels + 1
        ));
    }
    let mut blocks = Vec::with_capacity(levels);
    for level in 0..levels {
        let inputs = channels[level];
        let outputs = channels.get(level + 1).copied().unwrap_or(inputs);
        let scaled = *entry(
            "spatio_temporal_scaling",
            &config.spatio_temporal_scaling,
            level,
        )?;
        let kind = entry("down_block_types", &config.down_block_types, level)?;
        let (step, widen) = match kind.as_str() {
            OLD => (scaled.then_some(Step::Stride), inputs != outputs),
            NEW => {
                let kind = entry("downsample_type", &config.downsample_type, level)?;
                let step = scaled.then(|| folding(kind)).transpose()?;
                fits(inputs, outputs, step, kind)?;
                (step, false)
            }
            other => {
                return Err(format!(
                    "down_block_types holds {other}, but only {OLD} and {NEW} are supported"
                ));
            }
        };
        blocks.push(Down {
            inputs,
            outputs,
            layers: config.layers_per_block[level],
            step,
            widen,
        });
    }
    Ok(blocks)
}

fn folding(kind: &str) -> Result<Step, String> {
    match kind {
        "conv" => Ok(Step::Stride),
        "spatial" => Ok(Step::Fold([1, 2, 2])),
        "temporal" => Ok(Step::Fold([2, 1, 1])),
        "spatiotemporal" => Ok(Step::Fold([2, 2, 2])),
        other => Err(format!(
            "downsample_type holds {other}, but only conv, spatial, temporal and spatiotemporal are \
             supported"
        )),
    }
}

/// Whether a step takes `inputs` channels to `outputs`.
fn fits(inputs: usize, outputs: usize, step: Option<Step>, kind: &str) -> Result<(), String> {
    let fits = match step {
        None | Some(Step::Stride) => inputs == outputs,
        Some(Step::Fold(stride)) => {
            let folded = stride.iter().product::<usize>();
            outputs.is_multiple_of(folded) && (inputs * folded).is_multiple_of(outputs)
        }
    };
    if fits {
        return Ok(());
    }
    Err(format!(
        "block_out_channels goes from {inputs} to {outputs}, which a level of kind {kind} cannot"
    ))
}

pub(super) fn up_blocks(config: &VaeConfig) -> Result<Vec<Up>, String> {
    let channels = &config.decoder_block_out_channels;
    let levels = channels.len();
    if config.decoder_layers_per_block.len() != levels + 1 {
        return Err(format!(
            "decoder_layers_per_block has {} entries, but its other lists ask for {}",
            config.decoder_layers_per_block.len(),
            levels + 1
        ));
    }
    let mut inputs = *entry_back("decoder_block_out_channels", channels, 0)?;
    let mut blocks = Vec::with_capacity(levels);
    for level in 0..levels {
        let listed = *entry_back("decoder_block_out_channels", channels, level)?;
        let factor = *entry_back("upsample_factor", &config.upsample_factor, level)?;
        if ![1, 2, 4, 8].contains(&factor) {
            return Err(format!(
                "upsample_factor holds {factor}, but only 1, 2, 4 and 8 are supported"
            ));
        }
        let scaled = *entry_back(
            "decoder_spatio_temporal_scaling",
            &config.decoder_spatio_temporal_scaling,
            level,
        )?;
        let residual = *entry_back("upsample_residual", &config.upsample_residual, level)?;
        let outputs = listed / factor;
        let widen = factor == 1 && inputs != outputs;
        let odd = factor > 1 && (!scaled || inputs != outputs * factor);
        // A residual block that changes the channels has no place for the timestep.
        let untimed = widen && config.timestep_conditioning;
        let unfolded = scaled && residual && !(outputs * factor).is_multiple_of(8);
        if outputs == 0 || odd || untimed || unfolded {
            return Err(format!(
                "level {level} of the decoder cannot take {inputs} channels to {outputs} with an \
                 upsample_factor of {factor}"
            ));
        }
        blocks.push(Up {
            inputs,
            outputs,
            layers: *entry_back(
                "decoder_layers_per_block",
                &config.decoder_layers_per_block,
                level + 1,
            )?,
            widen,
            upsample: scaled.then_some(UpStep { factor, residual }),
        });
        inputs = outputs;
    }
    Ok(blocks)
}
