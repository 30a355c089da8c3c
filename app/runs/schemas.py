"""What runs look like over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from app.jobs.schemas import JobQuery, JobResource
from app.kit.labels import Label, LabelName
from app.kit.pages import Text
from planner.prediction import Phase
from profiler.measured import Measured


class Reported(BaseModel):
    """What somebody's own training script took, measured there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    peak_bytes: int = Field(ge=0, lt=2**53, description="most live bytes at any point")
    reserved_bytes: int | None = Field(None, ge=0, lt=2**53)
    device_bytes: int | None = Field(None, ge=0, lt=2**53)
    step_seconds: float | None = Field(None, gt=0, allow_inf_nan=False)
    notes: list[Annotated[str, Field(max_length=1_000)]] = Field([], max_length=20)


class Environment(BaseModel):
    """Where a reported run was made."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    versions: dict[LabelName, Annotated[str, Field(max_length=100)]] = Field({}, max_length=60)
    device: Annotated[str, Field(max_length=200)] | SkipJsonSchema[None] = None
    reported_by: Annotated[str, Field(max_length=100)] | SkipJsonSchema[None] = None


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
                },
                {"plan_id": "plan_019aaf2e5c0d0123456789abcdef"},
            ]
        },
    )

    simulation_id: Annotated[str, Field(max_length=100)] | SkipJsonSchema[None] = Field(
        default=None, description="a succeeded simulation, whose request is run; or plan_id"
    )
    plan_id: Annotated[str, Field(max_length=100)] | SkipJsonSchema[None] = Field(
        default=None, description="a feasible plan, which is run beside the unplanned step"
    )
    labels: dict[LabelName, Label] | None = Field(
        default=None,
        max_length=20,
        description="what the worker must have; default: the kind of the device predicted for, "
        "and where that is cuda its profile: a card that a built-in profile describes",
    )
    measured: Reported | SkipJsonSchema[None] = Field(
        default=None,
        description="of a run that was made elsewhere, such as by one's own training script: it is "
        "stored as it is reported, and no worker runs anything",
    )
    environment: Environment | SkipJsonSchema[None] = Field(
        default=None, description="where it was measured; with measured only"
    )


class Predicted(BaseModel):
    """The part of the prediction that a run measures."""

    peak_bytes: int
    peak_phase: str
    phases: list[Phase]
    reserved_bytes: int | None = None
    device_bytes: int | None = None
    step_seconds: float | None = None
    step_seconds_basis: str | None = Field(None, description="roofline, or calibrated by runs")
    roofline_seconds: float | None = None


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


class Baseline(BaseModel):
    """The step that a plan starts from, run with nothing applied. Either field is null."""

    measured: Measured | None = None
    reason: str | None = Field(None, description="why it was not run, such as that it cannot fit")


class GradientsMatch(BaseModel):
    """How the planned step's loss and gradients compare with the unplanned one's."""

    match: bool = Field(description="whether the difference is within the tolerance")
    bitwise: bool = Field(description="whether every gradient is the same to the bit")
    loss_difference: float
    largest_relative_difference: float = Field(description="of any parameter's gradient")
    tolerance: float
    parameters: int = Field(description="parameters compared")
    dropout: bool = Field(description="whether the model drops out, so that random states count")


class NotCompared(BaseModel):
    """Why gradients were not compared."""

    reason: str


class RunResource(JobResource):
    """A real execution, with what was measured beside what was predicted."""

    simulation_id: str | None = None
    plan_id: str | None = None
    model_type: str | None = None
    task: str | None = None
    mode: str | None = None
    device: str = Field(description="profile that was predicted for")
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
    baseline: Baseline | None = Field(None, description="of a plan: the unplanned step, measured")
    gradients_match: GradientsMatch | NotCompared | None = Field(
        None,
        description="of a plan: whether it computes what the unplanned step does, or why that is"
        " not known",
    )
    slowdown: float | None = Field(
        None, description="of a plan: measured step time over the unplanned step's"
    )


class RunPage(BaseModel):
    """A page of runs, newest first."""

    items: list[RunResource]
    next_cursor: str | None


class RunQuery(JobQuery):
    """Filters of the list."""

    simulation_id: Text | None = None
    plan_id: Text | None = None
