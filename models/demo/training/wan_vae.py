"""The Wan VAE run over whole clips at once.

`AutoencoderKLWan` works through a clip in chunks of four frames with a cache for every causal convolution.
That saves memory and costs speed, and writes in place where gradients are wanted. Causal convolutions over
the whole clip compute the same: the one thing to keep is that the first frame passes the temporal down- and
up-sampling untouched.
"""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKLWan

CONFIG = dict(
    base_dim=16,
    z_dim=16,
    dim_mult=[1, 2, 4, 4],
    num_res_blocks=1,
    attn_scales=[],
    temperal_downsample=[False, True, True],
    latents_mean=[0.0] * 16,
    latents_std=[1.0] * 16,
)


def load(path: Path) -> AutoencoderKLWan:
    """A VAE from a checkpoint of `train_vae.py` (its averaged weights) or from an exported folder, in float32."""
    if path.is_dir():
        return AutoencoderKLWan.from_pretrained(path, torch_dtype=torch.float32)
    vae = AutoencoderKLWan(**CONFIG)
    vae.load_state_dict(torch.load(path)["ema"])
    return vae


def encode(vae: AutoencoderKLWan, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Clips [B, 3, 4k+1, H, W] in [-1, 1] to mean and log-variance, each [B, 16, k+1, H/8, W/8]."""
    h = vae.encoder.conv_in(x)
    for layer in vae.encoder.down_blocks:
        h = _frames_apart(layer, h) if getattr(layer, "mode", "").startswith("downsample") else layer(h)
        if getattr(layer, "mode", "") == "downsample3d" and h.shape[2] > 1:
            h = torch.cat([h[:, :, :1], layer.time_conv(h)], 2)
    h = vae.encoder.mid_block(h)
    h = vae.encoder.conv_out(vae.encoder.nonlinearity(vae.encoder.norm_out(h)))
    return vae.quant_conv(h).chunk(2, 1)


def decode(vae: AutoencoderKLWan, z: torch.Tensor) -> torch.Tensor:
    """Latents [B, 16, k+1, H/8, W/8], not normalised, to clips [B, 3, 4k+1, H, W], not clamped."""
    h = vae.decoder.mid_block(vae.decoder.conv_in(vae.post_quant_conv(z)))
    for block in vae.decoder.up_blocks:
        for resnet in block.resnets:
            h = resnet(h)
        for layer in block.upsamplers or []:
            if layer.mode == "upsample3d" and h.shape[2] > 1:
                pairs = layer.time_conv(h[:, :, 1:]).unflatten(1, (2, -1))
                h = torch.cat([h[:, :, :1], torch.stack(list(pairs.unbind(1)), 3).flatten(2, 3)], 2)
            h = _frames_apart(layer, h)
    return vae.decoder.conv_out(vae.decoder.nonlinearity(vae.decoder.norm_out(h)))


def _frames_apart(layer, h: torch.Tensor) -> torch.Tensor:
    """The spatial half of a resampling layer, frame by frame."""
    b, c, t = h.shape[:3]
    h = layer.resample(h.transpose(1, 2).flatten(0, 1))
    return h.unflatten(0, (b, t)).transpose(1, 2)


@torch.no_grad()
def initialise(vae: AutoencoderKLWan):
    """Start as a linear code that carries a picture through, frame by frame.

    With default weights the signal fades from layer to layer and hundreds of steps pass before any colour
    arrives. Here residual branches start at zero, other convolutions keep the signal's size, each frame
    looks at itself only, and time is up-sampled by repetition.
    """
    for name, layer in vae.named_modules():
        if not isinstance(layer, torch.nn.Conv2d | torch.nn.Conv3d):
            continue
        weight = layer.weight
        if layer.bias is not None and "conv_in" not in name:
            layer.bias.zero_()  # not of conv_in: a constant lets the norms tell dark from bright
        if name.endswith((".conv2", ".proj")):
            weight.zero_()
        elif name.endswith("time_conv"):
            weight.zero_()
            same = torch.eye(weight.shape[1])[:, :, None, None]
            taps = (0.25, 0.5, 0.25) if layer.stride[0] == 2 else (0.0, 0.0, 1.0)
            for t, tap in enumerate(taps):
                weight[:, :, t] = tap * same.repeat(weight.shape[0] // weight.shape[1], 1, 1, 1)
        else:
            one = weight[:, :, -1] if weight.ndim == 5 else weight  # the tap that sees the frame itself
            start = torch.nn.init.orthogonal_(torch.empty(one.shape))
            weight.zero_()
            one.copy_(start)
    # Begin almost without noise, or the decoder learns to ignore its latents.
    vae.quant_conv.bias[vae.config.z_dim :] = -6
