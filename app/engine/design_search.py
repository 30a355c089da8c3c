"""Doing a design search in a worker: each design is a simulation of its own, kept in the store.

A search that is interrupted and taken up again, or another one over the same designs, finds there
what was simulated before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.caller import Caller
from app.database import Database, insert_or_ignore, row_count
from app.devices.measured import measurements
from app.devices.repository import device_profile
from app.engine.queues import SIMULATIONS
from app.engine.results import fill
from app.jobs import artifacts, lifecycle
from app.jobs.rows import answer_values, reusable_hash
from app.kit.columns import utc_now
from app.models import JobStatus, Simulation
from planner.designs.goals import metrics_of
from planner.designs.request import DesignSearchRequest
from planner.designs.search import DesignSearch, Proposal
from planner.designs.search import Outcome as Found
from planner.devices import DeviceProfile
from planner.errors import (
    HeadroomError,
    InvalidRequest,
    ModelBuildFailed,
    StepFailed,
    StrategyMismatch,
)
from planner.prediction import Prediction
from planner.request import SimulationRequest, content_hash
from planner.tape import Tape
from planner.versions import versions
from profiler.outcome import Outcome

Simulate = Callable[[dict[str, Any], dict[str, Any]], Awaitable[Outcome]]
OnProgress = Callable[[dict[str, Any]], None]

_CHUNK = 200
_MOST_STORED = 500
"""Stored simulations that one search learns from: the surrogate's time grows with the cube."""
_LASTING = {
    error.type for error in (InvalidRequest, ModelBuildFailed, StepFailed, StrategyMismatch)
}
"""Problems that a design will have again; time and memory may suffice the next time."""


@dataclass(frozen=True)
class _Design:
    """A design that is a valid request, and the hash that its simulation has."""

    number: int
    request: SimulationRequest
    digest: str


class DesignSearchJob:
    """One search from its request to its answer."""

    def __init__(
        self,
        database: Database,
        request: DesignSearchRequest,
        simulate: Simulate,
        on_progress: OnProgress,
        *,
        owner: str | None,
        shared: bool,
    ) -> None:
        """Prepare.

        Args:
            simulate: a request on a device profile, both as JSON.
            owner: whose the simulations become; stored ones that they do not see are not learnt
                from.
            shared: whether others are to see the simulations.
        """
        self._database = database
        self._request = request
        self._simulate = simulate
        self._on_progress = on_progress
        self._owner = owner
        self._shared = shared
        self._search = DesignSearch(request)
        self._designs: dict[int, _Design] = {}
        self._devices: dict[str, DeviceProfile] = {}

    async def outcome(self) -> Outcome:
        """Search to the end."""
        self._devices = await self._profiles()
        await asyncio.to_thread(self._validate)
        await self._recall()
        self._report()
        while (proposal := await asyncio.to_thread(self._search.ask)) is not None:
            self._search.tell(proposal, await self._evaluated(self._designs[proposal.design]))
            self._report(proposal)
        answer = await asyncio.to_thread(self._search.answer)
        return Outcome(
            "succeeded", {"answer": answer.model_dump(mode="json"), "versions": versions()}
        )

    async def _profiles(self) -> dict[str, DeviceProfile]:
        found = {}
        async with self._database.read() as session:
            for name in self._request.devices:
                profile = await device_profile(session, name)
                if profile is None:
                    raise HeadroomError(f"the device profile {name!r} is gone")
                found[name] = (await measurements(session, name)).applied(profile)
        return found

    def _validate(self) -> None:
        """Note the designs that are requests at all."""
        for number, request in self._search.admit().items():
            digest = content_hash(request, versions())
            self._designs[number] = _Design(number, request, digest)

    async def _recall(self) -> None:
        """Learn from the simulations of designs that the store has, the newest first."""
        by_digest = {design.digest: design for design in self._designs.values()}
        digests = [*by_digest]
        async with self._database.read() as session:
            rows = [
                row
                for start in range(0, len(digests), _CHUNK)
                for row in await self._simulations(session, digests[start : start + _CHUNK])
            ]
            rows.sort(key=lambda row: (row.status == JobStatus.SUCCEEDED, row.id), reverse=True)
            for row in rows[:_MOST_STORED]:
                design = by_digest.pop(row.content_hash, None)
                if design is not None and (found := await self._stored(session, design, row)):
                    self._search.know(design.number, found)

    async def _stored(
        self, session: AsyncSession, design: _Design, row: Simulation
    ) -> Found | None:
        if row.status == JobStatus.FAILED:
            problem = row.problem or {}
            lasts = problem.get("type") in _LASTING
            return Found(problem=_words(problem), simulation_id=row.id) if lasts else None
        tape = await artifacts.load(session, row.id, artifacts.TAPE)
        if tape is None:
            return None
        prediction = Prediction.model_validate(row.prediction)
        try:
            return await self._found(design, prediction, tape, row.id)
        except ValueError:  # a tape of another format: simulate it again
            return None

    async def _evaluated(self, design: _Design) -> Found:
        """Simulate a design and keep the simulation."""
        device = self._devices[design.request.device].model_dump(mode="json")
        outcome = await self._simulate(design.request.model_dump(mode="json"), device)
        problem = outcome.problem or {}
        if problem.get("type") == InvalidRequest.type:
            return Found(problem=_words(problem), refused=True)
        simulation_id = await self._kept(design, outcome)
        if outcome.status != "succeeded" or outcome.result is None:
            return Found(problem=_words(problem), simulation_id=simulation_id)
        prediction = Prediction.model_validate(outcome.result["prediction"])
        tape = outcome.artifacts[artifacts.TAPE]
        return await self._found(design, prediction, tape, simulation_id)

    async def _found(
        self, design: _Design, prediction: Prediction, tape: bytes, simulation_id: str | None
    ) -> Found:
        device = self._devices[design.request.device]

        def measure() -> Found:
            metrics = metrics_of(prediction, Tape.load(tape), device, self._request)
            return Found(metrics, simulation_id=simulation_id)

        return await asyncio.to_thread(measure)

    async def _kept(self, design: _Design, outcome: Outcome) -> str | None:
        """Put the simulation into the store; its id, or that of one which was there first."""
        files = await artifacts.compress(outcome.artifacts)
        values = answer_values(
            Simulation.prefix,
            SIMULATIONS,
            design.request,
            design.digest,
            self._owner,
            self._shared,
        )
        values |= {"status": JobStatus.RUNNING, "started_at": utc_now()}
        async with self._database.write() as session:
            if not await row_count(session, insert_or_ignore(session, Simulation, values)):
                own = reusable_hash(design.digest, self._owner)
                same = select(Simulation.id).where(Simulation.reusable_hash == own)
                return await session.scalar(same)
            row = await session.get_one(Simulation, values["id"])
            status = fill(row, outcome)
            await artifacts.save(session, row.id, files)
            await lifecycle.finish(session, row, status, outcome.problem)
            return row.id

    async def _simulations(self, session: AsyncSession, digests: list[str]) -> Iterator[Simulation]:
        chosen = select(Simulation).where(
            Simulation.content_hash.in_(digests),
            Simulation.status.in_((JobStatus.SUCCEEDED, JobStatus.FAILED)),
            Caller(self._owner).visible(Simulation),
        )
        return iter((await session.scalars(chosen)).all())

    def _report(self, proposal: Proposal | None = None) -> None:
        best = self._search.best()
        value = None
        if best is not None and best.metrics is not None:
            value = self._search.goals.value(best.metrics)
        self._on_progress(
            {
                "phase": "recall" if proposal is None else proposal.source,
                "evaluations": self._search.evaluations,
                "most_evaluations": self._request.evaluations,
                "best_value": value,
                "best": None if best is None else best.choices,
            }
        )


def _words(problem: dict[str, Any]) -> str:
    return f"{problem.get('title', 'It failed')}: {problem.get('detail', '')}"
