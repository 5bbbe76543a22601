"""Single parts of models at published shapes, with random weights that both programs read from one folder.

`turn_by_turn.py` calls this: `rows` yields what its table shows. Run as a program it is diffusers' turn: it loads the
part of a folder, runs it on the numbers that flowblend wrote, and prints seconds, the difference and its peak memory.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

PAIR = Path(__file__).resolve().parents[2] / "models" / "demo"
PART = {"transformer": "velocity", "vae": "video", "text_encoder": "embeddings"}
WAN = dict(num_attention_heads=12, ffn_dim=8960, text_dim=4096)
WAN_14B = dict(num_attention_heads=40, num_layers=40, ffn_dim=13824, text_dim=4096)
LTX_13B = dict(attention_head_dim=128, cross_attention_dim=4096, num_layers=48)
UMT5 = dict(vocab_size=108, d_model=1024, d_kv=64, d_ff=2816, num_layers=4, num_heads=16, feed_forward_proj="gated-gelu")


@dataclass
class Shape:
    """One part at one size. `bar` is what diffusers' time over flowblend's should reach; `rounds` are the most."""

    name: str
    part: str
    size: tuple  # width, height, frames
    bar: float
    config: dict = field(default_factory=dict)
    family: str = "Wan"
    dtype: str = "f32"
    # Whether flowblend is told the number format; by itself it makes large products in integers on a CPU that is faster so.
    told: bool = True
    device: str = "cpu"
    rounds: int = 5

    @property
    def tolerance(self):
        """The largest difference over the root mean square of diffusers' numbers."""
        return 1e-3 if self.dtype == "f32" else 0.25


CPU = [
    Shape("WAN 1.3B, 4 of 30 layers, 2,048 tokens", "transformer", (256, 256, 29), 1.3, dict(WAN, num_layers=4), told=False),
    Shape("the same, 8,192 tokens", "transformer", (512, 512, 29), 1.3, dict(WAN, num_layers=4), told=False, rounds=3),
    Shape("WAN VAE at its full width, decode of 17x128x128", "vae", (128, 128, 17), 1.0),
    Shape("UMT5 of width 1024, 4 of 24 layers, 512 tokens", "text_encoder", (128, 128, 17), 1.0, UMT5, told=False),
    Shape("WAN 1.3B, 4 of 30 layers, 2,048 tokens, flowblend with --dtype f32", "transformer", (256, 256, 29), 1.0, dict(WAN, num_layers=4)),
]
CPU_BF16 = [
    Shape("WAN 1.3B, 4 of 30 layers, 2,048 tokens, bf16", "transformer", (256, 256, 29), 1.0, dict(WAN, num_layers=4), dtype="bf16"),
]
GPU = [
    Shape(f"{name}, {'x'.join(map(str, size))}, bf16", "transformer", size, 1.0, config, family, "bf16", "cuda", 3)
    for name, size, config, family in [
        ("WAN 1.3B", (832, 480, 81), dict(WAN, num_layers=30), "Wan"),
        ("WAN 14B", (832, 480, 81), WAN_14B, "Wan"),
        ("LTX 2B", (768, 512, 121), {}, "Ltx"),
        ("LTX 13B", (768, 512, 121), LTX_13B, "Ltx"),
    ]
]


def classes(family):
    """The classes of a family's parts."""
    import diffusers
    import transformers

    wan = family == "Wan"
    return {
        "transformer": diffusers.WanTransformer3DModel if wan else diffusers.LTXVideoTransformer3DModel,
        "vae": diffusers.AutoencoderKLWan if wan else diffusers.AutoencoderKLLTXVideo,
        "text_encoder": transformers.UMT5EncoderModel if wan else transformers.T5EncoderModel,
    }


def write(shape, folder):
    """The part with random weights, the same every time, as diffusers saves it."""
    import torch
    from transformers import UMT5Config

    torch.manual_seed(0)
    dtype = torch.float32 if shape.dtype == "f32" else torch.bfloat16
    made = classes(shape.family)[shape.part]
    with torch.device(shape.device):
        model = made(UMT5Config(**shape.config)) if shape.part == "text_encoder" else made(**shape.config)
    model.to(dtype).save_pretrained(folder / shape.part)
    if shape.part == "text_encoder":
        shutil.copytree(PAIR / "large" / "tokenizer", folder / "tokenizer")


def prompt():
    """Words enough for 512 tokens."""
    return " ".join([json.loads((PAIR / "pair.json").read_text())["prompt"]] * 64)


def theirs(folder, tensors, args):
    """Diffusers' turn."""
    import torch
    from safetensors.torch import load_file

    torch.set_num_threads(args.threads)
    dtype = torch.float32 if args.dtype == "f32" else torch.bfloat16
    made = classes(args.family)[args.part]
    model = made.from_pretrained(folder / args.part, torch_dtype=dtype).to(args.device).eval()
    given = {name: tensor.to(args.device) for name, tensor in load_file(tensors).items()}
    if args.part == "transformer":
        if args.compiled:
            model = torch.compile(model)
        latents, text = given["latents"].to(dtype), given["text"].to(dtype)
        time_step = torch.tensor([500.0], device=args.device)
        if args.family == "Wan":
            work = lambda: model(latents, time_step, text, return_dict=False)[0]
        else:
            frames, height, width = latents.shape[2:]
            # LTX's pipeline hands the transformer one row a position; 8 frames and 32 pixels make one, 25 frames a second.
            packed = latents.flatten(2).transpose(1, 2).contiguous()
            mask = torch.ones(1, text.shape[1], device=args.device)
            scale = (8 / 25, 32, 32)
            call = dict(timestep=time_step, encoder_attention_mask=mask, num_frames=frames, height=height, width=width)
            call |= dict(rope_interpolation_scale=scale, return_dict=False)
            work = lambda: model(packed, text, **call)[0].transpose(1, 2).reshape(latents.shape)
    elif args.part == "vae":
        mean, std = (torch.tensor(v).view(1, -1, 1, 1, 1) for v in (model.config.latents_mean, model.config.latents_std))
        latents = (given["latents"] * std + mean).to(dtype)
        work = lambda: model.decode(latents, return_dict=False)[0].clamp(-1, 1)
    else:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
        encoded = tokenizer(prompt(), max_length=512, padding="max_length", truncation=True, return_tensors="pt")
        ids, mask = encoded.input_ids.to(args.device), encoded.attention_mask.to(args.device)
        work = lambda: model(ids, mask).last_hidden_state

    def timed():
        start = time.perf_counter()
        result = work()
        if args.device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter() - start, result

    with torch.no_grad():
        _, result = timed()
        secs = statistics.median(timed()[0] for _ in range(args.runs))
        side = 2048 if args.device == "cpu" else 8192
        matrix = torch.ones(side, side, dtype=dtype, device=args.device)
        work = lambda: matrix @ matrix
        product = 2 * side**3 / min(timed()[0] for _ in range(6))
    want = result.float().cpu()
    got = load_file(tensors)[PART[args.part]]
    difference = ((got - want).abs().max() / want.square().mean().sqrt()).item()
    status = Path("/proc/self/status").read_text()
    peak = next((1024 * int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)
    print(json.dumps(dict(secs=secs, difference=difference, product=product, peak=peak)))


def read(command):
    """The last line of what a command prints, as JSON; what it complains of where it fails."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(program, shape, rounds, threads, compiled=(False,)):
    """Turn by turn: flowblend, then diffusers once for each of `compiled`. Yields `(compiled, figures)` where figures
    are lists over the rounds."""
    found = {which: [] for which in compiled}
    with tempfile.TemporaryDirectory() as temporary:
        folder, tensors = Path(temporary) / "model", Path(temporary) / "tensors.safetensors"
        width, height, frames = shape.size
        writer = [sys.executable, __file__, folder, "--write", shape.name]
        subprocess.run(list(map(str, writer)), check=True)
        runs = 1 if shape.device == "cpu" else 5
        for _ in range(min(rounds, shape.rounds)):
            ours = [program, "bench", "--parts", folder, "--size", f"{width}x{height}", "--frames", frames]
            ours += ["--runs", runs, "--threads", threads, "--device", shape.device]
            ours += ["--dtype", shape.dtype] if shape.told else []
            ours = read([*ours, "--prompt", prompt(), "--tensors", tensors, "--overwrite", "--json"])
            for which in compiled:
                their = [sys.executable, __file__, folder, "--tensors", tensors, "--part", shape.part]
                their += ["--family", shape.family, "--dtype", shape.dtype, "--device", shape.device]
                their = read([*their, "--threads", threads, "--runs", runs, *(["--compiled"] if which else [])])
                found[which].append((ours, their))
    yield from found.items()


def rows(program, shapes, rounds, threads, compiled=(False,)):
    """Cells of the table: name, flowblend, diffusers, ratio, bar, and a note."""
    for shape in shapes:
        for which, pairs in measure(program, shape, rounds, threads, compiled):
            parts = [ours["parts"][0] for ours, _ in pairs]
            a, b = [part["secs"]["median"] for part in parts], [their["secs"] for _, their in pairs]
            ratios = sorted(y / x for x, y in zip(a, b, strict=True))
            difference = max(their["difference"] for _, their in pairs)
            verdict = "within" if difference <= shape.tolerance else "NOT within"
            notes = [f"differ by {difference:.1e} of the root mean square, {verdict} {shape.tolerance:g}"]
            rate = parts[0]["flops_a_second"]
            if rate is not None:
                rate = statistics.median(part["flops_a_second"] for part in parts)
                best = max(max(ours["product_flops_a_second"], their["product"]) for ours, their in pairs)
                made = "products in integers, " if pairs[0][0]["integers"] else ""
                notes.append(f"{made}{rate / 1e9:.0f} of {best / 1e9:.0f} GFLOP/s, {100 * rate / best:.0f} %")
            if shape.device == "cpu":
                peaks = [statistics.median(x) / 1e9 for x in zip(*((o["peak_rss_bytes"], t["peak"]) for o, t in pairs))]
                notes.append(f"peak memory {peaks[0]:.2f} and {peaks[1]:.2f} GB")
            their_way = {False: "", True: " (compiled)"}[which] if shape.device != "cpu" else ""
            cells = [shape.name, seconds(a), seconds(b) + their_way]
            cells += [f"{statistics.median(b) / statistics.median(a):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"]
            yield [*cells, f"{shape.bar:g}", "; ".join(notes)]


def seconds(values):
    return f"{1000 * statistics.median(values):.0f} ms"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--write", help="name of the shape to write there")
    parser.add_argument("--tensors", type=Path)
    parser.add_argument("--part", choices=PART)
    parser.add_argument("--family", default="Wan")
    parser.add_argument("--dtype", default="f32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--compiled", action="store_true")
    args = parser.parse_args()
    if args.write:
        return write(next(shape for shape in CPU + CPU_BF16 + GPU if shape.name == args.write), args.folder)
    theirs(args.folder, args.tensors, args)


if __name__ == "__main__":
    main()
