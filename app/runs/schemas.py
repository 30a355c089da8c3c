"""What runs look like over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from app.jobs.schemas import JobResource
from app.kit.pages import PageQuery, Text
from app.models import JobStatus
from planner.prediction import Phase
from profiler.measured import Measured

Label = Annotated[
    str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._:/-]*$")
]
LabelName = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z][a-z0-9_.-]*$")]


class RunCreate(BaseModel):
    """The body of `POST /v1/runs`."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "simulation_id": "sim_019aaf2e5c0d0123456789abcdef",
                    "labels": {"device": "cpu"},
                }
            ]
        },
    )

    simulation_id: Annotated[str, Field(max_length=100)] | SkipJsonSchema[None] = Field(
        default=None, description="a succeeded simulation, whose request is run"
    )
    plan_id: SkipJsonSchema[Any] = None
    labels: dict[LabelName, Label] | None = Field(
        default=None,
        max_length=20,
        description="what the worker must have; default: the kind of the simulation's device",
    )


class Predicted(BaseModel):
    """The part of the prediction that a run measures."""

    peak_bytes: int
    peak_phase: str
    phases: list[Phase]
    reserved_bytes: int | None = None
    device_bytes: int | None = None
    step_seconds: float | None = None


class PhaseComparison(BaseModel):
    """One phase, predicted and measured."""

    name: str
    predicted_peak_bytes: int | None
    measured_peak_bytes: int | None
    relative_error: float | None


class WorkerRef(BaseModel):
    """The worker that executed a run, as it was then."""

    id: str
    hostname: str
    labels: dict[str, str]
    device: dict[str, Any]


class RunResource(JobResource):
    """A real execution, with what was measured beside what was predicted."""

    simulation_id: str
    labels: dict[str, str]
    predicted: Predicted
    measured: Measured | None = None
    relative_error: float | None = Field(
        None, description="of the peak: (predicted - measured) / measured"
    )
    phases: list[PhaseComparison] | None = None
    worker: WorkerRef | None = None
    environment: dict[str, Any] | None = Field(
        None, description="versions, threads, device, allocator and library settings of the run"
    )


class RunPage(BaseModel):
    """A page of runs, newest first."""

    items: list[RunResource]
    next_cursor: str | None


class RunQuery(PageQuery):
    """Filters of the list."""

    status: list[JobStatus] = Field([], max_length=10, description="any of these")
    simulation_id: Text | None = None
    model_type: Text | None = None
    task: Text | None = None
    device: Text | None = None
