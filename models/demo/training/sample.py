"""Draw clips with the exported pair through diffusers: contact sheets, and how far each plan is from LLL.

    python sample.py --pair models/demo --out sheets

A plan such as LSL says which model takes each third of the steps, from noise to clip; its boundaries are
fractions of the steps. Every plan starts from the same noise. A sheet has one row per prompt, frames left
to right.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import WanPipeline, WanTransformer3DModel
from PIL import Image

PROMPTS = [
    "a red circle bouncing over a blue background",
    "a small yellow star orbiting over a striped green background",
    "a large white square moving left over a red background",
    "a cyan triangle spinning over a dotted purple background",
    "a green ring growing over a plain black background",
    "a large orange cross moving up over a checkered blue background",
    "a purple circle pulsing over a gradient grey background",
    "a large yellow triangle moving right on a brown background",
    "a small white star moving down against a green background",
    "a red square spinning over a grey background",
    "a small red star moving right and a cyan ring pulsing over a black background",
    "a yellow circle bouncing over a striped purple background, a green square shrinking",
]


class Pair:
    def __init__(self, folder: Path):
        self.settings = json.loads((folder / "pair.json").read_text())
        self.pipe = WanPipeline.from_pretrained(folder / "large", torch_dtype=torch.float32)
        small = WanTransformer3DModel.from_pretrained(folder / "small" / "transformer", torch_dtype=torch.float32)
        self.models = {"L": self.pipe.transformer.eval(), "S": small.eval()}

    def noise(self, count: int, seed: int) -> torch.Tensor:
        s = self.settings
        shape = (count, 16, (s["frames"] - 1) // 4 + 1, s["height"] // 8, s["width"] // 8)
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed))

    @torch.no_grad()
    def embed(self, prompts: list[str]) -> torch.Tensor:
        """Embeddings of the prompts, then those of the negative prompt as often: [2N, 64, D]."""
        words, none = self.pipe.encode_prompt(
            prompts, self.settings["negative"], max_sequence_length=self.settings["text_tokens"]
        )
        return torch.cat([words, none])

    @torch.no_grad()
    def sample(self, letters: list[str], embeds: torch.Tensor, noise: torch.Tensor, cfg: float) -> torch.Tensor:
        """Latents after one Euler step per letter."""
        scheduler, x = self.pipe.scheduler, noise
        scheduler.set_timesteps(len(letters))
        for t, letter in zip(scheduler.timesteps, letters):
            made = self.models[letter](torch.cat([x, x]), t.expand(2 * len(x)), embeds, return_dict=False)[0]
            told, free = made.chunk(2)
            x = scheduler.step(free + cfg * (told - free), t, x, return_dict=False)[0]
        return x

    @torch.no_grad()
    def decode(self, latents: torch.Tensor) -> np.ndarray:
        """Clips uint8 [N, F, H, W, 3]."""
        vae = self.pipe.vae
        mean, std = (torch.tensor(v).view(1, -1, 1, 1, 1) for v in (vae.config.latents_mean, vae.config.latents_std))
        clips = torch.cat([vae.decode(z[None] * std + mean).sample for z in latents])
        return ((clips.permute(0, 2, 3, 4, 1) + 1) * 127.5).round().clamp(0, 255).byte().numpy()


def letters(plan: str, boundaries: list[float], steps: int) -> list[str]:
    """The model of each step; with one letter or all letters alike the boundaries do not matter."""
    edges = [0, *(round(b * steps) for b in boundaries), steps]
    return [letter for letter, a, b in zip(plan, edges, edges[1:]) for _ in range(b - a)]


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(np.square(a.astype(np.float32) - b).mean(), 1e-6)))


def sheet(clips: np.ndarray, path: Path, every: int = 2, scale: int = 2):
    rows = [np.concatenate(list(clip[::every]), 1) for clip in clips]
    picture = Image.fromarray(np.concatenate(rows))
    picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST).save(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pair", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--plans", nargs="+", default=["LLL", "LSL", "SSS"])
    parser.add_argument("--boundaries", type=float, nargs=2)
    parser.add_argument("--search", action="store_true", help="also PSNR of LSL to LLL over a grid of boundaries")
    parser.add_argument("--cfg", type=float)
    parser.add_argument("--shift", type=float)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=len(PROMPTS))
    args = parser.parse_args()

    pair = Pair(args.pair)
    steps, cfg = pair.settings["steps"], args.cfg or pair.settings["cfg"]
    boundaries = args.boundaries or pair.settings["boundaries"]
    if args.shift:
        pair.pipe.scheduler.set_shift(args.shift)
    prompts = PROMPTS[: args.count]
    embeds, noise = pair.embed(prompts), pair.noise(len(prompts), args.seed)
    args.out.mkdir(parents=True, exist_ok=True)

    def clips(plan: str, where: list[float]) -> np.ndarray:
        return pair.decode(pair.sample(letters(plan, where, steps), embeds, noise, cfg))

    best = clips("LLL", boundaries)
    for plan in args.plans:
        start = time.monotonic()
        made = best if plan == "LLL" else clips(plan, boundaries)
        sheet(made, args.out / f"{plan}.png")
        apart = [psnr(a, b) for a, b in zip(made, best)]
        print(f"{plan}: median PSNR to LLL {np.median(apart):.1f} dB, {time.monotonic() - start:.1f} s", flush=True)
    if args.search:
        for early, late in itertools.product((0.2, 0.4, 0.6), (0.0, 0.1, 0.2, 0.4)):
            if early + late < 1:
                apart = [psnr(a, b) for a, b in zip(clips("LSL", [early, 1 - late]), best)]
                print(f"LSL, large first {early:.0%} and last {late:.0%}: {np.median(apart):.1f} dB", flush=True)


if __name__ == "__main__":
    main()
