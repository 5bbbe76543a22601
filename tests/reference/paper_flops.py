"""Counts the linear layers of diffusers' transformers as torch sees them run, and what FlowBlending's tables make of that.

    pip install -r tests/reference/requirements.txt && python tests/reference/paper_flops.py

Everything happens on the meta device: no weights, no memory. A row: the schedule, TFLOPs counted, TFLOPs published
(project page of arXiv 2512.24724). LTX-Video comes out where every token has a timestep of its own, as
LTXConditionPipeline passes it beside a mask of conditions; the column before has one timestep for all.
"""

import torch
from diffusers import LTXVideoTransformer3DModel, WanTransformer3DModel
from torch.utils.flop_counter import FlopCounterMode

ATTENTION = "bmm", "attention"


def linear(model, **inputs):
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model(**inputs, return_dict=False)
    counts = counter.get_flop_counts()["Global"].items()
    return sum(flops for name, flops in counts if not any(word in str(name) for word in ATTENTION)) / 1e12


def ltx(timesteps, **config):
    frames, height, width = 9, 11, 19  # 65 frames of 608x352
    tokens = frames * height * width
    return linear(
        LTXVideoTransformer3DModel(**config),
        hidden_states=torch.ones(1, tokens, 128),
        encoder_hidden_states=torch.ones(1, 256, 4096),
        encoder_attention_mask=torch.ones(1, 256),
        timestep=torch.ones(1, tokens if timesteps == "each" else 1),
        num_frames=frames,
        height=height,
        width=width,
        rope_interpolation_scale=(8 / 25, 32, 32),
    )


def wan(**config):
    return linear(
        WanTransformer3DModel(attention_head_dim=128, **config),
        hidden_states=torch.ones(1, 16, 16, 60, 104),  # 61 frames of 832x480
        encoder_hidden_states=torch.ones(1, 512, 4096),
        timestep=torch.ones(1),
    )


torch.set_default_device("meta")
large = wan(num_attention_heads=40, ffn_dim=13824, num_layers=40)
small = wan(num_attention_heads=12, ffn_dim=8960, num_layers=30)
for name, steps, published in [
    ("LLL", (50, 0), 29950),
    ("SSS", (0, 50), 3129),
    ("LSS", (20, 30), 13858),
    ("SLL", (40, 10), 24586),
    ("LSL", (30, 20), 19222),
]:
    print(f"WAN {name} {steps[0] * large + steps[1] * small:.1f} {published}")

full = dict(num_attention_heads=32, attention_head_dim=128, cross_attention_dim=4096, num_layers=48)
passes = {of: (ltx(of, **full), ltx(of)) for of in ["all", "each"]}
for name, (of_large, of_small), published in [
    ("DPM++ LLL", (40, 0), 1748),
    ("DPM++ SSS", (0, 40), 257),
    ("DPM++ LSL", (18, 22), 928),
    ("distilled LLL", (80, 0), 3496),
    ("distilled LDL", (40, 4), 1774),
    ("distilled DDD", (0, 8), 51),
]:
    counted = [of_large * large + of_small * small for large, small in passes.values()]
    print(f"LTX {name} {counted[0]:.1f} {counted[1]:.1f} {published}")
