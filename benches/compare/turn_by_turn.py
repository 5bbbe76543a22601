"""Times flowblend and diffusers on the same weights, sizes, threads and number format, turn by turn.

    cargo build --release
    pip install -r tests/reference/requirements.txt
    python benches/compare/turn_by_turn.py target/release/flowblend

Every round runs flowblend's bench, then the same parts in diffusers, then both whole programs from their start to
an MP4 on disk, so that what else the machine does meets both. Medians over the rounds, and diffusers' time over
flowblend's. The bundled pair at its defaults, on the CPU in float32.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAIR = ROOT / "models" / "demo"


def load():
    """The pipeline of the large model, the small transformer, and what pair.json says of a run."""
    import torch
    from diffusers import WanPipeline, WanTransformer3DModel

    pair = json.loads((PAIR / "pair.json").read_text())
    pipe = WanPipeline.from_pretrained(PAIR / "large", torch_dtype=torch.float32)
    pipe.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config, shift=pair["shift"])
    pipe.set_progress_bar_config(disable=True)
    small = WanTransformer3DModel.from_pretrained(PAIR / "small" / "transformer", torch_dtype=torch.float32)
    return pipe, small, pair


def noise(pair):
    import torch

    shape = (1, 16, (pair["frames"] - 1) // 4 + 1, pair["height"] // 8, pair["width"] // 8)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def step(model, x, timestep, texts, cfg):
    """A guided velocity: both passes."""
    prompt, negative = (model(x, timestep, text).sample for text in texts)
    return negative + cfg * (prompt - negative)


def decode(pipe, x):
    import torch

    config = pipe.vae.config
    mean, std = (torch.tensor(v).view(1, -1, 1, 1, 1) for v in (config.latents_mean, config.latents_std))
    return pipe.video_processor.postprocess_video(pipe.vae.decode(x * std + mean).sample, output_type="np")[0]


def whole(out):
    """LSL at the pair's boundaries, from nothing to an MP4, as flowblend's generate does it."""
    import torch

    pipe, small, pair = load()
    with torch.no_grad():
        texts = pipe.encode_prompt(pair["prompt"], "", max_sequence_length=pair["text_tokens"])
        early, late = (round(b * pair["steps"]) for b in pair["boundaries"])
        x = noise(pair)
        pipe.scheduler.set_timesteps(pair["steps"])
        for i, t in enumerate(pipe.scheduler.timesteps):
            model = small if early <= i < late else pipe.transformer
            x = pipe.scheduler.step(step(model, x, t.expand(1), texts, pair["cfg"]), t, x).prev_sample
        frames = (decode(pipe, x) * 255).round().astype("uint8")
    size = f"{pair['width']}x{pair['height']}"
    command = ["ffmpeg", "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size]
    command += ["-r", str(pair["fps"]), "-i", "-", "-c:v", "libx264", "-crf", "18", "-pix_fmt", "yuv420p", out]
    subprocess.run(command, input=frames.tobytes(), check=True)


def timed(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def run(command):
    """Seconds and peak megabytes of a program. What the kernel counts for a child holds its parent's pages too, so
    the program's own high water is read while it runs."""
    start, peak = time.perf_counter(), 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            status = Path(f"/proc/{process.pid}/status").read_text()
            name = Path(f"/proc/{process.pid}/exe")
            marks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
            if marks and name.exists() and name.resolve() == Path(command[0]).resolve():
                peak = max(peak, int(marks[0]))
            time.sleep(0.005)
        secs = time.perf_counter() - start
    if process.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed")
    return secs, peak / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--whole", help=argparse.SUPPRESS)
    args = parser.parse_args()

    import torch

    torch.set_num_threads(args.threads)
    if args.whole:
        return whole(args.whole)

    pipe, small, pair = load()
    ours, theirs = {}, {}

    def note(table, name, value):
        table.setdefault(name, []).append(value)

    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        texts = pipe.encode_prompt(pair["prompt"], "", max_sequence_length=pair["text_tokens"])
        x, t = noise(pair), torch.tensor([500.0])
        for name, model in ("large step", pipe.transformer), ("small step", small):
            step(model, x, t, texts, pair["cfg"])
        decode(pipe, x)
        for i in range(args.rounds):
            bench = [args.program, "bench", "--runs", "1", "--json", "--threads", str(args.threads), "--device", "cpu"]
            found = json.loads(subprocess.run(bench, check=True, capture_output=True).stdout)
            for figure in found["figures"]:
                if figure["name"] in ("large step", "small step", "decode"):
                    note(ours, figure["name"], figure["median"])
            for name, model in ("large step", pipe.transformer), ("small step", small):
                times = [timed(lambda: step(model, x, t, texts, pair["cfg"])) for _ in range(10)]
                note(theirs, name, statistics.median(times))
            note(theirs, "decode", statistics.median(timed(lambda: decode(pipe, x)) for _ in range(3)))
            generate = [args.program, "generate", pair["prompt"], "--seed", "1", "--out", f"{folder}/{i}.mp4"]
            generate += ["--threads", str(args.threads), "--device", "cpu"]
            script = [sys.executable, __file__, args.program, "--threads", str(args.threads), "--whole", f"{folder}/their{i}.mp4"]
            for table, command in (ours, generate), (theirs, script):
                secs, megabytes = run(command)
                note(table, "generate, start to MP4", secs)
                note(table, "its peak memory", megabytes)

    print(f"The bundled pair, {args.threads} threads, float32, torch {torch.__version__}: medians of {args.rounds} rounds\n")
    print("| | flowblend | diffusers | ratio |\n|---|---:|---:|---:|")
    for name in ours:
        a, b = statistics.median(ours[name]), statistics.median(theirs[name])
        unit, factor = ("MB", 1) if "memory" in name else ("ms", 1000)
        ratios = sorted(y / x for x, y in zip(ours[name], theirs[name], strict=True))
        print(f"| {name} | {a * factor:.0f} {unit} | {b * factor:.0f} {unit} | {b / a:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) |")


if __name__ == "__main__":
    main()
