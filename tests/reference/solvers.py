"""States that diffusers' schedulers go through on given velocities: tests/fixtures/solvers.json.

    python tests/reference/solvers.py

Velocities and states are float64, which the DPM solver and Heun round to float32 at every step; all keep the levels in float32.
"""

import json
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    FlowMatchHeunDiscreteScheduler,
    UniPCMultistepScheduler,
)

VALUES = 4
FLOW = dict(prediction_type="flow_prediction", use_flow_sigmas=True)
SOLVERS = {
    "heun": lambda shift: FlowMatchHeunDiscreteScheduler(shift=shift),
    "unipc-1": lambda shift: UniPCMultistepScheduler(solver_order=1, flow_shift=shift, **FLOW),
    "unipc": lambda shift: UniPCMultistepScheduler(solver_order=2, flow_shift=shift, **FLOW),
    "unipc-3": lambda shift: UniPCMultistepScheduler(solver_order=3, flow_shift=shift, **FLOW),
    "dpm++2m": lambda shift: DPMSolverMultistepScheduler(solver_order=2, flow_shift=shift, **FLOW),
    "dpm++3m": lambda shift: DPMSolverMultistepScheduler(solver_order=3, flow_shift=shift, **FLOW),
}


def run(name: str, steps: int, shift: float, rng: np.random.Generator) -> dict:
    scheduler = SOLVERS[name](shift)
    scheduler.set_timesteps(steps)
    return {"solver": name, "steps": steps, "shift": shift} | walked(scheduler, rng)


def walked(scheduler, rng: np.random.Generator) -> dict:
    """The scheduler's levels, and the states that random velocities lead through."""
    x = torch.from_numpy(rng.standard_normal((1, VALUES)))
    row = {
        "sigmas": scheduler.sigmas.tolist(),
        "timesteps": scheduler.timesteps.tolist(),
        "initial": x[0].tolist(),
        "velocities": [],
        "states": [],
    }
    scheduler.sigmas = scheduler.sigmas.double()
    for timestep in scheduler.timesteps:
        velocity = torch.from_numpy(rng.standard_normal((1, VALUES)))
        x = scheduler.step(velocity, timestep, x).prev_sample
        row["velocities"].append(velocity[0].tolist())
        row["states"].append(x[0].tolist())
    return row


def main():
    rng = np.random.default_rng(7)
    cases = [(12, 1.0), (20, 5.0), (3, 3.0), (1, 3.0)]
    rows = [run(name, steps, shift, rng) for name in SOLVERS for steps, shift in cases]
    out = Path(__file__).parent.parent / "fixtures" / "solvers.json"
    out.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


if __name__ == "__main__":
    main()
