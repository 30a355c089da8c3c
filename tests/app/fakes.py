"""An executor that does as the request's configuration says, without torch."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

from planner.request import SimulationRequest
from profiler.outcome import ChildExit, Outcome

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
}


def accept(request: SimulationRequest) -> SimulationRequest:
    """Stands in for `planner.check.check`."""
    return request


def body(behaviour: str = "succeed", **config: Any) -> dict[str, Any]:
    """A simulation request that makes `FakeExecutor` behave so."""
    config = {"model_type": "fake", "behaviour": behaviour, **config}
    return {
        "model": {"source": "transformers", "config": config},
        "workload": {"batch_size": 2, "sequence_length": 8},
    }


class FakeExecutor:
    """Behaviours: succeed, fail, oom, raise, sleep (`seconds`), die (takes the worker along).

    `run_behaviour` is what a run of the same request does; default: as the simulation.
    """

    def __init__(self) -> None:
        self.cancelled = asyncio.Event()

    async def simulate(self, request, device, *, limits, on_progress) -> Outcome:
        return await self._do(request, "behaviour", on_progress, {"prediction": PREDICTION})

    async def run(self, request, device, *, limits, on_progress) -> Outcome:
        result = {"measured": MEASURED, "environment": {"threads": 2}}
        return await self._do(request, "run_behaviour", on_progress, result)

    async def _do(self, request, key, on_progress, result) -> Outcome:
        config = request["model"]["config"]
        behaviour = config.get(key, "succeed")
        on_progress({"phase": "fake"})
        if behaviour == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if behaviour == "raise":
            raise RuntimeError("a bug in the worker")
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
        return Outcome("succeeded", result=result, artifacts={"tape": b"x" * 1000})
