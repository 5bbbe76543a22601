"""Train the reader on rendered clips, hold it against others, export it.

    python train_reader.py --out work/reader.pt --export ../evaluate --minutes 25
    python train_reader.py --out work/reader.pt --export ../evaluate --check   # only measure and export
    python train_reader.py --export ../evaluate --check   # only measure the exported one, against another VAE say

A reader that calls any blob the nearest shape would flatter a model. So some of its clips show spoilt
objects, which are to be called "none": two shapes in one, a shape that changes on the way, pieces.
A reader that stumbles over an outline which is a pixel or two off would slander one. So some of the others
are wobbled, and keep their names: their outlines shake by up to 1.6 pixels, as a hand-drawn shape's would.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

import reader as net
import scenes
import wan_vae
from common import Average, Budget, Optimiser, log, save_atomic
from reader import Reader

SPOILT = 0.2  # share of clips with spoilt objects
WOBBLED = 0.5  # share of the others whose outlines shake
WOBBLE = 1.6  # by how many pixels at most, root mean square
SLOTS = ("present", "shape", "motion", "size", "background", "pattern")


def spoil(scene: scenes.Scene, clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The clip with every object's shape gone."""
    others = [replace(t, shape=str(rng.choice([s for s in scenes.SHAPES if s != t.shape]))) for t in scene.things]
    frames, height, width, _ = clip.shape
    side = (frames, height, width)
    if rng.uniform() < 0.4:  # pieces: cut by soft waves that drift
        empty = scenes.render(scenes.Scene([], scene.background, scene.pattern), *side)
        t, y, x = np.meshgrid(*(np.linspace(0, 1, n, dtype=np.float32) for n in side), indexing="ij")
        waves = sum(
            np.sin(2 * np.pi * (a * x + b * y + c * t + d)) for a, b, c, d in rng.uniform(-6, 6, (3, 4))
        )
        return clip + np.clip(2 * waves + 0.5, 0, 1)[..., None].astype(np.float32) * (empty - clip)
    other = scenes.render(replace(scene, things=others), *side)
    if rng.uniform() < 0.5:  # one shape turns into another
        cut = rng.uniform(0.3, 0.7) * frames
        weight = np.clip((np.arange(frames) - cut) / rng.uniform(1, 8) + 0.5, 0, 1)[:, None, None, None]
    else:  # both at once
        weight = rng.uniform(0.35, 0.65)
    return (clip + np.float32(weight) * (other - clip)).astype(np.float32)


def wobble(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The clip seen through glass that is uneven by waves of 12 to 50 pixels and shifts as time goes by."""
    frames, height, width, _ = clip.shape
    t, y, x = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in (frames, height, width)), indexing="ij")
    shift = np.zeros((2, *t.shape), np.float32)
    for axis in shift:
        for _ in range(4):
            length, turn, phase = rng.uniform(12, 50), rng.uniform(0, 2 * np.pi), rng.uniform(0, 2 * np.pi)
            along = (np.cos(turn) * x + np.sin(turn) * y) / length + rng.uniform(-0.25, 0.25) * t
            axis += np.sin(2 * np.pi * along + phase)
    shift *= rng.uniform(0, WOBBLE) / 2  # four waves of root mean square 1/sqrt(2), in two axes
    places = np.stack([(2 * (x + shift[0]) + 1) / width - 1, (2 * (y + shift[1]) + 1) / height - 1], -1)
    frames_first = torch.from_numpy(clip).permute(0, 3, 1, 2)
    seen = F.grid_sample(frames_first, torch.from_numpy(places), padding_mode="border", align_corners=False)
    return seen.permute(0, 2, 3, 1).numpy()


def worn(clips: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """What a decoder may do to clips: softer, a little off in colour, grainy."""
    count = len(clips)
    uniform = lambda low, high, *shape: torch.from_numpy(rng.uniform(low, high, (count, *shape, 1, 1, 1))).float()
    if rng.uniform() < 0.6:
        soft = uniform(0, 0.25, 1)
        for axis in (3, 4):
            clips = clips + soft * (clips.roll(1, axis) + clips.roll(-1, axis) - 2 * clips)
    clips = clips * uniform(0.93, 1.05, 3) + uniform(-0.03, 0.03, 3)
    grain = torch.from_numpy(rng.standard_normal(clips.shape[1:], dtype=np.float32))  # shared, to save time
    return clips + uniform(0, 0.03, 1) * grain


def scene_of(seed: int) -> scenes.Scene:
    """Any scene, held out or not: the reader must know them all."""
    return scenes.draw_scene(np.random.default_rng([seed, 2]), two=0.6)


def example(seed: int, plain: bool = False) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Every second frame of a clip, [13, 96, 96, 3], and labels, -1 where there is none. `plain`: as rendered."""
    rng, scene = np.random.default_rng([seed, 3]), scene_of(seed)
    clip = scenes.render(scene, net.FRAMES // net.EVERY + 1, net.SIDE, net.SIDE)
    spoilt = not plain and rng.uniform() < SPOILT
    if spoilt:
        clip = spoil(scene, clip, rng)
    elif not plain and rng.uniform() < WOBBLED:
        clip = wobble(clip, rng)
    labels = {slot: np.full(len(net.COLOURS), -1) for slot in ("shape", "motion", "size")}
    labels["present"] = np.zeros(len(net.COLOURS), int)
    for thing in scene.things:
        i = net.COLOURS.index(thing.colour)
        labels["present"][i] = 1
        labels["shape"][i] = net.SHAPES.index("none" if spoilt else thing.shape)
        labels["motion"][i] = net.MOTIONS.index(thing.motion)
        labels["size"][i] = -1 if spoilt else net.SIZES.index(thing.size)
    labels["background"] = np.array(net.BACKGROUNDS.index(scene.background))
    labels["pattern"] = np.array(net.PATTERNS.index(scene.pattern))
    return clip, labels


def batch(seeds: range, plain: bool = False) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    clips, labels = zip(*(example(seed, plain) for seed in seeds))
    stacked = {slot: torch.from_numpy(np.stack([row[slot] for row in labels])) for slot in SLOTS}
    clips = torch.from_numpy(np.stack(clips)).permute(0, 4, 1, 2, 3)
    if not plain:
        clips = worn(clips, np.random.default_rng([seeds[0], 1]))
    return clips.contiguous(memory_format=torch.channels_last_3d), stacked


def loss_of(logits: dict[str, torch.Tensor], labels: dict[str, torch.Tensor]) -> torch.Tensor:
    total = F.binary_cross_entropy_with_logits(logits["present"], labels["present"].float())
    for slot in SLOTS[1:]:
        total = total + F.cross_entropy(logits[slot].flatten(0, -2), labels[slot].flatten(), ignore_index=-1)
    return total


@torch.no_grad()
def check(reader: Reader, vae: AutoencoderKLWan | None, first: int, count: int) -> dict[str, float]:
    """Share of clips read right, by attribute, over scenes that training never drew; through the VAE if given."""
    hits = {slot: [] for slot in ("colour", "shape", "motion", "size", "background", "pattern", "all")}
    for seed in range(first, first + count, 16):
        seeds = range(seed, min(seed + 16, first + count))
        clips, labels = batch(seeds, plain=True)
        if vae:
            whole = [scenes.render(scene_of(s), net.FRAMES, net.SIDE, net.SIDE) for s in seeds]
            whole = torch.from_numpy(np.stack(whole)).permute(0, 4, 1, 2, 3)
            made = wan_vae.decode(vae, wan_vae.encode(vae, 2 * whole - 1)[0]).clamp(-1, 1) / 2 + 0.5
            clips = made[:, :, :: net.EVERY]
        logits = reader(clips)
        right = {"colour": ((logits["present"] > 0) == labels["present"].bool()).all(1)}
        for slot in SLOTS[1:]:
            same = (logits[slot].argmax(-1) == labels[slot]) | (labels[slot] < 0)
            right[slot] = same.all(1) if same.ndim == 2 else same
        right["all"] = torch.stack(list(right.values())).all(0)
        for slot, values in right.items():
            hits[slot].append(values.float())
    return {slot: round(torch.cat(values).mean().item(), 4) for slot, values in hits.items()}


@torch.no_grad()
def caught(reader: Reader, first: int, count: int) -> float:
    """Share of spoilt objects that are called none, or not seen at all."""
    hits = []
    for seed in range(first, first + 8 * count, 16):
        clips, labels = batch(range(seed, seed + 16))
        spoilt = labels["shape"] == net.SHAPES.index("none")
        logits = reader(clips)
        hits.append(((logits["shape"].argmax(-1) == labels["shape"]) | (logits["present"] < 0))[spoilt].float())
    return round(torch.cat(hits).mean().item(), 4)


def describe(reader: Reader, vae: AutoencoderKLWan, folder: Path, clips: int):
    """Write reader.json: what it tells apart and how often it is right."""
    found = {"rendered": check(reader, None, 30_000_000, clips), "decoded": check(reader, vae, 31_000_000, clips // 16)}
    log(**{f"{kind}_{slot}": share for kind, row in found.items() for slot, share in row.items()})
    about = {
        "width": net.SIDE,
        "height": net.SIDE,
        "frames": net.FRAMES,
        "colours": net.COLOURS,
        "shapes": net.SHAPES,
        "motions": net.MOTIONS,
        "sizes": net.SIZES,
        "backgrounds": net.BACKGROUNDS,
        "patterns": net.PATTERNS,
        "validation": {slot: share for slot, share in found["rendered"].items() if slot != "all"},
        "validation_clips": clips,
        "validation_decoded": {slot: share for slot, share in found["decoded"].items() if slot != "all"},
        "spoilt_caught": caught(reader, 33_000_000, clips // 16),
    }
    (folder / "reader.json").write_text(json.dumps(about, indent=1) + "\n")


@torch.no_grad()
def fixture(reader: Reader, path: Path):
    """Clips and what this program reads in them, for flowblend's reader to be held against."""
    clips = np.stack([scenes.render(scene_of(s), net.FRAMES, net.SIDE, net.SIDE) for s in range(40_000_000, 40_000_003)])
    clips = torch.from_numpy(clips * 255).round().byte()
    shown = clips[:, :: net.EVERY].permute(0, 4, 1, 2, 3).float() / 255
    made = {name: t.float().contiguous() for name, t in reader(shown).items()}
    save_file({"clips": clips, "embedding": reader.embedding(shown), **made}, path)


def settle(reader: Reader, clips: int = 512):
    """Mean and deviation of the embedding, over clips of all kinds."""
    with torch.no_grad():
        rows = torch.cat([reader.raw_embedding(batch(range(s, s + 16))[0]) for s in range(32_000_000, 32_000_000 + clips, 16)])
    reader.embed_mean.copy_(rows.mean(0))
    reader.embed_std.copy_(rows.std(0) + 1e-3 * rows.std())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="checkpoint")
    parser.add_argument("--export", type=Path, help="folder for reader.safetensors and reader.json")
    parser.add_argument("--fixture", type=Path)
    parser.add_argument("--vae", type=Path, default=Path("../large/vae"))
    parser.add_argument("--minutes", type=float, default=25)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--clips", type=int, default=2000, help="to hold it against")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()

    if args.check and not args.out:
        best = Reader.imported(load_file(args.export / "reader.safetensors"))
        return describe(best, wan_vae.load(args.vae).eval(), args.export, args.clips)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = Reader().to(memory_format=torch.channels_last_3d)
    heads = ("look", "present", "shape", "motion", "size", "background", "pattern")
    optimiser = Optimiser(model, args.lr, other=("conv1", *heads))
    average, step, spent = Average(model, 0.998), 0, 0.0
    if args.out.exists():
        state = torch.load(args.out)
        model.load_state_dict(state["raw"])
        optimiser.load_state_dict(state["optimiser"])
        average.weights, average.steps, step, spent = state["ema"], state["step"], state["step"], state["spent"]
    budget, saved, total, since = Budget(args.minutes, spent), time.monotonic(), 0.0, 0

    def save():
        state = dict(raw=model.state_dict(), ema=average.weights, optimiser=optimiser.state_dict())
        save_atomic(state | dict(step=step, spent=budget.spent), args.out)
        log(step=step, loss=total / max(since, 1), left=1 - budget.progress)

    while not (budget.over or args.check):
        clips, labels = batch(range(step * args.batch, (step + 1) * args.batch))
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(clips)
        loss = loss_of({slot: t.float() for slot, t in logits.items()}, labels)
        loss.backward()
        optimiser.step(budget.factor())
        average.update(model)
        step, since, total = step + 1, since + 1, total + loss.item()
        if time.monotonic() - saved > 60:
            save()
            saved, total, since = time.monotonic(), 0.0, 0
    if not args.check:
        save()
    best = Reader()
    best.load_state_dict(average.weights)
    best.eval()
    settle(best)
    if args.export:
        args.export.mkdir(parents=True, exist_ok=True)
        save_file(best.exported(), args.export / "reader.safetensors")
        describe(best, wan_vae.load(args.vae).eval(), args.export, args.clips)
    if args.fixture:
        fixture(best, args.fixture)


if __name__ == "__main__":
    main()
