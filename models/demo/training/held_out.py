"""Draw the prompts that the pair is judged by, each object a combination that no training clip shows.

    python held_out.py --out ../evaluate/prompts.json

A combination is an object's shape, colour and motion together with the background's colour and pattern.
`scenes.sample_scene` never draws one of those in the file again, so clips encoded afterwards are free of
them; the clips that the weights were first trained on (`FIRST_CLIPS`) are checked here.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

import scenes

FIRST_CLIPS = range(1_000_000, 1_012_288)  # seeds of the 64x64 clips, which were drawn with `two` at 0.25
SEED = 20_000_000


def seen_before() -> set[tuple[str, ...]]:
    every = (scenes.draw_scene(np.random.default_rng(seed), two=0.25) for seed in FIRST_CLIPS)
    return {combination for scene in every for combination in scenes.combinations(scene)}


def asked(scene: scenes.Scene, said: dict[str, str]) -> dict:
    """What a prompt asks for; a size that it leaves open is null."""
    things = [
        {
            "shape": thing.shape,
            "colour": thing.colour,
            "motion": thing.motion,
            "size": None if said[f"size{i}"] == "any" else thing.size,
        }
        for i, thing in enumerate(scene.things)
    ]
    return {"things": things, "background": scene.background, "pattern": scene.pattern}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=240)
    args = parser.parse_args()

    rng, taken, rows = np.random.default_rng(SEED), seen_before(), []
    while len(rows) < args.count:
        scene = scenes.draw_scene(rng, two=float(len(rows) % 5 in (1, 3)))
        combinations = scenes.combinations(scene)
        if taken.isdisjoint(combinations):
            taken.update(combinations)  # and no two prompts share one
            text, said = scenes.caption(scene, rng)
            rows.append({"prompt": text, "seed": len(rows)} | asked(scene, said))
    args.out.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


if __name__ == "__main__":
    main()
