"""Fit the linear map from a latent cell to a colour that live previews use.

    python fit_preview.py --latents work/latents --out work/preview.json

Least squares from normalised latents to the mean colour, in [0, 1], of the 8x8 pixels and the frames (one
for the first latent frame, four for the others) that a cell stands for.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

import scenes
from common import log
from train_transformer import Latents


def cell_colours(clip: np.ndarray, frames: int, height: int, width: int) -> torch.Tensor:
    """A clip [F, H, W, 3] averaged to latent cells [frames, height, width, 3]."""
    cells = torch.from_numpy(clip).unflatten(1, (height, -1)).unflatten(3, (width, -1)).mean((2, 4))
    return torch.cat([cells[:1], cells[1:].unflatten(0, (frames - 1, -1)).mean(1)])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--latents", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=256)
    args = parser.parse_args()

    data = Latents(args.latents)
    data.refresh()
    picks = np.random.default_rng(0).integers(len(data), size=args.clips)
    latents, shown = data.clips(torch.from_numpy(picks)), [data.scene(pick) for pick in picks]
    _, channels, t, h, w = latents.shape
    colours = [cell_colours(scenes.render(scene, 4 * t - 3, 8 * h, 8 * w), t, h, w) for scene in shown]
    y = torch.stack(colours).flatten(0, 3)
    x = latents.permute(0, 2, 3, 4, 1).flatten(0, 3)
    x = torch.cat([x, torch.ones(len(x), 1)], 1)
    solution = torch.linalg.lstsq(x, y).solution
    log(rms_error=(x @ solution - y).square().mean().sqrt().item(), rms_colour=y.std().item())
    rows = [[round(v, 5) for v in row] for row in solution.tolist()]
    args.out.write_text(json.dumps({"factors": rows[:channels], "bias": rows[channels]}))


if __name__ == "__main__":
    main()
