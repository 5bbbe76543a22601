"""States that diffusers' Euler scheduler goes through on a custom list of levels: tests/fixtures/distilled.json.

    python tests/reference/distilled.py

A run LDL: the levels of the scheduler's own grid but for the middle stage, where those of a distilled model's grid lie
between the level it begins at and the one it ends at.
"""

import json
from pathlib import Path

import numpy as np
from diffusers import FlowMatchEulerDiscreteScheduler
from solvers import walked


def run(steps: int, shift: float, stage: tuple, taught: list, rng: np.random.Generator) -> dict:
    own = FlowMatchEulerDiscreteScheduler(shift=shift)
    own.set_timesteps(steps)
    own = own.sigmas.double().tolist()
    begin, end = stage
    inside = [level for level in taught if own[end] < level < own[begin]]
    levels = own[: begin + 1] + inside + own[end:]
    scheduler = FlowMatchEulerDiscreteScheduler(shift=1.0)
    scheduler.set_timesteps(sigmas=levels[:-1])
    row = {"steps": steps, "shift": shift, "boundaries": [begin / steps, end / steps], "taught": taught}
    return row | walked(scheduler, rng)


def main():
    rng = np.random.default_rng(11)
    even = [1 - i / 8 for i in range(9)]
    # As LTX-Video's distilled checkpoints step.
    uneven = [1.0, 0.9937, 0.9875, 0.9812, 0.975, 0.9094, 0.725, 0.4219, 0.0]
    cases = [
        (30, 1.0, (12, 28), even),
        (10, 3.0, (3, 8), even),
        (20, 5.0, (2, 20), uneven),
        (12, 3.0, (0, 12), even),
    ]
    rows = [run(*case, rng) for case in cases]
    out = Path(__file__).parent.parent / "fixtures" / "distilled.json"
    out.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


if __name__ == "__main__":
    main()
