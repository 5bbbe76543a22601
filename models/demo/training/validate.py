"""Hold a pair against the reader on prompts that it is not judged by, to choose guidance, boundaries, weights.

    python validate.py --pair .. --plans LLL SSS LSL --cfg 3 4

The prompts are drawn as those of `evaluate/prompts.json` are, from another seed; their combinations may be
among the training's. Prints, for each plan and guidance, the share of clips that show all that was asked and
nothing else, by attribute too, and how like LLL at the same guidance the clips are. What is chosen by this is
then measured by `evaluate-demo`, once.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from safetensors.torch import load_file

import held_out
import reader as net
import scenes
import wan_vae
from train_transformer import Prompts

SEED = 77_000_000
EVALUATE = Path(__file__).parents[1] / "evaluate"


def prompts_of(count: int) -> list[dict]:
    rng, rows = np.random.default_rng(SEED), []
    while len(rows) < count:
        scene = scenes.draw_scene(rng, two=float(len(rows) % 5 in (1, 3)))
        if scenes.held_out().isdisjoint(scenes.combinations(scene)):
            text, said = scenes.caption(scene, rng)
            rows.append({"prompt": text} | held_out.asked(scene, said))
    return rows


def course(
    plan: str, boundaries: list[float], steps: int, shift: float, levels: list[float]
) -> list[tuple[str, float, float]]:
    """Model, noise level and the next level of each step. A distilled stage goes by its own levels in between."""
    even = np.linspace(1, 0.001, steps)
    sigmas = [*(shift * even / (1 + (shift - 1) * even)), 0.0]
    edges = [0, *(round(b * steps) for b in boundaries), steps] if len(plan) > 1 else [0, steps]
    way = []
    for letter, a, b in zip(plan, edges, edges[1:]):
        inside = [s for s in levels if sigmas[b] + 1e-3 < s < sigmas[a] - 1e-3]
        points = [sigmas[a], *inside, sigmas[b]] if letter == "D" else sigmas[a : b + 1]
        way += [(letter, s, t) for s, t in zip(points, points[1:])]
    return way


@torch.no_grad()
def sample(models: dict, way: list, noise: torch.Tensor, embeds: torch.Tensor, none: torch.Tensor, cfg: float):
    """Normalised latents after an Euler step for each part of the way; distilled models need no guidance."""
    x = noise.clone()
    for letter, now, then in way:
        if letter == "D":
            velocity = models[letter](x, torch.full((len(x),), 1000 * now, device=x.device), embeds, return_dict=False)[0]
        else:
            times = torch.full((2 * len(x),), 1000 * now, device=x.device)
            made = models[letter](torch.cat([x, x]), times, torch.cat([embeds, none]), return_dict=False)[0]
            told, free = made.chunk(2)
            velocity = free + cfg * (told - free)
        x = x + (then - now) * velocity
    return x


def judged(readings: dict[str, torch.Tensor], rows: list[dict]) -> dict[str, list[bool]]:
    """What was read right of each clip, by attribute; `all` when nothing is wrong."""
    found = {slot: [] for slot in ("colour", "shape", "motion", "size", "background", "pattern", "all")}
    for i, row in enumerate(rows):
        things = {net.COLOURS.index(thing["colour"]): thing for thing in row["things"]}
        right = {"colour": set((readings["present"][i] > 0).nonzero().flatten().tolist()) == set(things)}
        for slot, names in (("shape", net.SHAPES), ("motion", net.MOTIONS), ("size", net.SIZES)):
            read = readings[slot][i].argmax(-1).tolist()
            right[slot] = all(
                readings["present"][i, at] > 0 and (thing[slot] is None or names[read[at]] == thing[slot])
                for at, thing in things.items()
            )
        right["background"] = net.BACKGROUNDS[readings["background"][i].argmax()] == row["background"]
        right["pattern"] = net.PATTERNS[readings["pattern"][i].argmax()] == row["pattern"]
        right["all"] = all(right.values())
        for slot, value in right.items():
            found[slot].append(bool(value))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pair", type=Path, default=Path(".."))
    parser.add_argument("--count", type=int, default=240)
    parser.add_argument("--plans", nargs="+", default=["LLL", "SSS", "LSL"], help="a plan may name its boundaries: LSL@0.4,0.9")
    parser.add_argument("--cfg", type=float, nargs="+", default=[])
    parser.add_argument("--steps", type=int)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=16, help="clips that are made together")
    parser.add_argument("--out", type=Path, help="JSON")
    args = parser.parse_args()

    settings = json.loads((args.pair / "pair.json").read_text())
    steps, large = args.steps or settings["steps"], args.pair / "large"
    folders = {"L": large, "S": args.pair / "small", "D": args.pair / "distilled"}
    used = {letter for plan in args.plans for letter in plan.split("@")[0]}
    models = {
        letter: WanTransformer3DModel.from_pretrained(folders[letter] / "transformer", torch_dtype=torch.float32)
        .to(args.device)
        .eval()
        for letter in sorted(used)
    }
    vae = AutoencoderKLWan.from_pretrained(large / "vae", torch_dtype=torch.float32).to(args.device).eval()
    mean, std = (torch.tensor(v, device=args.device).view(1, -1, 1, 1, 1) for v in (vae.config.latents_mean, vae.config.latents_std))
    reader = net.Reader.imported(load_file(EVALUATE / "reader.safetensors")).to(args.device)
    texts, rows = Prompts(large, args.device), prompts_of(args.count)
    embeds, none = texts([row["prompt"] for row in rows]), texts([settings["negative"]])
    shape = (args.count, 16, (settings["frames"] - 1) // 4 + 1, settings["height"] // 8, settings["width"] // 8)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(SEED)).to(args.device)
    report = []
    for cfg in args.cfg or [settings["cfg"]]:
        best = None
        for asked in args.plans:
            plan, _, where = asked.partition("@")
            boundaries = [float(b) for b in where.split(",")] if where else settings["boundaries"]
            way = course(plan, boundaries, steps, settings["shift"], settings.get("distilled_sigmas", []))
            clips, readings = [], []
            for first in range(0, args.count, args.batch):
                part = slice(first, first + args.batch)
                size = len(rows[part])
                latents = sample(models, way, noise[part], embeds[part], none.expand(size, -1, -1), cfg)
                with torch.no_grad():
                    made = wan_vae.decode(vae, latents * std + mean).clamp(-1, 1) / 2 + 0.5
                    readings.append(reader(made[:, :, :: net.EVERY]))
                clips.append(made.half())
            made = torch.cat(clips).float()
            best = made if plan == "LLL" else best
            found = judged({slot: torch.cat([r[slot].cpu() for r in readings]) for slot in readings[0]}, rows)
            line = {"plan": asked, "cfg": cfg, "steps": len(way)}
            line |= {slot: round(100 * float(np.mean(values)), 1) for slot, values in found.items()}
            if best is not None and plan != "LLL":
                line["psnr"] = round(float(-10 * (made - best).square().mean((1, 2, 3, 4)).log10().median()), 1)
            report.append(line)
            print(json.dumps(line), flush=True)
    if args.out:
        args.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
