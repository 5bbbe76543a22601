"""Put the trained parts together as a pair of models in diffusers layout.

    python export.py --work work --out models/demo

`--work` holds vae.pt, text/, latents/stats.json, preview.json, large.pt, small.pt and, where one was trained, distilled.pt. Averaged weights are
written, in float16. What is at `--out` already, such as this program, stays; only what it writes is replaced.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanPipeline
from transformers import PreTrainedTokenizerFast, UMT5EncoderModel

import scenes
import wan_vae
from common import FRAMES, SIZE
from train_text import MAX_TOKENS
from train_transformer import build

PRESETS = Path(__file__).with_name("presets.json")  # prompts and seeds that show the pair at its best


def vae_of(work: Path) -> AutoencoderKLWan:
    stats = json.loads((work / "latents" / "stats.json").read_text())
    vae = wan_vae.load(work / "vae.pt")
    vae.register_to_config(latents_mean=stats["mean"], latents_std=stats["std"])
    return vae


def transformer_of(work: Path, size: str, name: str | None = None):
    model, checkpoint = build(size), work / f"{name or size}.pt"
    if checkpoint.exists():
        model.load_state_dict(torch.load(checkpoint)["ema"])
    return model


def pair(args: argparse.Namespace) -> dict:
    """What a program needs to know to run the two models together."""
    distilled = {}
    if (args.work / "distilled.pt").exists():
        levels = [1 - i / args.jumps for i in range(args.jumps + 1)]
        distilled = {"distilled": "distilled", "distilled_sigmas": levels}
    return {
        "name": "demo",
        "licence": "MIT",
        "large": "large",
        "small": "small",
        **distilled,
        "width": args.width,
        "height": args.height,
        "frames": args.frames,
        "fps": 12,
        "steps": args.steps,
        "shift": args.shift,
        "cfg": args.cfg,
        "boundaries": args.boundaries,
        "text_tokens": MAX_TOKENS,
        "seed": args.first_seed,
        "prompt": args.prompt,
        "negative": "",
        "preview": json.loads((args.work / "preview.json").read_text()),
        "vocabulary": scenes.vocabulary(),
        "presets": json.loads(PRESETS.read_text()),
    }


def tidy(out: Path):
    """Leave out where parts were read from, and name the tokenizer as every version of transformers knows it."""
    renamed = {"TokenizersBackend": "PreTrainedTokenizerFast"}
    for path in [*out.rglob("*config.json"), *out.rglob("model_index.json")]:
        text = path.read_text()
        for new, old in renamed.items():
            text = text.replace(f'"{new}"', f'"{old}"')
        config = json.loads(text)
        for key in ("_name_or_path", "is_local", "local_files_only", "backend"):
            config.pop(key, None)
        path.write_text(json.dumps(config, indent=2) + "\n")
    for path in out.rglob("*.safetensors"):
        path.chmod(0o644)


def write(args: argparse.Namespace, out: Path):
    WanPipeline(
        tokenizer=PreTrainedTokenizerFast.from_pretrained(args.work / "text" / "tokenizer"),
        text_encoder=UMT5EncoderModel.from_pretrained(args.work / "text" / "text_encoder").half(),
        transformer=transformer_of(args.work, "large").half(),
        vae=vae_of(args.work).half(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=args.shift),
    ).save_pretrained(out / "large")
    for name in ("small", "distilled"):
        if name == "small" or (args.work / "distilled.pt").exists():
            transformer_of(args.work, "small", name).half().save_pretrained(out / name / "transformer")
    index = json.loads((out / "large" / "model_index.json").read_text())
    kept = {k: v for k, v in index.items() if k.startswith("_") or k == "transformer"}
    (out / "small" / "model_index.json").write_text(json.dumps(kept, indent=2) + "\n")
    tidy(out)
    (out / "pair.json").write_text(json.dumps(pair(args), indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--width", type=int, default=SIZE)
    parser.add_argument("--height", type=int, default=SIZE)
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--jumps", type=int, default=8, help="that the distilled model was taught")
    parser.add_argument("--shift", type=float, default=1.0)
    parser.add_argument("--cfg", type=float, default=3.0)
    parser.add_argument("--boundaries", type=float, nargs=2, default=[0.4333, 0.9333])
    parser.add_argument("--first-seed", type=int, default=13, help="of the noise a fresh window starts with")
    parser.add_argument("--prompt", default="a red circle bouncing over a blue background")
    args = parser.parse_args()

    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.out.parent) as folder:
        made = Path(folder) / "made"
        write(args, made)
        for part in ("large", "small", "distilled", "pair.json"):
            old = args.out / part
            if old.exists():
                old.rename(Path(folder) / f"old-{part}")
            if (made / part).exists():
                (made / part).rename(old)
    for path in sorted(args.out.rglob("*.safetensors")):
        print(f"{path.stat().st_size / 1e6:7.2f} MB  {path.relative_to(args.out)}")


if __name__ == "__main__":
    main()
