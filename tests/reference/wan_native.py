"""Writes tests/fixtures/wan_native: a small WAN model in the files of its authors, a smaller one as GGUF,
and what they make of the same noise. Run it after `pip install -r requirements.txt`, with a checkout of
Wan2.1's own code:

    python tests/reference/wan_native.py --wan DIR

The authors' own classes name the tensors. diffusers, through its own converter, is the reference for the
transformers and the VAE; the authors' T5 is the reference for the text encoder.
"""

import argparse
import json
import shutil
from pathlib import Path

import gguf
import numpy as np
import torch
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanTransformer3DModel
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers, convert_wan_vae_to_diffusers
from safetensors.torch import save_file

from full_size import native
from wan import PROMPTS, randn, tokenizer

OUT = Path(__file__).resolve().parent.parent / "fixtures" / "wan_native"
TEXT_TOKENS, TEXT_DIM = 32, 32
Q = gguf.GGMLQuantizationType


@torch.no_grad()
def randomise(model, seed, dtype):
    """Draws every weight so that signals neither die nor explode, exact in `dtype`."""
    generator = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        if "norm" in name or name.endswith("gamma"):
            value = 1 + 0.2 * noise if not name.endswith("bias") else 0.1 * noise
        elif "modulation" in name:
            value = 0.3 * noise
        elif "pos_embedding" in name:
            value = noise
        else:
            value = noise / p[0].numel() ** 0.5 if p.dim() > 1 else 0.1 * noise
        p.copy_(value.to(dtype).float())
    return model.eval()


def transformer(module, seed, heads, ffn, layers):
    model = module.WanModel(
        dim=128 * heads, num_heads=heads, ffn_dim=ffn, num_layers=layers, freq_dim=64, text_dim=TEXT_DIM, text_len=TEXT_TOKENS,
    )
    return randomise(model, seed, torch.bfloat16).state_dict()


def in_diffusers(state, heads, ffn, layers):
    model = WanTransformer3DModel(
        num_attention_heads=heads, attention_head_dim=128, ffn_dim=ffn, num_layers=layers, freq_dim=64, text_dim=TEXT_DIM,
    )
    model.load_state_dict(convert_wan_transformer_to_diffusers({k: v.clone() for k, v in state.items()}))
    return model.eval()


def blocks(kind, shape, rng):
    """Random blocks of a quantised matrix whose numbers have a mean near 0 and a deviation near 1 / sqrt(inputs)."""
    size, width = gguf.GGML_QUANT_SIZES[kind]
    count = shape[0] * shape[1] // size
    raw = rng.integers(0, 256, (count, width), dtype=np.uint8)
    want = shape[1] ** -0.5

    def put(at, value):
        raw[:, at : at + 2] = np.full(count, value, np.float16).view(np.uint8).reshape(count, 2)

    if kind == Q.Q8_0:  # scale, then 32 signed bytes
        put(0, want / 74)
    else:  # scale and offset, six bits each for eight parts, then 4 or 5 bits a number
        top = {Q.Q4_K: 15, Q.Q5_K: 31}[kind]
        scale = want / (0.36 * top * 32)
        put(0, scale)
        put(2, scale * top / 2)
    return raw.reshape(shape[0], -1), torch.from_numpy(gguf.dequantize(raw.reshape(shape[0], -1), kind).copy())


def write_gguf(path, state):
    """The model in a mix of quantised formats; returns what the quantised numbers stand for."""
    rng, writer, plain = np.random.default_rng(7), gguf.GGUFWriter(path, "wan"), {}
    kinds = [Q.Q8_0, Q.Q5_K, Q.Q4_K]
    for i, (name, tensor) in enumerate(state.items()):
        if tensor.dim() == 2 and tensor.shape[1] % 256 == 0 and name.startswith("blocks."):
            kind = kinds[i % 3]
            raw, plain[name] = blocks(kind, tensor.shape, rng)
            writer.add_tensor(name, raw, raw_dtype=kind)
        else:
            plain[name] = tensor
            half = tensor.dim() > 1 and "modulation" not in name
            data = tensor.half() if half else tensor.float()
            plain[name] = data.float()
            if tensor.dim() == 5:  # converters flatten what has more axes than ggml knows
                writer.add_array(f"comfy.gguf.orig_shape.{name}", list(tensor.shape))
                data = data.flatten(1)
            writer.add_tensor(name, data.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return plain


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wan", type=Path, required=True)
    args = parser.parse_args()
    torch.cuda.current_device = lambda: "cpu"  # the authors' code names it as a default
    model_code, vae_code, t5_code = native(args.wan)
    shutil.rmtree(OUT, ignore_errors=True)
    large_dir = OUT / "large"
    (large_dir / "google" / "umt5-xxl").mkdir(parents=True)

    large_state = transformer(model_code, 11, heads=1, ffn=256, layers=2)
    save_file({k: v.bfloat16() for k, v in large_state.items()}, large_dir / "diffusion_pytorch_model.safetensors")
    config = {"_class_name": "WanModel", "dim": 128, "eps": 1e-6, "ffn_dim": 256, "num_heads": 1, "num_layers": 2}
    (large_dir / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    large = in_diffusers(large_state, heads=1, ffn=256, layers=2)
    small_state = write_gguf(OUT / "small.gguf", transformer(model_code, 12, heads=2, ffn=256, layers=1))
    small = in_diffusers(small_state, heads=2, ffn=256, layers=1)

    vae = vae_code.WanVAE_(dim=4, z_dim=16, temperal_downsample=[False, True, True])
    vae_state = randomise(vae, 13, torch.float16).state_dict()
    torch.save(vae_state, large_dir / "Wan2.1_VAE.pth")
    decoder = AutoencoderKLWan(base_dim=4)
    decoder.load_state_dict(convert_wan_vae_to_diffusers({k: v.clone() for k, v in vae_state.items()}))
    decoder.eval()

    tok = tokenizer()
    tok.backend_tokenizer.save(str(large_dir / "google" / "umt5-xxl" / "tokenizer.json"))
    encoder = t5_code.T5Encoder(
        vocab=len(tok), dim=TEXT_DIM, dim_attn=32, dim_ffn=64, num_heads=4, num_layers=2, num_buckets=32, shared_pos=False,
    )
    randomise(encoder, 14, torch.bfloat16)
    torch.save({k: v.bfloat16() for k, v in encoder.state_dict().items()}, large_dir / "models_t5_umt5-xxl-enc-bf16.pth")
    embeds = []
    for prompt in PROMPTS[:2]:
        ids = torch.tensor([tok(prompt, truncation=True, max_length=TEXT_TOKENS).input_ids])
        found = encoder(ids, torch.ones_like(ids))
        embeds.append(torch.nn.functional.pad(found, (0, 0, 0, TEXT_TOKENS - found.shape[1])))

    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    scheduler.set_timesteps(10)
    x = randn(500, 1, 16, 3, 4, 6)
    out = {"initial": x, "sigmas": scheduler.sigmas, "embeddings": torch.cat(embeds)}
    for role, model in (("large", large), ("small", small)):
        out[f"{role}.velocity"] = model(x, torch.tensor([700.0]), embeds[0], return_dict=False)[0]
    for i, t in enumerate(scheduler.timesteps):
        model = large if "LLLLSSSSLL"[i] == "L" else small
        guided, unguided = (model(x, t.expand(1), e, return_dict=False)[0] for e in embeds)
        x = scheduler.step(unguided + 4.0 * (guided - unguided), t, x, return_dict=False)[0]
        out[f"{i}.x"] = x
    mean, std = (torch.tensor(v).view(1, -1, 1, 1, 1) for v in (decoder.config.latents_mean, decoder.config.latents_std))
    out["frames"] = decoder.decode(x * std + mean, return_dict=False)[0]
    video = randn(501, 1, 3, 9, 16, 24).clamp(-2, 2) / 2
    out |= {"video": video, "encoded": (decoder.encode(video).latent_dist.mode() - mean) / std}
    save_file({k: v.contiguous() for k, v in out.items()}, OUT / "run.safetensors")
    print({k: round(v.std().item(), 3) for k, v in out.items()})
    print(sum(f.stat().st_size for f in OUT.rglob("*") if f.is_file()) / 1e6, "MB")


if __name__ == "__main__":
    main()
