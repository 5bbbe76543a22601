"""Times flowblend and diffusers on the same weights, sizes, threads and number format, turn by turn.

    cargo build --release
    pip install -r tests/reference/requirements.txt
    python benches/compare/turn_by_turn.py target/release/flowblend

Every round runs flowblend, then the same work in diffusers, so that what else the machine does meets both. Medians
over the rounds, and diffusers' time over flowblend's: first the bundled pair at its defaults on the CPU in float32, its
parts and both whole programs from their start to an MP4 on disk, then the shapes of `shapes.py`. Rows that the machine
cannot do say so.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import shapes

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


def pair_rows(program, rounds, threads):
    """The table's rows of the bundled pair."""
    import torch

    bars = {"large step": 1.3, "small step": 1.3, "decode": 1, "generate, start to MP4": 2, "its peak memory": 3}
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
        for i in range(rounds):
            bench = [program, "bench", "--runs", "1", "--json", "--threads", str(threads), "--device", "cpu"]
            found = json.loads(subprocess.run(bench, check=True, capture_output=True).stdout)
            for figure in found["figures"]:
                if figure["name"] in ("large step", "small step", "decode"):
                    note(ours, figure["name"], figure["median"])
            for name, model in ("large step", pipe.transformer), ("small step", small):
                times = [timed(lambda: step(model, x, t, texts, pair["cfg"])) for _ in range(10)]
                note(theirs, name, statistics.median(times))
            note(theirs, "decode", statistics.median(timed(lambda: decode(pipe, x)) for _ in range(3)))
            generate = [program, "generate", pair["prompt"], "--seed", "1", "--out", f"{folder}/{i}.mp4"]
            generate += ["--threads", str(threads), "--device", "cpu"]
            script = [sys.executable, __file__, program, "--threads", str(threads), "--whole", f"{folder}/their{i}.mp4"]
            for table, command in (ours, generate), (theirs, script):
                secs, megabytes = run(command)
                note(table, "generate, start to MP4", secs)
                note(table, "its peak memory", megabytes)
    for name in ours:
        a, b = statistics.median(ours[name]), statistics.median(theirs[name])
        unit, factor = ("MB", 1) if "memory" in name else ("ms", 1000)
        ratios = sorted(y / x for x, y in zip(ours[name], theirs[name], strict=True))
        ratio = f"{b / a:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        yield [f"the pair: {name}", f"{a * factor:.0f} {unit}", f"{b * factor:.0f} {unit}", ratio, f"{bars[name]:g}", ""]


def instructions():
    """What the processor says it can do."""
    info = Path("/proc/cpuinfo")
    return info.read_text().split() if info.exists() else []


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=["pair", "shapes", "gpu"], help="this part of the table alone")
    parser.add_argument("--whole", help=argparse.SUPPRESS)
    args = parser.parse_args()

    import torch

    torch.set_num_threads(args.threads)
    if args.whole:
        return whole(args.whole)

    print(f"{args.threads} threads, float32, torch {torch.__version__}: medians of up to {args.rounds} rounds\n")
    print("| | flowblend | diffusers | ratio | bar | |\n|---|---:|---:|---:|---:|---|")
    common = (args.rounds, args.threads)
    if args.only in (None, "pair"):
        show(pair_rows(args.program, *common))
    if args.only in (None, "shapes"):
        show(shapes.rows(args.program, shapes.CPU, *common))
        if "avx512_bf16" in instructions():
            show(shapes.rows(args.program, shapes.CPU_BF16, *common))
        else:
            show([[shapes.CPU_BF16[0].name, "", "", "", "1", "not here: the processor has no AVX512-BF16"]])
    if args.only in (None, "gpu"):
        if torch.cuda.is_available():
            show(shapes.rows(args.program, shapes.GPU, *common, compiled=(False, True)))
        else:
            show([shape.name, "", "", "", f"{shape.bar:g}", "no GPU here"] for shape in shapes.GPU)


def show(rows):
    for cells in rows:
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
