"""Writes tests/fixtures/caches: runs of the small WAN and LTX-Video models that wan.py and ltx.py made, with steps spared by
each of the four caches. Run it after `pip install -r requirements.txt`, wan.py and ltx.py:

    python tests/reference/caches.py

The first block's cache and MagCache are those of diffusers. TeaCache and EasyCache, which diffusers lacks, are written down here
from their papers' equations, over diffusers' models. All are held to what flowblend does beside the
methods themselves: the first fifth of the steps and the last are computed, and no more than three in a row spared.
"""

import json
from pathlib import Path

import torch
from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    LTXPipeline,
    LTXVideoTransformer3DModel,
    WanTransformer3DModel,
)
from diffusers.hooks import (
    FirstBlockCacheConfig,
    HookRegistry,
    MagCacheConfig,
    apply_first_block_cache,
    apply_mag_cache,
)
from safetensors.torch import save_file

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
STEPS = 20
FIRST = 4  # a fifth
MOST = 3
#: Most levels lie close together then, as far as networks of random weights change little from one to the next.
SHIFT = 100.0
#: Of TeaCache: distance of the modulations to the change that it expects.
COEFFICIENTS = [0.8, 0.5, -0.1, 0.02]


class Wan:
    name, shape = "wan", (1, 16, 3, 4, 6)

    def __init__(self):
        folder = FIXTURES / "wan" / "pair" / "large" / "transformer"
        self.model = WanTransformer3DModel.from_pretrained(folder, torch_dtype=torch.float32).eval()
        self.blocks = self.model.blocks
        self.text_dim = self.model.config.text_dim

    def modulation(self, keep):
        """Tells `keep` what the timestep makes of the blocks' modulation."""
        self.model.condition_embedder.register_forward_hook(lambda *a: keep(a[2][1]))

    def velocity(self, x, time, text):
        return self.model(x, torch.tensor([time]), text, return_dict=False)[0]


class Ltx:
    name, shape = "ltx", (1, 128, 2, 3, 4)

    def __init__(self):
        folder = FIXTURES / "ltx" / "pair" / "large" / "transformer"
        self.model = LTXVideoTransformer3DModel.from_pretrained(folder, torch_dtype=torch.float32).eval()
        self.blocks = self.model.transformer_blocks
        self.text_dim = self.model.config.caption_channels

    def modulation(self, keep):
        self.model.time_embed.register_forward_hook(lambda *a: keep(a[2][0]))

    def velocity(self, x, time, text):
        frames, height, width = x.shape[2:]
        out = self.model(
            LTXPipeline._pack_latents(x), text, torch.tensor([time]), torch.ones(text.shape[:2]),
            num_frames=frames, height=height, width=width, rope_interpolation_scale=(8 / 25, 32, 32),
            return_dict=False,
        )[0]
        return LTXPipeline._unpack_latents(out, frames, height, width)


class Run:
    """Euler steps, each with the velocity that `velocity(x, i)` gives and whether it was computed."""

    def __init__(self, family, noise):
        scheduler = FlowMatchEulerDiscreteScheduler(shift=SHIFT)
        scheduler.set_timesteps(STEPS)
        self.sigmas, self.times = scheduler.sigmas.tolist(), scheduler.timesteps.tolist()
        self.family, self.noise = family, noise

    @torch.no_grad()
    def walk(self, velocity):
        x, states, velocities, spared = self.noise, [], [], []
        for i in range(STEPS):
            v, is_spared = velocity(x, i)
            x = x + (self.sigmas[i + 1] - self.sigmas[i]) * v
            states.append(x)
            velocities.append(v)
            spared.append(is_spared)
        return {"states": torch.stack(states), "velocities": torch.stack(velocities)}, spared


def may_spare(i, since):
    """`since` steps after the last computed one."""
    return FIRST <= i < STEPS - 1 and since <= MOST


def first_block(run, text, threshold):
    family = type(run.family)()
    apply_first_block_cache(family.model, FirstBlockCacheConfig(threshold=threshold))
    hooks = [block._diffusers_hook for block in family.blocks]
    head = hooks[0].get_hook("fbc_leader_block_hook")
    state = {"since": 0}

    def velocity(x, i):
        state["since"] += 1
        head.threshold = threshold if may_spare(i, state["since"]) else -1.0
        with family.model.cache_context("run"):
            v = family.velocity(x, run.times[i], text)
            is_spared = not head.state_manager.get_state().should_compute
        if not is_spared:
            state["since"] = 0
        return v, is_spared

    return run.walk(velocity)


def mag_cache(run, text, threshold):
    """The ratios come from a run of its own, as its authors have it; what it says is kept as the lengths' quotients."""
    family = type(run.family)()
    config = dict(num_inference_steps=STEPS, retention_ratio=FIRST / STEPS, max_skip_steps=MOST, threshold=threshold)
    apply_mag_cache(family.model, MagCacheConfig(calibrate=True, **config))
    head = HookRegistry.check_if_exists_or_initialize(family.blocks[0]).get_hook("mag_cache_leader_block_hook")
    ratios = []

    def learn(x, i):
        with family.model.cache_context("run"):
            v = family.velocity(x, run.times[i], text)
            told = head.state_manager.get_state().calibration_ratios
            ratios[:] = told or ratios
        return v, False

    run.walk(learn)
    # The last one is told as the state is cleared, and no step but the last asks for it.
    ratios.extend([1.0] * (STEPS - len(ratios)))

    family = type(run.family)()
    apply_mag_cache(family.model, MagCacheConfig(mag_ratios=ratios, **config))
    head = HookRegistry.check_if_exists_or_initialize(family.blocks[0]).get_hook("mag_cache_leader_block_hook")

    def velocity(x, i):
        if i == STEPS - 1:
            return type(run.family)().velocity(x, run.times[i], text), False
        with family.model.cache_context("run"):
            v = family.velocity(x, run.times[i], text)
            return v, not head.state_manager.get_state().should_compute

    walked, spared = run.walk(velocity)
    lengths = [1.0]
    for ratio in ratios[1:]:
        lengths.append(lengths[-1] * ratio)
    return walked, spared, lengths


def tea_cache(run, text, threshold):
    """Liu et al. 2024: sums up what a polynomial makes of the relative L1 distance of the modulations of step after step;
    below the threshold all blocks' sum is taken up. The polynomial has no constant here."""
    family = type(run.family)()
    state = {"since": 0, "sum": 0.0, "modulation": None, "residual": None, "skip": False, "i": 0}

    def told(modulation):
        before, state["modulation"] = state["modulation"], modulation
        state["since"] += 1
        if before is not None:
            distance = ((modulation - before).abs().mean() / before.abs().mean()).item()
            state["sum"] += sum(c * distance ** (k + 1) for k, c in enumerate(COEFFICIENTS))
        little = before is not None and state["sum"] <= threshold
        state["skip"] = little and state["residual"] is not None and may_spare(state["i"], state["since"])
        if not state["skip"]:
            state["since"], state["sum"] = 0, 0.0

    family.modulation(told)
    first, last = family.blocks[0], family.blocks[-1]
    forwards = {block: block.forward for block in family.blocks}

    def patched(block):
        def forward(*args, **kwargs):
            x = kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]
            if block is first:
                state["input"] = x
                if state["skip"]:
                    return x + state["residual"]
            if state["skip"]:
                return x
            out = forwards[block](*args, **kwargs)
            if block is last:
                state["residual"] = out - state["input"]
            return out
        return forward

    for block in family.blocks:
        block.forward = patched(block)

    def velocity(x, i):
        state["i"] = i
        v = family.velocity(x, run.times[i], text)
        return v, state["skip"]

    return run.walk(velocity)


def easy_cache(run, text, threshold):
    """Zhou et al. 2025: the rate at which the output changed with the input between the last two computed steps, times how far
    the input came since, over the output's size; below the threshold the output's distance from the input is taken up."""
    computed, state = [], {"sum": 0.0, "x": None}

    def mean(tensor):
        return tensor.abs().mean().item()

    def velocity(x, i):
        since = i - computed[-1][0] if computed else 0
        little = False
        if len(computed) > 1:
            (_, x0, v0), (_, x1, v1) = computed[-2:]
            rate = mean(v1 - v0) / mean(x1 - x0)
            state["sum"] += rate * mean(x - state["x"]) / mean(v1)
            little = state["sum"] <= threshold
        state["x"] = x
        if little and may_spare(i, since):
            return x + (computed[-1][2] - computed[-1][1]), True
        v = run.family.velocity(x, run.times[i], text)
        # What lies too far back is not looked at: the two steps before the first that may be spared count.
        if i >= FIRST - 2:
            computed.append((i, x, v))
        state["sum"] = 0.0
        return v, False

    return run.walk(velocity)


def main():
    out = FIXTURES / "caches"
    out.mkdir(exist_ok=True)
    told = {"steps": STEPS, "shift": SHIFT, "coefficients": COEFFICIENTS, "runs": []}
    tensors = {}
    thresholds = {
        "wan": {"first-block": 0.2, "magcache": 0.02, "teacache": 0.2, "easycache": 0.15},
        "ltx": {"first-block": 0.2, "magcache": 0.02, "teacache": 0.2, "easycache": 0.15},
    }
    for seed, family in enumerate([Wan(), Ltx()]):
        generator = torch.Generator().manual_seed(40 + seed)
        noise = torch.randn(family.shape, generator=generator)
        text = torch.randn(1, 12, family.text_dim, generator=generator).half().float()
        tensors[f"{family.name}.initial"], tensors[f"{family.name}.text"] = noise, text
        run = Run(family, noise)
        for method, make in [
            ("first-block", first_block), ("magcache", mag_cache), ("teacache", tea_cache), ("easycache", easy_cache),
        ]:
            threshold = thresholds[family.name][method]
            walked, spared, *lengths = make(run, text, threshold)
            told["runs"].append({
                "family": family.name, "method": method, "threshold": threshold, "spared": spared,
                **({"lengths": lengths[0]} if lengths else {}),
            })
            for key in ("velocities", "states"):
                tensors[f"{family.name}.{method}.{key}"] = walked[key][[9, STEPS - 1]]
            print(family.name, method, "".join("-" if s else "#" for s in spared))
    save_file({name: t.contiguous() for name, t in tensors.items()}, out / "runs.safetensors")
    (out / "runs.json").write_text(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
