"""Train the Wan VAE on crops of procedural clips. Resumes from its checkpoint; stops when the time is up.

    python train_vae.py --out work/vae.pt --minutes 30
    python train_vae.py --out work/vae-sharper.pt --start work/vae.pt --decoder-only --lr 1e-3 --minutes 15
    python train_vae.py --check ../large/vae

Once latents are encoded and transformers are trained on them the encoder has to stay as it is; the decoder
may still be made sharper, which is what --decoder-only does.
"""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLWan

import scenes
import wan_vae
from common import FRAMES, SIZE, Average, Budget, Optimiser, log, save_atomic

# Crops (clips, frames, side) and how often each is drawn. Single frames come first: they teach colour and
# outline cheaply. Small crops give many steps; those of full length make sure that nothing drifts over time.
STILLS = (((12, 1, 48), 1.0),)
STILLS_UNTIL = 0.12  # of the budget
CLIPS = (((4, 5, 48), 0.45), ((2, 9, 48), 0.40), ((1, FRAMES, 64), 0.15))
KL_WEIGHT = 5e-4  # per latent element; enough to bound the latents without costing sharpness


def crops(rng: np.random.Generator, size: int, kinds: tuple, times: int = 1) -> torch.Tensor:
    """A batch [B, 3, T, S, S] in [-1, 1], cut from clips of `size` pixels, sometimes of one and a half times that."""
    count, frames, side = kinds[rng.choice(len(kinds), p=[chance for _, chance in kinds])][0]
    batch = []
    for _ in range(count * times):
        whole = size if rng.uniform() < 0.8 else 3 * size // 2
        t, (y, x) = rng.integers(0, FRAMES - frames + 1), rng.integers(0, whole - side + 1, 2)
        scene = scenes.sample_scene(rng, two=0.5)
        batch.append(scenes.render(scene, FRAMES, whole, whole, (t, y, x, frames, side, side)))
    clips = torch.from_numpy(np.stack(batch)).permute(0, 4, 1, 2, 3) * 2 - 1
    return clips.contiguous(memory_format=torch.channels_last_3d)


class Crops(torch.utils.data.IterableDataset):
    """Batches for other processes to cut; of clips alone, for stills are only for the very beginning."""

    def __init__(self, seed: int, size: int, times: int):
        self.seed, self.size, self.times, self.first = seed, size, times, 0

    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        for step in itertools.count(self.first + worker.id, worker.num_workers):
            yield crops(np.random.default_rng([self.seed, step]), self.size, CLIPS, self.times)


def loss_terms(vae: AutoencoderKLWan, clips: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pixel, edge (differences along x, y and time) and KL terms."""
    with torch.autocast(clips.device.type, torch.bfloat16):
        mean, logvar = (v.float() for v in wan_vae.encode(vae, clips))
        logvar = logvar.clamp(-20, 10)
        made = wan_vae.decode(vae, mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)).float()
    error = made - clips
    edges = sum(error.diff(dim=d).abs().mean() for d in (2, 3, 4) if error.shape[d] > 1)
    kl = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
    return error.abs().mean(), edges, kl


@torch.no_grad()
def psnrs(vae: AutoencoderKLWan, size: int, count: int = 6) -> torch.Tensor:
    """PSNR (dB) of whole held-out clips, without sampling noise: [count]."""
    rng, found = np.random.default_rng(10_000_000), []
    for _ in range(count):
        clip = torch.from_numpy(scenes.render(scenes.sample_scene(rng), FRAMES, size, size)).permute(3, 0, 1, 2)[None]
        clip = clip.to(vae.device)
        made = wan_vae.decode(vae, wan_vae.encode(vae, 2 * clip - 1)[0]).clamp(-1, 1) / 2 + 0.5
        found.append(-10 * (made - clip).square().mean().log10())
    return torch.stack(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--check", type=Path, help="only measure this VAE, on 24 held-out clips")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--start", type=Path, help="checkpoint or exported folder to begin with")
    parser.add_argument("--decoder-only", action="store_true", help="leave the latents as they are")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--loaders", type=int, default=0, help="processes that cut crops; needs --start")
    parser.add_argument("--times", type=int, default=1, help="so many times the clips in a batch")
    parser.add_argument("--export", type=Path, help="folder for the averaged weights, in float16; needs an exported --start")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    if args.check:
        found = psnrs(wan_vae.load(args.check).eval(), args.size, 24)
        log(mean=found.mean().item(), median=found.median().item(), worst=found.min().item())
        return
    if not args.out:
        parser.error("--out is missing")
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    if args.start:
        vae = wan_vae.load(args.start)
    else:
        vae = AutoencoderKLWan(**wan_vae.CONFIG)
        wan_vae.initialise(vae)
    vae.to(args.device)
    if args.decoder_only:
        vae.encoder.requires_grad_(False)
        vae.quant_conv.requires_grad_(False)
    optimiser = Optimiser(vae, args.lr, other=("encoder.conv_in", "decoder.conv_out", "quant_conv", "post_quant"))
    average, step, spent = Average(vae, 0.998), 0, 0.0
    if args.out.exists():
        state = torch.load(args.out, map_location=args.device)
        vae.load_state_dict(state["raw"])
        optimiser.load_state_dict(state["optimiser"])
        average.weights, average.steps, step, spent = state["ema"], state["step"], state["step"], state["spent"]
    shown = AutoencoderKLWan.from_config(vae.config).to(args.device).eval()
    drawn = Crops(args.seed, args.size, args.times)
    drawn.first = step
    loader = iter(torch.utils.data.DataLoader(drawn, batch_size=None, num_workers=args.loaders)) if args.loaders else None
    budget, saved, since = Budget(args.minutes, spent), time.monotonic(), 0
    sums = torch.zeros(3, device=args.device)

    def save(note: str):
        state = dict(raw=vae.state_dict(), ema=average.weights, optimiser=optimiser.state_dict())
        save_atomic(state | dict(step=step, spent=budget.spent), args.out)
        shown.load_state_dict(average.weights)
        pixel, edge, kl = (sums / max(since, 1)).tolist()
        log(step=step, l1=pixel, edges=edge, kl=kl, ema_psnr=psnrs(shown, args.size).mean().item(), left=1 - budget.progress, at=note)

    while not budget.over:
        kinds = STILLS if budget.progress < STILLS_UNTIL and not args.start else CLIPS
        rng = np.random.default_rng([args.seed, step])
        clips = next(loader) if loader is not None else crops(rng, args.size, kinds, args.times)
        terms = loss_terms(vae, clips.to(args.device))
        (terms[0] + 0.5 * terms[1] + KL_WEIGHT * terms[2]).backward()
        optimiser.step(budget.factor())
        average.update(vae)
        step, since, sums = step + 1, since + 1, sums + torch.stack([t.detach() for t in terms])
        if time.monotonic() - saved > 60:
            save("checkpoint")
            saved, since = time.monotonic(), 0
            sums.zero_()
    save("end")
    if args.export:
        shown.half().save_pretrained(args.export)


if __name__ == "__main__":
    main()
