"""Times flowblend and stable-diffusion.cpp on one WAN 1.3B of random weights, turn by turn, on the CPU in float32.

    cargo build --release
    pip install -r tests/reference/requirements.txt stable-diffusion-cpp-python==0.4.7
    python benches/compare/stable_diffusion_cpp.py target/release/flowblend

stable-diffusion.cpp knows WAN by its layers, 30 or 40, and fixes every width, so the transformer and the VAE are those that
were published, 6.2 GB of numbers. Its text encoder would take 11 GB more and is left out: the text is then zeros. It draws
its own noise, so what comes out cannot be compared, only seconds and memory.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NAMES = Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "full_size"
SIZE = (256, 256, 5)  # 512 tokens


def write(folder):
    """Transformer and VAE under their authors' names."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    for names, file in ("wan-1.3b", "diffusion_pytorch_model"), ("wan-vae", "Wan2.1_VAE"):
        tensors = {}
        for line in (NAMES / f"{names}.native.txt").read_text().splitlines():
            name, _, shape = line.split()
            shape = [int(size) for size in shape.split("x")]
            is_norm = "norm" in name or name.endswith("gamma")
            tensors[name] = torch.ones(shape) if is_norm else 0.02 * torch.randn(shape)
        save_file(tensors, folder / f"{file}.safetensors")


def peer(folder, threads):
    """stable-diffusion.cpp's turn: two steps without guidance, of which the second counts, and the decode."""
    from stable_diffusion_cpp import StableDiffusion

    width, height, frames = SIZE
    model = StableDiffusion(
        diffusion_model_path=str(folder / "diffusion_pytorch_model.safetensors"),
        vae_path=str(folder / "Wan2.1_VAE.safetensors"),
        n_threads=threads, vae_decode_only=True, diffusion_flash_attn=True, verbose=False,
    )
    marks = []
    model.generate_video(
        prompt="a red circle", width=width, height=height, video_frames=frames, sample_steps=2, cfg_scale=1.0,
        sample_method="euler", flow_shift=3.0, seed=1, progress_callback=lambda *_: marks.append(time.perf_counter()),
    )
    status = Path("/proc/self/status").read_text()
    peak = next(1024 * int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    print(json.dumps(dict(marks=marks, end=time.perf_counter(), peak=peak)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peer", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        return peer(args.peer, args.threads)
    width, height, frames = SIZE
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write(folder)
        bench = [args.program, "bench", "--parts", folder, "--size", f"{width}x{height}", "--frames", frames, "--runs", 1]
        bench += ["--threads", args.threads, "--device", "cpu", "--json"]
        for _ in range(args.rounds):
            ours.append(read(bench))
            theirs.append(read([sys.executable, __file__, args.program, "--threads", args.threads, "--peer", folder]))
    print("| | flowblend | stable-diffusion.cpp | ratio |\n|---|---:|---:|---:|")
    for i, name in enumerate(["WAN 1.3B, 512 tokens, a pass", "decode of 5x256x256"]):
        a = [found["parts"][i]["secs"]["median"] for found in ours]
        b = [([*found["marks"], found["end"]][-2 + i] - [*found["marks"], found["end"]][-3 + i]) for found in theirs]
        ratios = sorted(y / x for x, y in zip(a, b, strict=True))
        a, b = statistics.median(a), statistics.median(b)
        print(f"| {name} | {a:.2f} s | {b:.2f} s | {b / a:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) |")
    a, b = (statistics.median(found[key] for found in table) / 1e9 for table, key in ((ours, "peak_rss_bytes"), (theirs, "peak")))
    print(f"| peak memory | {a:.2f} GB | {b:.2f} GB | {b / a:.2f} |")


def read(command):
    """The last line of what a command prints, as JSON."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
