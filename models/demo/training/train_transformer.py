"""Train a Wan transformer on encoded clips by flow matching. Resumes from its checkpoint; stops on time.

    python train_transformer.py large --latents work/latents --text work/text --out work/large.pt --minutes 80

At time s in (0, 1) the model sees (1 - s) * clip + s * noise, in normalised latents, and is to name
noise - clip. With `--teacher` it is to name what a larger trained one names there, which says the same as
the mean of many clips would and so teaches a small model faster. With `--jumps 8` as well it is to name the
mean of the teacher's guided velocities from s down to the next of eight equal levels of noise: one step then
goes as far as several did, and needs no second pass for the guidance.

On a CPU, `--workers 2` shares each batch between two single-threaded processes, which loses less on a busy
machine than threads that wait for one another. On a GPU (`--device cuda`), `--loaders` processes word the
captions.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import os
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from diffusers import WanTransformer3DModel
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import AutoTokenizer, UMT5EncoderModel

import scenes
from common import FRAMES, SIZE, Average, Budget, Optimiser, Team, log, save_atomic
from encode_latents import scene_of
from train_text import MAX_TOKENS

SIZES = {  # heads of 32, layers, feed-forward width; 3.6 to 1 in work per step
    "large": dict(num_attention_heads=6, num_layers=7, ffn_dim=768),
    "small": dict(num_attention_heads=4, num_layers=4, ffn_dim=512),
}
OTHER = ("patch_embedding", "condition_embedder", "proj_out", "scale_shift_table")  # left to AdamW


def build(size: str) -> WanTransformer3DModel:
    return WanTransformer3DModel(
        patch_size=(1, 2, 2),
        attention_head_dim=32,
        in_channels=16,
        out_channels=16,
        text_dim=128,
        freq_dim=256,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        eps=1e-6,
        rope_max_seq_len=1024,
        **SIZES[size],
    )


def start_from(model: WanTransformer3DModel, folder: Path):
    """Go on from an exported transformer. The layers it lacks begin as its last one with nothing to add."""
    old = WanTransformer3DModel.from_pretrained(folder, torch_dtype=torch.float32)
    for i in range(len(old.blocks), len(model.blocks)):
        old.blocks.append(copy.deepcopy(old.blocks[i - 1]))
        for last in (old.blocks[i].attn1.to_out[0], old.blocks[i].attn2.to_out[0], old.blocks[i].ffn.net[2]):
            torch.nn.init.zeros_(last.weight)
            torch.nn.init.zeros_(last.bias)
    model.load_state_dict(old.state_dict())


def wait_for(folder: Path):
    """Until another of these programs has exported its model."""
    while not folder.exists():
        time.sleep(0.2)


class Prompts:
    """The frozen text encoder: texts to embeddings [B, 64, D], zero after each text's own length."""

    def __init__(self, folder: Path, device: str = "cpu"):
        self.tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
        encoder = UMT5EncoderModel.from_pretrained(folder / "text_encoder", torch_dtype=torch.float32)
        self.encoder = encoder.to(device).eval().requires_grad_(False)

    def words(self, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Pieces and which of them count, each [B, N]."""
        words = self.tokenizer(texts, padding=True, return_tensors="pt")
        return words.input_ids, words.attention_mask

    @torch.no_grad()
    def embed(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        out = self.encoder(ids, mask).last_hidden_state * mask[..., None]
        return torch.nn.functional.pad(out, (0, 0, 0, MAX_TOKENS - out.shape[1]))

    def __call__(self, texts: list[str]) -> torch.Tensor:
        return self.embed(*(t.to(self.encoder.device) for t in self.words(texts)))


class Latents:
    """All shards written so far, normalised on the way out."""

    def __init__(self, folder: Path, device: str = "cpu"):
        self.folder, self.device, self.shards, self.looked = folder, device, {}, -1e9
        stats = json.loads((folder / "stats.json").read_text())
        self.mean, self.std = (torch.tensor(stats[k], device=device).view(1, -1, 1, 1, 1) for k in ("mean", "std"))

    def refresh(self, every: float = 30):
        if time.monotonic() - self.looked < every:
            return
        self.looked = time.monotonic()
        for path in sorted(self.folder.glob("shard-*.pt")):
            if path not in self.shards:
                shard = torch.load(path)
                shard["latents"] = shard["latents"].to(self.device)
                self.shards[path] = shard
        parts = [shard["latents"] for shard in self.shards.values()]
        self.all = torch.cat(parts) if parts else torch.empty(0)
        self.scenes = [(shard["seed"], shard.get("two", scenes.TWO)) for shard in self.shards.values()]
        self.starts = np.cumsum([0, *(len(shard["latents"]) for shard in self.shards.values())])

    def __len__(self):
        return len(self.all)

    def clips(self, picks: torch.Tensor) -> torch.Tensor:
        """The clips [N, 16, T, H, W] at the places `picks`."""
        return (self.all[picks.to(self.device)].float() - self.mean) / self.std

    def scene(self, pick: int) -> scenes.Scene:
        shard = int(np.searchsorted(self.starts, pick, "right")) - 1
        seed, two = self.scenes[shard]
        return scene_of(seed + int(pick - self.starts[shard]), two)


class Draws(torch.utils.data.IterableDataset):
    """For every step which clips are drawn, and captions of them in pieces: what needs no accelerator."""

    def __init__(self, data: Latents, prompts: Prompts, seed: tuple[int, ...], count: int, drop: float):
        self.data, self.prompts, self.seed, self.count, self.drop, self.first = data, prompts, seed, count, drop, 0

    def draw(self, step: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Places of the clips [N], pieces and which of them count, each [N, n]."""
        rng = np.random.default_rng([*self.seed, step])
        picks = rng.integers(len(self.data), size=self.count)
        shown = [self.data.scene(pick) for pick in picks]
        texts = [scenes.caption(scene, rng)[0] if rng.uniform() > self.drop else "" for scene in shown]
        return torch.from_numpy(picks), *self.prompts.words(texts)

    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        first, every = (worker.id, worker.num_workers) if worker else (0, 1)
        return map(self.draw, itertools.count(self.first + first, every))


def times_of(count: int, device: str, even: bool) -> torch.Tensor:
    """Times in (0, 1], one per slice of their distribution: logit-normal, or with `even` uniform."""
    quantiles = (torch.arange(count, device=device) + torch.rand(count, device=device)) / count
    if even:
        return quantiles.clamp(1e-3, 1)
    return torch.sigmoid(torch.special.ndtri(quantiles.clamp(1e-4, 1 - 1e-4)))


def snapped(times: torch.Tensor, jumps: int) -> torch.Tensor:
    """Every second time moved up to one of the levels 1/jumps, 2/jumps ... 1, where whole runs ask."""
    levels = (times * jumps).ceil().clamp(1, jumps) / jumps
    return torch.where(torch.arange(len(times), device=times.device) % 2 == 0, levels, times)


def mean_velocity(wise, noisy, times, embeds, none, jumps: int, cfg: float, parts: int = 4) -> torch.Tensor:
    """The mean guided velocity of `wise` from `times` down to the next lower level, in so many Euler steps."""
    ends = ((times * jumps - 1e-3).ceil() - 1).clamp(0) / jumps
    x, gap = noisy, (times - ends).view(-1, 1, 1, 1, 1)
    for part in range(parts):
        now = 1000 * (times - (times - ends) * part / parts)
        told, free = wise(torch.cat([x, x]), torch.cat([now, now]), torch.cat([embeds, none]), return_dict=False)[0].chunk(2)
        x = x - gap / parts * (free + cfg * (told - free)).float()
    return (noisy - x) / gap


def train(rank: int, args: argparse.Namespace):
    torch.manual_seed(args.seed)
    gpu = args.device != "cpu"
    team = Team(rank, args.workers, args.out)
    prompts = Prompts(args.text, args.device)
    model = build(args.size).to(args.device)
    wise = build("large").to(args.device).eval().requires_grad_(False) if args.teacher else None
    if args.compile:
        for block in [*model.blocks, *(wise.blocks if wise else [])]:
            block.compile()
    nothing = prompts([""])

    def loss_of(clips: torch.Tensor, embeds: torch.Tensor) -> torch.Tensor:
        times = times_of(len(clips), args.device, even=args.jumps > 0)
        if args.jumps:
            times = snapped(times, args.jumps)
        noise, s = torch.randn_like(clips), times.view(-1, 1, 1, 1, 1)
        noisy, target = (1 - s) * clips + s * noise, noise - clips
        # Of the attentions for bfloat16 on CPUs, the plain one has by far the fastest backward pass.
        plain = nullcontext() if gpu else sdpa_kernel(SDPBackend.MATH)
        with torch.autocast(args.device, torch.bfloat16), plain:
            made = model(noisy, 1000 * times, embeds, return_dict=False)[0]
            with torch.no_grad():
                if args.jumps:
                    target = mean_velocity(wise, noisy, times, embeds, nothing.expand_as(embeds), args.jumps, args.cfg)
                elif wise:
                    target = wise(noisy, 1000 * times, embeds, return_dict=False)[0].float()
        return (made.float() - target).square().mean()

    count = args.batch // args.workers
    if gpu:  # compile while the clips are still being encoded
        loss_of(torch.zeros(count, 16, *args.latent_size, device=args.device), prompts([""] * count)).backward()
        model.zero_grad(set_to_none=True)
        log(ready=args.size)
    if wise:
        wait_for(args.teacher)
        start_from(wise, args.teacher)
    if args.start:
        start_from(model, args.start)
    optimiser = Optimiser(model, args.lr, other=OTHER, other_lr=args.other_lr)
    average, step, spent = Average(model, args.ema), 0, 0.0
    if args.out.exists():
        state = torch.load(args.out, map_location=args.device)
        model.load_state_dict(state["raw"])
        average.weights, average.steps, step = state["ema"], state["step"], state["step"]
        if not args.restart:
            optimiser.load_state_dict(state["optimiser"])
            spent = state["spent"]
    data = Latents(args.latents, args.device)
    data.refresh()
    while len(data) < max(args.clips, 1) and not (args.latents / "complete").exists():
        time.sleep(1)
        data.refresh(0)
    draws = Draws(data, prompts, (args.seed, rank), count, drop=0.0 if args.jumps else 0.1)
    draws.first = step
    # Workers that are forked must not touch the accelerator; they hold the tokenizer and no more.
    loader = iter(torch.utils.data.DataLoader(draws, batch_size=None, num_workers=args.loaders)) if args.loaders else None
    budget, progress, total, since = Budget(args.minutes, spent), 0.0, 0.0, 0
    saved = time.monotonic()

    def save():
        state = dict(raw=model.state_dict(), ema=average.weights, optimiser=optimiser.state_dict())
        save_atomic(state | dict(step=step, spent=budget.spent, size=args.size), args.out)
        log(step=step, loss=float(total) / max(since, 1), clips=len(data), left=1 - progress)

    while progress < 1:
        if loader is None:
            data.refresh()
        picks, ids, mask = next(loader) if loader is not None else draws.draw(step)
        loss = loss_of(data.clips(picks), prompts.embed(ids.to(args.device), mask.to(args.device)))
        loss.backward()
        shown = loss.detach()
        if args.workers > 1:
            progress, shown = team.average(optimiser.params, budget.progress, shown.item())
        else:
            progress = budget.progress
        optimiser.step(budget.factor(progress))
        average.update(model)
        step, since, total = step + 1, since + 1, total + shown
        if rank == 0 and time.monotonic() - saved > args.every:
            save()
            saved, total, since = time.monotonic(), 0.0, 0
    if rank == 0:
        save()
        if args.export:
            model.load_state_dict(average.weights)
            part = args.export.with_suffix(".part")
            model.half().save_pretrained(part)
            part.rename(args.export)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("--latents", type=Path, required=True)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="exported folder to begin with")
    parser.add_argument("--teacher", type=Path, help="exported folder of a larger one to learn from")
    parser.add_argument("--jumps", type=int, default=0, help="teach mean guided velocities over so many equal jumps")
    parser.add_argument("--cfg", type=float, default=3.0, help="guidance that jumps hold")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--loaders", type=int, default=0, help="processes that draw clips and word captions")
    parser.add_argument("--clips", type=int, default=0, help="wait until so many are encoded, or a file `complete` is there")
    parser.add_argument("--latent-size", type=int, nargs=3, default=[(FRAMES - 1) // 4 + 1, SIZE // 8, SIZE // 8])
    parser.add_argument("--export", type=Path, help="folder for the averaged weights, in float16")
    parser.add_argument("--every", type=float, default=60, help="seconds from one checkpoint to the next")
    parser.add_argument("--minutes", type=float, default=80)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=2e-3, help="peak, of the hidden matrices")
    parser.add_argument("--other-lr", type=float, default=2e-3, help="peak, of everything else")
    parser.add_argument("--ema", type=float, default=0.998)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--compile", action="store_true", help="takes two minutes, then steps cost a third less")
    parser.add_argument("--restart", action="store_true", help="keep the weights, begin the schedule anew")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.jumps and not args.teacher:
        parser.error("--jumps needs a --teacher")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # it is forked
    Team.launch(train, args, args.workers)


if __name__ == "__main__":
    main()
