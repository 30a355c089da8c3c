"""`--local`: the same answers from this process, without a service, and nothing stored."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from pydantic import ValidationError

from app.cli.errors import CliError, usage_error
from app.cli.local_designs import LocalDesignSearch
from app.cli.server import OnProgress, Resource
from app.jobs.comparison import compare_phases, predicted, relative_error
from app.kit.pointers import describe
from app.kit.schema import known_fields
from planner.check import check, check_plan
from planner.designs.check import check_design_search
from planner.designs.request import DesignSearchRequest
from planner.devices import BUILTIN, builtin_device
from planner.errors import FieldProblem, InvalidRequest
from planner.plans import PlanRequest
from planner.request import SimulationRequest
from planner.sweeps import SweepPoint, SweepRequest, sweep_points
from planner.variation import Space
from profiler.executor import Executor
from profiler.limits import Limits
from profiler.outcome import Outcome

_LIMITS = Limits(wall_seconds=1800.0)
_FIELDS = known_fields(SimulationRequest, PlanRequest, SweepRequest, DesignSearchRequest)

Request = TypeVar("Request", SimulationRequest, PlanRequest, SweepRequest, DesignSearchRequest)
Job = Callable[..., Coroutine[Any, Any, Outcome]]


class Local:
    """Carries requests out with an executor of its own: one warm process, a child for each job."""

    def simulate(self, body: Resource, on_progress: OnProgress) -> Resource:
        """Predict, in a child of this process."""
        return asyncio.run(_Session(_simulation(body), on_progress).simulate())

    def plan(self, body: Resource, on_progress: OnProgress) -> Resource:
        """Find a strategy, in a child of this process."""
        request = check_plan(_parse(PlanRequest, body))
        return asyncio.run(_Session(request, on_progress).plan())

    def sweep(self, body: Resource, on_progress: OnProgress) -> Resource:
        """Predict every combination, one after the other, each in a child of this process."""
        request = _parse(SweepRequest, body)
        points = sweep_points(request, check)
        return asyncio.run(_Sweep(request, points, on_progress).answer())

    def search_designs(self, body: Resource, on_progress: OnProgress) -> Resource:
        """Search, one design after the other, each in a child of this process."""
        request = check_design_search(_parse(DesignSearchRequest, body))
        return asyncio.run(LocalDesignSearch(request, _LIMITS, on_progress).answer())

    def run_request(
        self, body: Resource, labels: dict[str, str], on_progress: OnProgress
    ) -> Resource:
        """Predict and then run for real, each in a child of this process."""
        if labels:
            raise usage_error("--label chooses among a service's workers; leave out --local")
        return asyncio.run(_Session(_simulation(body), on_progress).run())

    def run(self, simulation_id: str, labels: dict[str, str], on_progress: OnProgress) -> Resource:
        """Refused: nothing is stored here."""
        raise usage_error("--simulation names what a service stored; leave out --local")

    def run_plan(self, plan_id: str, labels: dict[str, str], on_progress: OnProgress) -> Resource:
        """Refused: nothing is stored here."""
        raise usage_error("--plan names what a service stored; leave out --local")

    def device(self, name: str) -> Resource | None:
        """The built-in profile of this name."""
        profile = BUILTIN.get(name)
        return profile.model_dump(mode="json") if profile else None

    def close(self) -> None:
        """Nothing is held between calls."""


class _Session:
    """One command's work: the checked request, and an executor for as long as it takes."""

    def __init__(
        self,
        request: SimulationRequest | PlanRequest,
        on_progress: OnProgress,
        executor: Executor | None = None,
    ) -> None:
        device = builtin_device(request.device)
        self._request = request.model_dump(mode="json")
        self._device = device.model_dump(mode="json")
        self._on_progress = on_progress
        self._executor = executor or Executor()

    async def simulate(self) -> Resource:
        await self._executor.start()
        try:
            return await self.predict()
        finally:
            await self._executor.stop()

    async def plan(self) -> Resource:
        await self._executor.start()
        try:
            ended = _resource(await self._carry_out(self._executor.plan), self._request)
            found = ended.pop("plan", None) or {}
            return {**ended, **found}
        finally:
            await self._executor.stop()

    async def run(self) -> Resource:
        await self._executor.start()
        try:
            simulation = await self.predict()
            if simulation["status"] != "succeeded":
                return simulation
            run = _resource(await self._carry_out(self._executor.run), self._request)
            return _compared(run, predicted(simulation["prediction"]))
        finally:
            await self._executor.stop()

    async def predict(self) -> Resource:
        """Predict with the executor that runs already."""
        return _resource(await self._carry_out(self._executor.simulate), self._request)

    async def _carry_out(self, job: Job) -> Outcome:
        def report(progress: Any) -> None:
            self._on_progress({"status": "running", "progress": progress})

        return await job(self._request, self._device, limits=_LIMITS, on_progress=report)


class _Sweep:
    """The points of a sweep, with one executor for all."""

    def __init__(
        self, request: SweepRequest, points: list[SweepPoint], on_progress: OnProgress
    ) -> None:
        self._request = request
        self._points = points
        self._on_progress = on_progress

    async def answer(self) -> Resource:
        space, points = Space.of(self._request), []
        async with Executor() as executor:
            for number, point in enumerate(self._points):
                self._tell(number)
                found = await self._simulated(point, executor)
                points.append({"number": number, "values": space.choices(number), **found})
        counts = Counter(point["status"] for point in points)
        return {
            "status": "succeeded" if counts["succeeded"] else "failed",
            "counts": {"total": len(points), **counts},
            "request": self._request.model_dump(mode="json"),
            "points": points,
        }

    async def _simulated(self, point: SweepPoint, executor: Executor) -> Resource:
        if point.request is None:
            return {"status": "failed", "problem": point.error.problem() if point.error else None}
        session = _Session(point.request, lambda progress: None, executor)
        simulation = await session.predict()
        prediction = simulation.get("prediction") or {}
        names = ("peak_bytes", "reserved_bytes", "device_bytes", "fits", "step_seconds")
        return {
            "status": simulation["status"],
            "problem": simulation.get("problem"),
            **{name: prediction.get(name) for name in names},
        }

    def _tell(self, done: int) -> None:
        counts = {"total": len(self._points), "succeeded": done, "failed": 0, "cancelled": 0}
        self._on_progress({"status": "running", "counts": counts})


def _simulation(body: Resource) -> SimulationRequest:
    return check(_parse(SimulationRequest, body))


def _parse(kind: type[Request], body: Resource) -> Request:
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        raise InvalidRequest(
            [FieldProblem(**describe(found, body, _FIELDS)) for found in error.errors()]
        ) from None


def _resource(outcome: Outcome, request: Resource) -> Resource:
    if outcome.status != "succeeded" and outcome.problem is None:
        raise CliError(f"the work has {outcome.status} without saying why")
    return {
        "status": outcome.status,
        "request": request,
        **(outcome.result or {}),
        **({"problem": outcome.problem} if outcome.problem else {}),
    }


def _compared(run: Resource, predicted: Resource) -> Resource:
    measured = run.get("measured")
    if measured is None:
        return {**run, "predicted": predicted}
    return {
        **run,
        "predicted": predicted,
        "phases": compare_phases(predicted, measured),
        "relative_error": relative_error(predicted["peak_bytes"], measured["peak_bytes"]),
    }
