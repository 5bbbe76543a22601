"""What the training programs share: a schedule that follows the clock, Muon, averaged weights, checkpoints."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from pathlib import Path

import torch
from torch import distributed as dist
from torch import nn

SIZE, FRAMES = 96, 25  # of the pair's clips, in pixels a side


class Budget:
    """A learning-rate schedule over wall-clock time: warm up, hold, then fall linearly to zero.

    Step counts say little on a shared machine; what is fixed is when training has to be over.
    `spent` (seconds) carries over from a checkpoint, so a resumed run goes on where it stopped.
    """

    def __init__(self, minutes: float, spent: float = 0.0, warmup: float = 0.02, decay: float = 0.4):
        self.total, self.warmup, self.decay = 60 * minutes, warmup, decay
        self.start = time.monotonic() - spent

    @property
    def spent(self) -> float:
        return time.monotonic() - self.start

    @property
    def progress(self) -> float:
        return self.spent / self.total

    @property
    def over(self) -> bool:
        return self.progress >= 1

    def factor(self, progress: float | None = None) -> float:
        """What to multiply the peak learning rate by, now or at a given progress."""
        p = self.progress if progress is None else progress
        return max(min(1.0, (p + 1e-3) / self.warmup, (1 - p) / self.decay), 0.0)


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised (Jordan et al., 2024); convolutions count as [out, in*k] matrices.

    The update of a matrix is scaled to an RMS of about 0.2, what AdamW's would be, so both share learning rates.
    """

    def __init__(self, params, lr: float, momentum: float = 0.95, weight_decay: float = 0.0):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            alike = defaultdict(list)  # matrices of one shape are orthogonalised together
            for p in group["params"]:
                if p.grad is not None:
                    alike[p.flatten(1).shape].append(p)
            for shape, params in alike.items():
                for p in params:
                    if not self.state[p]:
                        self.state[p]["momentum"] = torch.zeros_like(p)
                grads, momenta = [p.grad for p in params], [self.state[p]["momentum"] for p in params]
                torch._foreach_lerp_(momenta, grads, 1 - group["momentum"])
                ahead = torch._foreach_lerp(grads, momenta, group["momentum"])
                turned = _orthogonal(torch.stack([g.flatten(1) for g in ahead]))
                torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
                moves = [u.view_as(p) for u, p in zip(turned, params)]
                torch._foreach_add_(params, moves, alpha=-group["lr"] * 0.2 * max(shape) ** 0.5)


def _orthogonal(g: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """The nearest semi-orthogonal matrices to g [B, m, n], roughly, by a quintic Newton-Schulz iteration."""
    tall = g.shape[1] > g.shape[2]
    x = (g.mT if tall else g).bfloat16()  # rough is enough, and three times as fast on a CPU
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x.mT if tall else x).float()


class Optimiser:
    """Muon for the hidden matrices of a model, AdamW for everything else (`other` names what matrices too)."""

    def __init__(self, model: nn.Module, lr: float, other: tuple[str, ...] = (), other_lr: float | None = None):
        named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
        hidden = [p for n, p in named if _is_matrix(p) and not n.startswith(other)]
        chosen = {id(p) for p in hidden}
        rest = [p for _, p in named if id(p) not in chosen]
        self.parts = [
            Muon(hidden, lr=lr, weight_decay=0.01),
            torch.optim.AdamW(rest, lr=other_lr or lr, betas=(0.9, 0.98), weight_decay=0.0, fused=True),
        ]
        self.peaks = [lr, other_lr or lr]
        self.params = [p for _, p in named]

    def step(self, factor: float, clip: float = 1.0):
        """One step at `factor` of the peak rates; clears the gradients."""
        nn.utils.clip_grad_norm_(self.params, clip)
        for part, peak in zip(self.parts, self.peaks):
            for group in part.param_groups:
                group["lr"] = peak * factor
            part.step()
            part.zero_grad(set_to_none=True)

    def state_dict(self):
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states):
        for part, state in zip(self.parts, states):
            part.load_state_dict(state)


def _is_matrix(p: torch.Tensor) -> bool:
    return p.ndim >= 2 and p.shape[0] > 1 and p[0].numel() > 1 and p.numel() > p.shape[0] + p[0].numel()


class Average:
    """An exponential moving average of a model's weights, with a window that grows up to `decay`."""

    def __init__(self, model: nn.Module, decay: float = 0.999):
        self.decay, self.steps = decay, 0
        self.weights = {k: v.detach().clone().float() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module):
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        now = [v.float() for v in model.state_dict().values()]
        torch._foreach_lerp_(list(self.weights.values()), now, 1 - decay)


class Team:
    """Single-threaded processes that train one model together by averaging their gradients."""

    def __init__(self, rank: int, size: int, out: Path):
        self.size = size
        if size > 1:
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
            meeting = out.resolve().with_suffix(".meeting")
            dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=size)

    @staticmethod
    def launch(work, args, size: int):
        """Run work(rank, args) in `size` processes."""
        torch.set_num_threads(1)
        if size == 1:
            return work(0, args)
        args.out.resolve().with_suffix(".meeting").unlink(missing_ok=True)
        torch.multiprocessing.start_processes(work, (args,), nprocs=size, start_method="fork")

    def average(self, params: list[torch.Tensor], *numbers: float) -> list[float]:
        """Average the gradients in place; returns the numbers averaged, alike in every process."""
        if self.size == 1:
            return list(numbers)
        grads = [p.grad for p in params if p.grad is not None]
        flat = torch.cat([g.flatten() for g in grads] + [torch.tensor(numbers)])
        dist.all_reduce(flat)
        flat /= self.size
        for g, mean in zip(grads, flat.split([g.numel() for g in grads] + [len(numbers)])):
            g.copy_(mean.view_as(g))
        return flat[-len(numbers) :].tolist()


def save_atomic(state, path: str | Path):
    """Write a checkpoint so that a reader never sees half of it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)


def log(**fields):
    """One line of progress, stamped with the time of day."""
    text = "  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in fields.items())
    print(time.strftime("%H:%M:%S"), text, flush=True)
