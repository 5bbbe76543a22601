"""Encode procedural clips into a folder of latents that training reads, and may read while it still grows.

    python encode_latents.py --vae work/vae.pt --out work/latents --clips 8000

A shard holds the seed of its first scene, how often its scenes have two objects, and latents [N, 16, T, H, W] (means, float16, not normalised); a
scene is drawn again from its seed, so its caption can be worded anew each time. `stats.json` holds the mean
and deviation per channel over the first shards, or an exported VAE's own, and stays as it is, for models
are trained on it.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLWan

import scenes
import wan_vae
from common import FRAMES, SIZE, log, save_atomic

SHARD = 128
STATS_SHARDS = 4


def scene_of(seed: int, two: float = scenes.TWO) -> scenes.Scene:
    return scenes.sample_scene(np.random.default_rng(seed), two)


def encode_scenes(vae: AutoencoderKLWan, drawn: list[scenes.Scene], frames: int, height: int, width: int):
    """Latents [N, 16, T, H, W] of the clips of `drawn`, float16."""
    parts = []
    for first in range(0, len(drawn), 8):
        batch = [scenes.render(scene, frames, height, width) for scene in drawn[first : first + 8]]
        clips = torch.from_numpy(np.stack(batch)).permute(0, 4, 1, 2, 3) * 2 - 1
        clips = clips.to(vae.device, memory_format=torch.channels_last_3d)
        with torch.autocast(vae.device.type, torch.bfloat16):
            parts.append(wan_vae.encode(vae, clips)[0].half().cpu())
    return torch.cat(parts).contiguous()


def measure(folder: Path) -> dict[str, list[float]]:
    shards = [torch.load(path)["latents"] for path in sorted(folder.glob("shard-*.pt"))[:STATS_SHARDS]]
    channels = torch.cat(shards).float().transpose(0, 1).flatten(1)
    return {"mean": channels.mean(1).tolist(), "std": channels.std(1).tolist()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vae", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=8000)
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--height", type=int, default=SIZE)
    parser.add_argument("--width", type=int, default=SIZE)
    parser.add_argument("--seed", type=int, default=2_000_000, help="seed of the first scene")
    parser.add_argument("--two", type=float, default=scenes.TWO, help="how often a scene has two objects")
    parser.add_argument("--first", type=int, default=0, help="number of the first shard, to add to a folder")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    vae = wan_vae.load(args.vae).to(args.device).eval()
    args.out.mkdir(parents=True, exist_ok=True)
    stats = args.out / "stats.json"
    if args.vae.is_dir() and not stats.exists():
        stats.write_text(json.dumps({"mean": vae.config.latents_mean, "std": vae.config.latents_std}))
    for first in range(0, args.clips, SHARD):
        path = args.out / f"shard-{args.first + first // SHARD:05d}.pt"
        if path.exists():
            continue
        start, seed = time.monotonic(), args.seed + first
        drawn = [scene_of(s, args.two) for s in range(seed, seed + SHARD)]
        with torch.no_grad():
            latents = encode_scenes(vae, drawn, args.frames, args.height, args.width)
        save_atomic({"seed": seed, "two": args.two, "latents": latents}, path)
        log(clips=first + SHARD, seconds_per_clip=(time.monotonic() - start) / SHARD)
        if first == (STATS_SHARDS - 1) * SHARD and not stats.exists():
            stats.write_text(json.dumps(measure(args.out)))


if __name__ == "__main__":
    main()
