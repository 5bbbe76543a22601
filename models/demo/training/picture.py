"""Make the README's moving picture: LLL, LSL and SSS side by side from the same noise, with their times.

    python picture.py --program ../../../target/release/flowblend --out ../../../assets/plans.gif

A row is one of the pair's presets. The times are those of the denoise as the program measures it, each the
median of `--runs` runs of all rows, the plans in turn.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

FONTS = Path(__file__).parents[3] / "assets" / "fonts"
PLANS = {"LLL": "large throughout", "LSL": "large, small, large", "SSS": "small throughout"}
INK, QUIET, PAPER = "#e6e6e6", "#9a9a9a", "#17181a"
SCALE, GAP, HEAD, CAPTION = 2, 8, 52, 24  # pixels but for SCALE


def clip(program: Path, folder: Path, plan: str, preset: dict) -> tuple[float, list[Image.Image]]:
    """Seconds of the denoise and the frames."""
    command = [program, "generate", preset["prompt"], "--plan", plan, "--seed", str(preset["seed"])]
    done = subprocess.run(
        [*command, "--out", folder, "--overwrite", "--json"], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)["denoise_secs"], [Image.open(p).convert("RGB") for p in sorted(folder.glob("*.png"))]


def page(frames: list[list[Image.Image]], heads: list[tuple[str, str]], captions: list[str]) -> Image.Image:
    """One picture of the animation: `frames[row][column]`."""
    bold, plain = (ImageFont.truetype(FONTS / f"Inter-{weight}.otf", 15) for weight in ("SemiBold", "Regular"))
    width, height = (SCALE * side for side in frames[0][0].size)
    columns, rows = len(heads), len(captions)
    size = (columns * (width + GAP) + GAP, HEAD + rows * (height + CAPTION + GAP))
    made = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(made)
    for column, (name, note) in enumerate(heads):
        x = GAP + column * (width + GAP)
        draw.text((x, 8), name, INK, bold)
        draw.text((x, 28), note, QUIET, plain)
        for row in range(rows):
            y = HEAD + row * (height + CAPTION + GAP)
            made.paste(frames[row][column].resize((width, height), Image.Resampling.BICUBIC), (x, y))
    for row, text in enumerate(captions):
        draw.text((GAP, HEAD + row * (height + CAPTION + GAP) + height + 3), text, QUIET, plain)
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--presets", type=int, nargs="+", default=[0, 1, 2], help="which of them, from 0")
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()

    known = json.loads((Path(__file__).parents[1] / "pair.json").read_text())
    presets = [known["presets"][i] for i in args.presets]
    secs = {plan: [] for plan in PLANS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(args.runs):
            clips = {}
            for row, preset in enumerate(presets):
                for plan in PLANS:
                    spent, clips[row, plan] = clip(args.program, Path(folder) / f"{row}-{plan}", plan, preset)
                    secs[plan].append(spent)
    heads = [(f"{plan}  {statistics.median(secs[plan]):.2f} s", note) for plan, note in PLANS.items()]
    print(*(head for head, _ in heads), sep="\n")
    pages = [
        page([[clips[row, plan][i] for plan in PLANS] for row in range(len(presets))], heads, [p["prompt"] for p in presets])
        for i in range(known["frames"])
    ]
    # One palette for all pages: colours that change from frame to frame would flicker.
    sample = Image.fromarray(np.concatenate([np.asarray(p) for p in pages[::6]]))
    palette = sample.quantize(255, Image.Quantize.MEDIANCUT)
    pages = [p.quantize(palette=palette, dither=Image.Dither.NONE) for p in pages]
    pages[0].save(args.out, save_all=True, append_images=pages[1:], duration=round(1000 / known["fps"]), loop=0)


if __name__ == "__main__":
    main()
