"""An executor that does as the request's configuration says, without torch."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import numpy as np

from profiler.outcome import ChildExit, Outcome
from profiler.timeline import Timeline
from tests.planner.tapes import tape_of

PREDICTION = {
    "peak_bytes": 1000,
    "peak_phase": "step1.backward",
    "phases": [
        {"name": "step0.forward", "peak_bytes": 600, "end_bytes": 500},
        {"name": "step1.backward", "peak_bytes": 1000, "end_bytes": 400},
    ],
    "at_peak": {"parameters": 1000},
    "largest_at_peak": [],
    "modules_at_peak": [],
    "parameter_count": 250,
    "trainable_parameter_count": 250,
    "step_flops": 10,
    "step_seconds": 0.5,
    "roofline_seconds": 0.5,
    "op_count": 3,
}
MEASURED = {
    "peak_bytes": 1250,
    "peak_phase": "step1.backward",
    "phases": [
        {"name": "step0.forward", "peak_bytes": 600, "end_bytes": 500},
        {"name": "step1.backward", "peak_bytes": 1250, "end_bytes": 400},
    ],
    "start_bytes": 0,
    "step_seconds": 1.0,
}


STRATEGY = {"units": [{"module": "h.0", "action": "recompute"}], "micro_batches": 2}
OVERHEAD = {"recompute_flops_ratio": 1.1, "step_seconds_ratio": 1.2}
SOLVER = {
    "name": "milp",
    "solve_seconds": 0.1,
    "simulate_seconds": 2.0,
    "simulations": 3,
    "optimality_gap": 0.0,
    "estimate_error": 0.01,
}
PLAN = {
    "feasible": True,
    "budget_bytes": 1200,
    "strategy": STRATEGY,
    "prediction": PREDICTION,
    "baseline": {**PREDICTION, "peak_bytes": 2000},
    "overhead": OVERHEAD,
    "frontier": [{"peak_bytes": 1000, "overhead": OVERHEAD, "strategy": STRATEGY}],
    "solver": SOLVER,
    "limitations": ["offload is not tried"],
}
INFEASIBLE = {
    **PLAN,
    "feasible": False,
    "budget_bytes": 100,
    "strategy": None,
    "prediction": None,
    "overhead": None,
    "infeasible": {
        "smallest_budget_bytes": 900,
        "smallest_strategy": STRATEGY,
        "phase": "step1.backward",
        "held_by": ["wte.weight: 800 bytes"],
        "remedies": ["a batch of 1 fits 900 bytes"],
    },
}
PROGRESS = {
    "phase": "frontier",
    "frontier": [{"peak_bytes": 1000, "step_seconds_ratio": 1.2, "recompute_flops_ratio": 1.1}],
}
AGAINST_BASELINE = {
    "baseline": {"measured": {**MEASURED, "peak_bytes": 2100}},
    "gradients_match": {
        "match": True,
        "bitwise": False,
        "loss_difference": 0.0,
        "largest_relative_difference": 1e-7,
        "tolerance": 1e-5,
        "parameters": 12,
        "dropout": False,
    },
    "slowdown": 1.25,
}


FILES = {
    "behaviour": {"tape": tape_of([0, ~0], [1000]).to_bytes()},
    "run_behaviour": {"timeline": Timeline(np.array([0, 1]), np.array([0, 1250])).to_bytes()},
}
"""What is left by what does so: a simulation or a plan, and a run."""


def accept(request: Any) -> Any:
    """Stands in for `planner.check.check` and `check_plan`."""
    return request


def body(behaviour: str = "succeed", **config: Any) -> dict[str, Any]:
    """A simulation request that makes `FakeExecutor` behave so."""
    config = {"model_type": "fake", "behaviour": behaviour, **config}
    return {
        "model": {"source": "transformers", "config": config},
        "workload": {"batch_size": 2, "sequence_length": 8},
    }


def plan_body(behaviour: str = "succeed", memory: Any = 1200, **config: Any) -> dict[str, Any]:
    """A plan request that makes `FakeExecutor` behave so."""
    return {**body(behaviour, **config), "budget": {"memory": memory}}


class FakeExecutor:
    """Behaviours: succeed, fail, oom, raise, sleep (`seconds`), wait (until there is `file`), die
    (takes the worker along).

    `run_behaviour` is what a run of the same request does; default: as the simulation. A plan
    is feasible from a budget of 1000 bytes on.
    """

    def __init__(self) -> None:
        self.cancelled = asyncio.Event()

    async def simulate(self, request, device, *, limits, on_progress) -> Outcome:
        on_progress({"phase": "fake"})
        return await self._do(request, "behaviour", {"prediction": PREDICTION})

    async def plan(self, request, device, *, devices, limits, on_progress) -> Outcome:
        on_progress(PROGRESS)
        found = PLAN if request["budget"]["memory"] >= 1000 else INFEASIBLE
        return await self._do(request, "behaviour", {"plan": found})

    async def run(
        self, request, device, *, baseline, baseline_bytes, limits, on_progress
    ) -> Outcome:
        on_progress({"phase": "fake"})
        result = {"measured": MEASURED, "environment": {"threads": 2}}
        if baseline:
            result |= AGAINST_BASELINE
            result["environment"] = {"strategy": request["strategy"]}
        return await self._do(request, "run_behaviour", result)

    async def _do(self, request, key, result) -> Outcome:
        config = request["model"]["config"]
        behaviour = config.get(key, "succeed")
        if behaviour == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if behaviour == "raise":
            raise RuntimeError("a bug in the worker")
        while behaviour == "wait" and not os.path.exists(config["file"]):
            await asyncio.sleep(0.02)
        if behaviour == "sleep":
            try:
                await asyncio.sleep(config.get("seconds", 60))
            except asyncio.CancelledError:
                self.cancelled.set()
                if "cancelled_file" in config:
                    with open(config["cancelled_file"], "w") as file:
                        file.write("cancelled")
                raise
        if behaviour == "fail":
            problem = {"type": "step-failed", "title": "The step fails", "detail": "as told"}
            return Outcome("failed", problem=problem, exit=ChildExit(code=1))
        if behaviour == "oom":
            problem = {"type": "out-of-memory", "title": "No memory", "detail": "as told"}
            return Outcome("out_of_memory", problem=problem, exit=ChildExit(signal="SIGKILL"))
        return Outcome("succeeded", result=result, artifacts=FILES[key])
