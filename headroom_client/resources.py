"""What the service answers, as data. Fields that a newer service adds are kept, untyped.

Checked against the service's own OpenAPI document by tests/headroom_client/test_openapi.py.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from planner.designs.answer import Design, RandomSearch, Untried
from planner.prediction import Prediction
from profiler.measured import Measured

Status = Literal["queued", "running", "succeeded", "failed", "cancelled", "out_of_memory"]
FINAL = frozenset({"succeeded", "failed", "cancelled", "out_of_memory"})
T = TypeVar("T", bound="Resource")


class Resource(BaseModel):
    """Anything that the service answers with."""

    model_config = ConfigDict(extra="allow", frozen=True)


class Problem(Resource):
    """Why something failed (RFC 9457)."""

    type: str
    title: str
    detail: str | None = None
    errors: list[dict[str, Any]] | None = None


class Job(Resource):
    """What simulations, plans and runs share."""

    id: str
    status: Status
    progress: dict[str, Any] | None = None
    problem: Problem | None = None
    warnings: list[str] = []
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def ended(self) -> bool:
        """Whether it will never change again."""
        return self.status in FINAL


class Simulation(Job):
    """A request with its prediction."""

    request: dict[str, Any]
    prediction: Prediction | None = None
    versions: dict[str, str]


class Overhead(Resource):
    """What a plan costs over the step with nothing applied."""

    recompute_flops_ratio: float
    step_seconds_ratio: float


class FrontierPoint(Resource):
    """A strategy for another budget."""

    peak_bytes: int
    overhead: Overhead
    strategy: dict[str, Any]


class Plan(Job):
    """A request with the cheapest strategy that fits; everything found is None until then."""

    request: dict[str, Any]
    versions: dict[str, str]
    feasible: bool | None = None
    budget_bytes: int | None = None
    strategy: dict[str, Any] | None = None
    prediction: Prediction | None = None
    baseline: Prediction | None = None
    overhead: Overhead | None = None
    frontier: list[FrontierPoint] | None = None
    infeasible: dict[str, Any] | None = None
    solved: dict[str, Any] | None = None
    limitations: list[str] | None = None


class Run(Job):
    """A real execution: measured beside predicted."""

    simulation_id: str | None = None
    plan_id: str | None = None
    labels: dict[str, str]
    predicted: dict[str, Any]
    measured: Measured | None = None
    relative_error: float | None = None
    phases: list[dict[str, Any]] | None = None
    worker: dict[str, Any] | None = None
    environment: dict[str, Any] | None = None
    baseline: dict[str, Any] | None = None
    gradients_match: dict[str, Any] | None = None
    slowdown: float | None = None


class SweepPoint(Resource):
    """One combination of a sweep's values."""

    number: int
    values: dict[str, Any]
    simulation_id: str | None = None
    status: Status
    peak_bytes: int | None = None
    reserved_bytes: int | None = None
    device_bytes: int | None = None
    fits: bool | None = None
    step_seconds: float | None = None
    problem: Problem | None = None


class Sweep(Resource):
    """A simulation of every combination of some values; `points` is None in lists."""

    id: str
    status: Status
    counts: dict[str, int]
    request: dict[str, Any]
    created_at: datetime
    points: list[SweepPoint] | None = None


class DesignSearch(Job):
    """A space with the best design found in it; everything found is None until then."""

    request: dict[str, Any]
    versions: dict[str, str]
    feasible: bool | None = None
    best_value: float | None = None
    space_size: int | None = None
    stored: int | None = None
    evaluations: int | None = None
    refused: int | None = None
    best: Design | None = None
    designs: list[Design] | None = None
    untried: list[Untried] | None = None
    random_search: RandomSearch | None = None
    limitations: list[str] | None = None


class Worker(Resource):
    """A worker that is attached, or was."""

    id: str
    state: str
    labels: dict[str, str]
    device: dict[str, Any]
    versions: dict[str, str]
    jobs: list[str]
    last_seen_at: datetime


class Event(Resource):
    """A change of state. `id` continues a broken stream; `data` has the resource's id and state."""

    id: str
    kind: str
    data: dict[str, Any]


class Page(Resource, Generic[T]):
    """One page of a list."""

    items: list[T]
    next_cursor: str | None = None
