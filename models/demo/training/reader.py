"""The network that reads a clip: which objects it shows and over what ground. See `train_reader.py`.

flowblend runs the same network (src/analysis/reader); the names of its tensors are fixed by `exported`.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

import scenes

FRAMES, SIDE, CELLS, TIMES, WIDTH = 25, 96, 12, 7, 96
EVERY = 2  # of the frames, every second is looked at
SHAPES = [*scenes.SHAPES, "none"]  # none: an object in pieces, or of two shapes
COLOURS, MOTIONS, SIZES = list(scenes.COLOURS), list(scenes.MOTIONS), list(scenes.SIZES)
BACKGROUNDS, PATTERNS = list(scenes.BACKGROUNDS), list(scenes.PATTERNS)


class Layer(nn.Module):
    """A convolution that is causal in time, normalised over the batch, then ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int, int], stride: tuple[int, int, int]):
        super().__init__()
        self.past = kernel[0] - 1
        border = (0, kernel[1] // 2, kernel[2] // 2)
        self.conv = nn.Conv3d(inputs, outputs, kernel, stride, border, bias=False)
        self.norm = nn.BatchNorm3d(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.past:
            x = F.pad(x, (0, 0, 0, 0, self.past, 0))
        return F.relu(self.norm(self.conv(x)))

    def folded(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Weight and bias of the one convolution that does the same."""
        scale = self.norm.weight / (self.norm.running_var + self.norm.eps).sqrt()
        return self.conv.weight * scale.view(-1, 1, 1, 1, 1), self.norm.bias - self.norm.running_mean * scale

    @torch.no_grad()
    def unfold(self, weight: torch.Tensor, bias: torch.Tensor):
        """Become that one convolution, with a norm that does nothing but add the bias."""
        self.conv.weight.copy_(weight)
        self.norm.bias.copy_(bias)
        self.norm.weight.fill_(1.0)
        self.norm.running_mean.zero_()
        self.norm.running_var.fill_(1.0 - self.norm.eps)


class Reader(nn.Module):
    """Looks for an object of every colour at once: one attention map a colour and frame, then shared heads."""

    def __init__(self):
        super().__init__()
        self.conv1 = Layer(3, 16, (1, 5, 5), (1, 2, 2))  # flowblend leaves frames out by a stride in time
        self.conv2 = Layer(16, 32, (1, 3, 3), (1, 2, 2))
        self.conv3 = Layer(32, 64, (3, 3, 3), (1, 2, 2))
        self.conv4 = Layer(64, 64, (1, 3, 3), (1, 1, 1))
        self.conv5 = Layer(64, WIDTH, (3, 3, 3), (2, 1, 1))
        self.conv6 = Layer(WIDTH, WIDTH, (1, 3, 3), (1, 1, 1))
        self.look = nn.Conv3d(WIDTH, len(COLOURS), 1)
        self.hidden1 = nn.Linear(TIMES * (WIDTH + 3), 256)
        self.hidden2 = nn.Linear(256, 128)
        self.present = nn.Linear(128, 1)
        self.shape = nn.Linear(128, len(SHAPES))
        self.motion = nn.Linear(128, len(MOTIONS))
        self.size = nn.Linear(128, len(SIZES))
        self.ground = nn.Linear(WIDTH, 64)
        self.background = nn.Linear(64, len(BACKGROUNDS))
        self.pattern = nn.Linear(64, len(PATTERNS))
        self.register_buffer("embed_mean", torch.zeros(TIMES * WIDTH))
        self.register_buffer("embed_std", torch.ones(TIMES * WIDTH))
        centres = (2 * torch.arange(CELLS) + 1) / CELLS - 1
        y, x = torch.meshgrid(centres, centres, indexing="ij")
        self.register_buffer("places", torch.stack([x.flatten(), y.flatten()], 1), persistent=False)

    def features(self, clips: torch.Tensor) -> torch.Tensor:
        """Every second frame, RGB in [0, 1], [B, 3, 13, 96, 96], to features [B, 96, 7, 12, 12]."""
        x = self.conv5(self.conv4(self.conv3(self.conv2(self.conv1(clips - 0.5)))))
        return x + self.conv6(x)

    def forward(self, clips: torch.Tensor) -> dict[str, torch.Tensor]:
        """Logits: `present` [B, 8]; `shape`, `motion`, `size` [B, 8, n]; `background`, `pattern` [B, n]."""
        f = self.features(clips).float()
        logits = self.look(f).flatten(3)  # B, colour, time, cell
        looks = logits.softmax(-1)
        seen = torch.einsum("bktn,bctn->bktc", looks, f.flatten(3))
        places = looks @ self.places
        mass = logits.logsumexp(-1, keepdim=True) - torch.log(torch.tensor(float(CELLS**2)))
        h = torch.cat([seen, places, mass], -1).flatten(2)
        h = F.relu(self.hidden2(F.relu(self.hidden1(h))))
        ground = F.relu(self.ground(f.mean((2, 3, 4))))
        return {
            "present": self.present(h)[..., 0],
            "shape": self.shape(h),
            "motion": self.motion(h),
            "size": self.size(h),
            "background": self.background(ground),
            "pattern": self.pattern(ground),
        }

    def raw_embedding(self, clips: torch.Tensor) -> torch.Tensor:
        """What is where at each time, [B, 672]: the features' mean over the cells."""
        return self.features(clips).float().mean((3, 4)).transpose(1, 2).flatten(1)

    def embedding(self, clips: torch.Tensor) -> torch.Tensor:
        return (self.raw_embedding(clips) - self.embed_mean) / self.embed_std

    def exported(self) -> dict[str, torch.Tensor]:
        """The tensors as flowblend reads them, the norms folded into the convolutions."""
        tensors = {"embed.mean": self.embed_mean, "embed.std": self.embed_std}
        for name, layer in self.named_children():
            if isinstance(layer, Layer):
                tensors[f"{name}.weight"], tensors[f"{name}.bias"] = layer.folded()
            else:
                tensors |= {f"{name}.{key}": value for key, value in layer.state_dict().items()}
        return {name: value.detach().float().contiguous() for name, value in tensors.items()}

    @classmethod
    def imported(cls, tensors: dict[str, torch.Tensor]) -> Reader:
        """A reader from what `exported` wrote; it can read but not be trained on."""
        reader = cls()
        reader.embed_mean.copy_(tensors["embed.mean"])
        reader.embed_std.copy_(tensors["embed.std"])
        for name, layer in reader.named_children():
            if isinstance(layer, Layer):
                layer.unfold(tensors[f"{name}.weight"], tensors[f"{name}.bias"])
            else:
                layer.load_state_dict({key: tensors[f"{name}.{key}"] for key in layer.state_dict()})
        return reader.eval()
