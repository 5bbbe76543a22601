"""Train a Wan transformer on encoded clips by flow matching. Resumes from its checkpoint; stops on time.

    python train_transformer.py large --latents work/latents --text work/text --out work/large.pt --minutes 80

At time s in (0, 1) the model sees (1 - s) * clip + s * noise, in normalised latents, and is to name
noise - clip. With `--teacher` it is to name what a larger trained one names there, which says the same as
the mean of many clips would and so teaches a small model faster. `--workers 2` shares each batch between two single-threaded processes, which loses less on a
busy machine than threads that wait for one another.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import WanTransformer3DModel
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import AutoTokenizer, UMT5EncoderModel

import scenes
from common import Average, Budget, Optimiser, Team, log, save_atomic
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


def grown(size: str, folder: Path) -> WanTransformer3DModel:
    """An exported transformer to go on from. The layers it lacks begin as its last one with nothing to add."""
    old = WanTransformer3DModel.from_pretrained(folder, torch_dtype=torch.float32)
    model = build(size)
    for i in range(len(old.blocks), len(model.blocks)):
        old.blocks.append(copy.deepcopy(old.blocks[i - 1]))
        for last in (old.blocks[i].attn1.to_out[0], old.blocks[i].attn2.to_out[0], old.blocks[i].ffn.net[2]):
            torch.nn.init.zeros_(last.weight)
            torch.nn.init.zeros_(last.bias)
    model.load_state_dict(old.state_dict())
    return model.train()


class Prompts:
    """The frozen text encoder: texts to embeddings [B, 64, D], zero after each text's own length."""

    def __init__(self, folder: Path):
        self.tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
        self.encoder = UMT5EncoderModel.from_pretrained(folder / "text_encoder").eval().requires_grad_(False)

    @torch.no_grad()
    def __call__(self, texts: list[str]) -> torch.Tensor:
        words = self.tokenizer(texts, padding=True, return_tensors="pt")
        out = self.encoder(words.input_ids, words.attention_mask).last_hidden_state
        out = out * words.attention_mask[..., None]
        return torch.nn.functional.pad(out, (0, 0, 0, MAX_TOKENS - out.shape[1]))


class Latents:
    """All shards written so far, normalised on the way out."""

    def __init__(self, folder: Path):
        self.folder, self.shards, self.looked = folder, {}, -1e9
        stats = json.loads((folder / "stats.json").read_text())
        self.mean, self.std = (torch.tensor(stats[k]).view(1, -1, 1, 1, 1) for k in ("mean", "std"))

    def refresh(self, every: float = 30):
        if time.monotonic() - self.looked < every:
            return
        self.looked = time.monotonic()
        for path in sorted(self.folder.glob("shard-*.pt")):
            if path not in self.shards:
                self.shards[path] = torch.load(path)
        self.latents = [shard["latents"] for shard in self.shards.values()]
        self.scenes = [(shard["seed"], shard.get("two", scenes.TWO)) for shard in self.shards.values()]

    def __len__(self):
        return sum(map(len, self.latents))

    def draw(self, rng: np.random.Generator, count: int) -> tuple[torch.Tensor, list[scenes.Scene]]:
        """Clips [count, 16, T, H, W] and what they show."""
        picks = [(s, rng.integers(len(self.latents[s]))) for s in rng.integers(len(self.latents), size=count)]
        clips = torch.stack([self.latents[s][i] for s, i in picks]).float()
        shown = [scene_of(self.scenes[s][0] + int(i), self.scenes[s][1]) for s, i in picks]
        return (clips - self.mean) / self.std, shown


def batch(data: Latents, prompts: Prompts, rng: np.random.Generator, count: int, drop: float = 0.1):
    """Noisy clips, times in [0, 1] (logit-normal, one per slice of the distribution), embeddings, targets."""
    clips, shown = data.draw(rng, count)
    texts = [scenes.caption(scene, rng)[0] if rng.uniform() > drop else "" for scene in shown]
    noise = torch.from_numpy(rng.standard_normal(clips.shape, dtype=np.float32))
    quantiles = (torch.arange(count) + torch.from_numpy(rng.uniform(size=count))) / count
    times = torch.sigmoid(torch.special.ndtri(quantiles.clamp(1e-4, 1 - 1e-4))).float()
    s = times.view(-1, 1, 1, 1, 1)
    return (1 - s) * clips + s * noise, times, prompts(texts), noise - clips


def teacher(folder: Path):
    """A trained transformer as a function of noisy clips, times in 0 to 1000 and embeddings."""
    model = WanTransformer3DModel.from_pretrained(folder, torch_dtype=torch.float32)
    return model.eval().requires_grad_(False)


def train(rank: int, args: argparse.Namespace):
    torch.manual_seed(args.seed)
    team = Team(rank, args.workers, args.out)
    data, prompts = Latents(args.latents), Prompts(args.text)
    model = grown(args.size, args.start) if args.start else build(args.size)
    optimiser = Optimiser(model, args.lr, other=OTHER, other_lr=args.other_lr)
    average, step, spent = Average(model, args.ema), 0, 0.0
    if args.out.exists():
        state = torch.load(args.out)
        model.load_state_dict(state["raw"])
        average.weights, average.steps, step = state["ema"], state["step"], state["step"]
        if not args.restart:
            optimiser.load_state_dict(state["optimiser"])
            spent = state["spent"]
    wise = teacher(args.teacher) if args.teacher else None
    if args.compile:
        for block in [*model.blocks, *(wise.blocks if wise else [])]:
            block.compile()
    budget, progress, total, since = Budget(args.minutes, spent), 0.0, 0.0, 0
    saved = time.monotonic()

    def save():
        state = dict(raw=model.state_dict(), ema=average.weights, optimiser=optimiser.state_dict())
        save_atomic(state | dict(step=step, spent=budget.spent, size=args.size), args.out)
        log(step=step, loss=total / max(since, 1), clips=len(data), left=1 - progress)

    while progress < 1:
        data.refresh()
        rng = np.random.default_rng([args.seed, step, rank])
        noisy, times, embeds, target = batch(data, prompts, rng, args.batch // args.workers)
        # Of the attentions for bfloat16 on CPUs, the plain one has by far the fastest backward pass.
        with torch.autocast("cpu", torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
            made = model(noisy, 1000 * times, embeds, return_dict=False)[0]
            if wise:
                with torch.no_grad():
                    target = wise(noisy, 1000 * times, embeds, return_dict=False)[0].float()
        loss = (made.float() - target).square().mean()
        loss.backward()
        progress, shown = team.average(optimiser.params, budget.progress, loss.item())
        optimiser.step(budget.factor(progress))
        average.update(model)
        step, since, total = step + 1, since + 1, total + shown
        if rank == 0 and time.monotonic() - saved > 60:
            save()
            saved, total, since = time.monotonic(), 0.0, 0
    if rank == 0:
        save()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("--latents", type=Path, required=True)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="exported folder to begin with")
    parser.add_argument("--teacher", type=Path, help="exported folder of a larger one to learn from")
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
    args.out.parent.mkdir(parents=True, exist_ok=True)
    Team.launch(train, args, args.workers)


if __name__ == "__main__":
    main()
