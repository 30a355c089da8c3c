"""What sweeps look like over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.kit.pages import PageQuery, Text
from app.kit.problems import Problem
from app.models import JobStatus
from planner.sweeps import SweepRequest


class SweepCounts(BaseModel):
    """How many of a sweep's points are in which state."""

    model_config = ConfigDict(from_attributes=True)

    total: int
    succeeded: int = 0
    failed: int = Field(0, description="those that cannot be, too")
    cancelled: int = 0


class SweepSummary(BaseModel):
    """A sweep without its points."""

    id: str
    status: JobStatus = Field(
        description="that of its simulations together: `succeeded` when all have ended and one has "
        "succeeded, `failed` when none has"
    )
    counts: SweepCounts
    request: SweepRequest = Field(description="as validated, with every default filled in")
    created_at: datetime
    owner: str | None = Field(
        None, description="whose keys may cancel and delete it; null: none was given"
    )
    shared: bool = Field(False, description="whether everybody sees it; who owns it always does")


class SweepPointResource(BaseModel):
    """One combination of the values, with what its simulation predicts."""

    number: int = Field(description="place among all combinations, the last axis the fastest")
    values: dict[str, Any] = Field(description="by the pointers of the axes")
    simulation_id: str | None = Field(None, description="null where the combination cannot be")
    status: JobStatus
    peak_bytes: int | None = None
    reserved_bytes: int | None = None
    device_bytes: int | None = None
    fits: bool | None = None
    step_seconds: float | None = None
    problem: Problem | None = Field(None, description="why it failed, or cannot be")


class SweepResource(SweepSummary):
    """A sweep with its points."""

    points: list[SweepPointResource]


class SweepPage(BaseModel):
    """A page of sweeps, newest first."""

    items: list[SweepSummary]
    next_cursor: str | None


class SweepQuery(PageQuery):
    """Filters of the list."""

    status: list[JobStatus] = Field([], max_length=10, description="any of these")
    model_type: Text | None = None
    task: Text | None = None
    mode: Text | None = None
    owner: Text | None = Field(None, description="only what this one owns, as far as you see it")
    mine: bool = Field(False, description="only what the owner of the key owns")
    shared: bool | None = None
