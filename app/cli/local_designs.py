"""`headroom design-search --local`: each design is simulated in a child of this process."""

from __future__ import annotations

from typing import Any

from app.cli.server import OnProgress, Resource
from planner.designs.goals import metrics_of
from planner.designs.request import DesignSearchRequest
from planner.designs.search import DesignSearch, Outcome, Proposal
from planner.devices import builtin_device
from planner.errors import InvalidRequest
from planner.prediction import Prediction
from planner.request import SimulationRequest
from planner.tape import Tape
from planner.versions import versions
from profiler.executor import Executor
from profiler.limits import Limits


class LocalDesignSearch:
    """One search with an executor of its own; nothing is stored, so nothing is known before."""

    def __init__(
        self, request: DesignSearchRequest, limits: Limits, on_progress: OnProgress
    ) -> None:
        self._request = request
        self._limits = limits
        self._on_progress = on_progress
        self._search = DesignSearch(request)
        self._devices = {name: builtin_device(name) for name in request.devices}

    async def answer(self) -> Resource:
        """Search to the end; the search as a service would answer with it."""
        designs = self._search.admit()
        self._tell(None)
        async with Executor() as executor:
            while (proposal := self._search.ask()) is not None:
                outcome = await self._simulated(designs[proposal.design], executor)
                self._search.tell(proposal, outcome)
                self._tell(proposal)
        found = self._search.answer()
        return {
            "status": "succeeded",
            "request": self._request.model_dump(mode="json"),
            "versions": versions(),
            "feasible": found.best is not None,
            "best_value": self._best_value(),
            **found.model_dump(mode="json"),
        }

    async def _simulated(self, design: SimulationRequest, executor: Executor) -> Outcome:
        device = self._devices[design.device]
        ended = await executor.simulate(
            design.model_dump(mode="json"), device.model_dump(mode="json"), limits=self._limits
        )
        if ended.status != "succeeded" or ended.result is None:
            problem: dict[str, Any] = ended.problem or {}
            words = f"{problem.get('title', 'It failed')}: {problem.get('detail', '')}"
            return Outcome(problem=words, refused=problem.get("type") == InvalidRequest.type)
        prediction = Prediction.model_validate(ended.result["prediction"])
        tape = Tape.load(ended.artifacts["tape"])
        return Outcome(metrics_of(prediction, tape, device, self._request))

    def _best_value(self) -> float | None:
        best = self._search.best()
        if best is None or best.metrics is None:
            return None
        return self._search.goals.value(best.metrics)

    def _tell(self, proposal: Proposal | None) -> None:
        best = self._search.best()
        progress = {
            "phase": "recall" if proposal is None else proposal.source,
            "evaluations": self._search.evaluations,
            "most_evaluations": self._request.evaluations,
            "best_value": self._best_value(),
            "best": None if best is None else best.choices,
        }
        self._on_progress({"status": "running", "progress": progress})
