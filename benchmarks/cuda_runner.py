"""Fills in the CUDA suite's rows: predictions side by side, measurements one at a time."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import planner
from benchmarks.cuda_cases import Case
from benchmarks.cuda_held import held_on
from benchmarks.cuda_rows import Row
from planner.devices import DeviceProfile
from planner.quantities import format_bytes
from planner.tape import Tape
from profiler.executor import JOBS, Executor
from profiler.limits import Limits
from profiler.outcome import Outcome

EXECUTOR_JOBS = {
    "simulate": JOBS["simulate"],
    "run": "benchmarks.cuda_jobs:run",
    "describe": "benchmarks.cuda_jobs:describe",
}
PREDICT_SECONDS = 300.0
MEASURE_SECONDS = 180.0
_ENOUGH_SECONDS = 15.0  # to build a small model and run two steps of it: with less, begin nothing

_KEPT = (
    *("peak_bytes", "peak_phase", "reserved_bytes", "device_bytes", "phases", "at_peak"),
    *("fits", "out_of_memory", "parameter_count", "limitations"),
)

Header = dict[str, Any]


@dataclass
class RowsFile:
    """Rows by case, on disk after every change; without a path nowhere.

    Attributes:
        header: `environment` and `context` of the device that measured, where there was one, and
            `versions` of what predicted.
    """

    path: Path | None
    header: Header = field(default_factory=dict)
    rows: dict[str, Row] = field(default_factory=dict)

    def load(self) -> None:
        """Read what an earlier command left."""
        if self.path is not None and self.path.exists():
            stored = json.loads(self.path.read_text())
            self.header = stored["header"]
            self.rows = {row["name"]: row for row in stored["rows"]}

    def measured_on(self, header: Header) -> None:
        """From now on on this device: measurements of others do not hold."""
        if _machine(self.header) != _machine(header):
            for row in self.rows.values():
                row.pop("measured", None)
        self.header = header

    def select(self, cases: Mapping[str, Case]) -> list[Row]:
        """A row for each case; what was stored of another body under its name is dropped."""
        for name, case in cases.items():
            if self.rows.get(name, {}).get("body") != case.body:
                self.rows[name] = {"name": name, "body": case.body}
        return [self.rows[name] for name in cases]

    def save(self) -> None:
        """Replace the file at once: whatever ends this process, it is whole."""
        if self.path is None:
            return
        partial = self.path.with_name(self.path.name + ".partial")
        partial.write_text(json.dumps({"header": self.header, "rows": list(self.rows.values())}))
        partial.replace(self.path)


def _machine(header: Header) -> tuple[Any, ...]:
    """What a measurement holds for."""
    environment = header.get("environment", {})
    card, using = environment.get("device", {}), environment.get("versions", {})
    return (
        *(card.get(key) for key in ("name", "cuda", "cudnn")),
        *(using.get(key) for key in ("torch", "transformers", "peft")),
        environment.get("settings"),
    )


class Runner:
    """Does what rows lack; everything that takes long happens in the executor's children."""

    def __init__(
        self, executor: Executor, device: DeviceProfile, *, jobs: int, until: float
    ) -> None:
        """Prepare.

        Args:
            jobs: predictions at a time.
            until: `time.monotonic()` after which nothing begins and what runs is given up.
        """
        self._executor = executor
        self._device = device.model_dump(mode="json")
        self._memory_bytes = device.memory_bytes or 0
        self._until = until
        self._cores = asyncio.Semaphore(jobs)
        self._gpu = asyncio.Semaphore(1)
        self._planner = planner_hash()

    async def complete(
        self,
        rows: Sequence[Row],
        cases: Mapping[str, Case],
        on_row: Callable[[Row], None],
        *,
        measuring: bool,
    ) -> None:
        """Predict and, if asked to, measure what is not there yet.

        Args:
            on_row: told each row when all of it is there.
        """

        async def complete(row: Row) -> None:
            columns = [self._predict(row)]
            if measuring:
                columns.append(self._measure(row, cases[row["name"]].minimum_bytes))
            await asyncio.gather(*columns)
            on_row(row)

        await asyncio.gather(*map(complete, rows))

    async def _predict(self, row: Row) -> None:
        body = row["body"] | {"device": self._device["name"]}
        of = _digest(json.dumps([body, self._device, self._planner]).encode())
        if row.get("predicted", {}).get("of") == of:
            return
        async with self._cores:
            limits = self._limits(PREDICT_SECONDS)
            if limits is None:
                row["predicted"] = _skipped("no time was left")
                return
            outcome = await self._executor.simulate(body, self._device, limits=limits)
        row["predicted"] = self._column(outcome)
        if outcome.result is not None:
            prediction = outcome.result["prediction"]
            tape = await asyncio.to_thread(Tape.load, outcome.artifacts["tape"])
            row["predicted"] |= {
                "of": of,
                "prediction": {key: prediction[key] for key in _KEPT},
                "held": await asyncio.to_thread(held_on, tape),
            }

    async def _measure(self, row: Row, minimum_bytes: int) -> None:
        if row.get("measured", {}).get("status") in ("succeeded", "out_of_memory"):
            return
        if self._memory_bytes < minimum_bytes:
            row["measured"] = _skipped(f"for devices from {format_bytes(minimum_bytes)} on")
            return
        async with self._gpu:
            limits = self._limits(MEASURE_SECONDS)
            if limits is None:
                row["measured"] = _skipped("no time was left")
                return
            payload = {"request": row["body"]}
            outcome = await self._executor.execute("run", payload, limits=limits)
        row["measured"] = self._column(outcome) | (outcome.result or {})

    def _limits(self, most_seconds: float) -> Limits | None:
        left = self._until - time.monotonic()
        return Limits(min(most_seconds, left)) if left >= _ENOUGH_SECONDS else None

    def _column(self, outcome: Outcome) -> dict[str, Any]:
        """How a child ended, as a row has it."""
        seconds = round(outcome.exit.wall_seconds or 0.0, 2)
        if outcome.problem is None:
            return {"status": outcome.status, "seconds": seconds}
        if outcome.status == "failed" and time.monotonic() >= self._until:
            return _skipped(f"no time was left after {seconds:g} s of it")
        return {
            "status": outcome.status,
            "seconds": seconds,
            "error": str(outcome.problem.get("detail", "")).partition("\n")[0][:300],
            "phase": outcome.problem.get("phase") or outcome.exit.phase,
        }


def _skipped(why: str) -> dict[str, Any]:
    return {"status": "skipped", "error": why}


def planner_hash() -> str:
    """Of the planner's sources: predictions by others are stale."""
    root = Path(planner.__file__).parent
    parts = (
        str(path.relative_to(root)).encode() + b"\0" + path.read_bytes()
        for path in sorted(root.rglob("*.py"))
    )
    return _digest(b"\0".join(parts))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
