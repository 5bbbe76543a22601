"""Checks that diffusers, given the same folders, initial latents and plan, gives flowblend's clip.

    python tests/reference/same_clip.py target/release/flowblend models/demo/large models/demo/small

What is not asked for is as the pair.json beside the large model says, where there is one.

flowblend renders to PNGs and keeps its trajectory; diffusers starts from that trajectory's initial
noise, takes the same model at every step, and decodes. Prints the largest difference of the latents
after each step and the mean absolute difference of the frames, and fails above 1/255.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from diffusers import WanPipeline, WanTransformer3DModel
from PIL import Image
from safetensors.torch import load_file


def flowblend(args, plan, folder):
    """Runs flowblend; returns its frames [F, H, W, 3] in 0..1 and its trajectory's folder."""
    command = [args.program, "generate", args.prompt, "--large", args.large, "--small", args.small]
    command += ["--plan", plan, "--boundaries", ",".join(map(str, args.boundaries))]
    command += ["--steps", str(args.steps), "--shift", str(args.shift), "--cfg", str(args.cfg)]
    command += ["--size", args.size, "--frames", str(args.frames), "--fps", "12", "--seed", "1", "--device", "cpu"]
    command += ["--out", f"{folder}/frames", "--save-trajectory", f"{folder}/trajectory"]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    files = sorted(Path(folder, "frames").glob("*.png"))
    return np.stack([np.asarray(Image.open(f).convert("RGB")) for f in files]) / 255.0


@torch.no_grad()
def reference(args, pipe, small, run, trajectory):
    """The same run in diffusers; returns its frames and prints how far the latents are apart."""
    x = load_file(trajectory / run["initial"])["latents"]
    tokens = min(pipe.tokenizer.model_max_length, 512)
    prompt, negative = pipe.encode_prompt(args.prompt, "", max_sequence_length=tokens)
    scheduler = pipe.scheduler
    scheduler.set_timesteps(args.steps)
    worst = 0.0
    for t, step in zip(scheduler.timesteps, run["steps"], strict=True):
        model = pipe.transformer if step["model"] == "large" else small
        time = t.expand(1)
        velocity = model(x, time, prompt).sample
        if args.cfg != 1.0:
            away = model(x, time, negative).sample
            velocity = away + args.cfg * (velocity - away)
        x = scheduler.step(velocity, t, x).prev_sample
        ours = load_file(trajectory / step["file"])["latents"]
        worst = max(worst, float((ours - x).norm() / x.norm()))
    print(f"  latents: at most {worst:.2e} apart (relative l2)")
    config = pipe.vae.config
    mean, std = (torch.tensor(v).view(1, -1, 1, 1, 1) for v in (config.latents_mean, config.latents_std))
    video = pipe.vae.decode(x * std + mean).sample
    return pipe.video_processor.postprocess_video(video, output_type="np")[0]


def fill(args):
    """Takes from the pair's own defaults what was not given."""
    small = {"boundaries": [0.4, 0.8], "steps": 30, "shift": 1.0, "cfg": 3.0, "width": 64, "height": 64, "frames": 17}
    file = Path(args.large).parent / "pair.json"
    own = small | (json.loads(file.read_text()) if file.exists() else {})
    own["size"] = f"{own['width']}x{own['height']}"
    for name in ("boundaries", "steps", "shift", "cfg", "size", "frames"):
        if getattr(args, name) is None:
            setattr(args, name, own[name])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("large")
    parser.add_argument("small")
    parser.add_argument("--prompt", default="a red circle bouncing over a blue background")
    parser.add_argument("--plans", nargs="+", default=["LSL", "LLL", "SSS"])
    parser.add_argument("--boundaries", nargs=2, type=float)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--shift", type=float)
    parser.add_argument("--cfg", type=float)
    parser.add_argument("--size", help="WxH")
    parser.add_argument("--frames", type=int)
    args = parser.parse_args()
    fill(args)

    pipe = WanPipeline.from_pretrained(args.large, torch_dtype=torch.float32)
    pipe.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config, shift=args.shift)
    small = WanTransformer3DModel.from_pretrained(f"{args.small}/transformer", torch_dtype=torch.float32)
    failed = False
    for plan in args.plans:
        print(plan)
        with tempfile.TemporaryDirectory() as folder:
            ours = flowblend(args, plan, folder)
            trajectory = Path(folder, "trajectory")
            run = json.loads((trajectory / "run.json").read_text())
            theirs = reference(args, pipe, small, run, trajectory)
        # Compared as the bytes a file would hold.
        difference = np.abs(ours - np.round(theirs * 255) / 255)
        mean = float(difference.mean())
        print(f"  frames: {mean * 255:.4f}/255 apart in the mean, {difference.max() * 255:.0f}/255 at most")
        failed |= not (ours.shape == theirs.shape and mean < 1 / 255)
    sys.exit(failed)


if __name__ == "__main__":
    main()
