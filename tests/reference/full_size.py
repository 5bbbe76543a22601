"""Writes tests/fixtures/full_size: names, shapes and dtypes of the tensors of the models at the size
they are published in, without their weights. Run it after `pip install -r requirements.txt`:

    python tests/reference/full_size.py [--wan DIR]

A line is `name dtype sizes`, a file a part of a model as diffusers or transformers saves it in
bfloat16. `--wan` is a checkout of Wan2.1's own code; with it the lists under its authors' names
(`*.native.txt`) are written too.
"""

import argparse
import importlib.util
import sys
import types
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLLTXVideo,
    AutoencoderKLWan,
    LTXVideoTransformer3DModel,
    WanTransformer3DModel,
)
from transformers import T5Config, T5EncoderModel, UMT5Config, UMT5EncoderModel

from ltx import native_transformer_name, native_vae_name

OUT = Path(__file__).resolve().parent.parent / "fixtures" / "full_size"
NAMES = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}
WAN = {  # the transformers' config.json, where they differ from the class's defaults
    "wan-1.3b": dict(num_attention_heads=12, num_layers=30, ffn_dim=8960, text_dim=4096),
    "wan-14b": dict(num_attention_heads=40, num_layers=40, ffn_dim=13824, text_dim=4096),
}
LTX = {
    "ltx-2b": {},
    "ltx-13b": dict(attention_head_dim=128, cross_attention_dim=4096, num_layers=48),
}
LTX_VAE = dict(  # of 0.9.5 and later
    block_out_channels=(128, 256, 512, 1024, 2048), down_block_types=("LTXVideo095DownBlock3D",) * 4,
    decoder_block_out_channels=(256, 512, 1024), layers_per_block=(4, 6, 6, 2, 2),
    decoder_layers_per_block=(5, 5, 5, 5), spatio_temporal_scaling=(True,) * 4,
    decoder_spatio_temporal_scaling=(True,) * 3, decoder_inject_noise=(False,) * 4,
    downsample_type=("spatial", "temporal", "spatiotemporal", "spatiotemporal"),
    upsample_residual=(True,) * 3, upsample_factor=(2,) * 3, timestep_conditioning=True,
    spatial_compression_ratio=32, temporal_compression_ratio=8,
)
T5_XXL = dict(
    vocab_size=32128, d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64,
    feed_forward_proj="gated-gelu",
)
UMT5_XXL = dict(
    vocab_size=256384, d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64,
    relative_attention_num_buckets=32, relative_attention_max_distance=128, feed_forward_proj="gated-gelu",
)


def write(name, tensors, dtype=torch.bfloat16, keep=()):
    OUT.mkdir(exist_ok=True)
    lines = []
    for key, tensor in sorted(tensors.items()):
        kept = torch.float32 if any(part in key for part in keep) else dtype
        lines.append(f"{key} {NAMES[kept]} {'x'.join(map(str, tensor.shape))}")
    (OUT / f"{name}.txt").write_text("\n".join(lines) + "\n")
    print(name, len(lines), sum(t.numel() for t in tensors.values()))


def native(folder):
    """The modules of Wan2.1's own code that define networks, without the rest of its package."""
    package = types.ModuleType("wan_native")
    package.__path__ = [str(folder / "wan" / "modules")]
    sys.modules["wan_native"] = package

    def load(name):
        spec = importlib.util.spec_from_file_location(f"wan_native.{name}", folder / "wan" / "modules" / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[f"wan_native.{name}"] = module
        spec.loader.exec_module(module)
        return module

    for name in ("attention", "tokenizers"):
        load(name)
    return load("model"), load("vae"), load("t5")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wan", type=Path)
    args = parser.parse_args()
    with torch.device("meta"):
        for name, config in WAN.items():
            model = WanTransformer3DModel(**config)
            keep = WanTransformer3DModel._keep_in_fp32_modules
            write(name, model.state_dict(), keep=keep)
        write("wan-vae", AutoencoderKLWan().state_dict(), torch.float32)
        encoder = UMT5EncoderModel(UMT5Config(**UMT5_XXL))
        # The embedding table is shared, and saved once.
        tensors = {k: v for k, v in encoder.state_dict().items() if k != "encoder.embed_tokens.weight"}
        write("umt5-xxl", tensors)
        # The names of LTX-Video's authors are proved in ltx.py, by diffusers' own conversion.
        for name, config in LTX.items():
            tensors = LTXVideoTransformer3DModel(**config).state_dict()
            write(name, tensors)
            write(f"{name}.native", {native_transformer_name(k): v for k, v in tensors.items()})
        tensors = AutoencoderKLLTXVideo(**LTX_VAE).state_dict()
        write("ltx-vae", tensors)
        write("ltx-vae.native", {native_vae_name(k): v for k, v in tensors.items()})
        encoder = T5EncoderModel(T5Config(**T5_XXL))
        tensors = {k: v for k, v in encoder.state_dict().items() if k != "encoder.embed_tokens.weight"}
        write("t5-xxl", tensors)
        if args.wan:
            # The code asks for a GPU where it only names a default device.
            torch.cuda.current_device = lambda: "cpu"
            model, vae, t5 = native(args.wan)
            for name, config in WAN.items():
                heads = config["num_attention_heads"]
                made = model.WanModel(
                    dim=128 * heads, num_heads=heads, num_layers=config["num_layers"], ffn_dim=config["ffn_dim"],
                )
                write(f"{name}.native", made.state_dict())
            made = vae.WanVAE_(
                dim=96, z_dim=16, dim_mult=[1, 2, 4, 4], num_res_blocks=2, attn_scales=[],
                temperal_downsample=[False, True, True], dropout=0.0,
            )
            write("wan-vae.native", made.state_dict(), torch.float32)
            write("umt5-xxl.native", t5.umt5_xxl(encoder_only=True, device="meta").state_dict())


if __name__ == "__main__":
    main()
