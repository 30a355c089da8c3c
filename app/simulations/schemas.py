"""What simulations look like over HTTP."""

from __future__ import annotations

from pydantic import BaseModel, Field

from app.jobs.schemas import JobResource
from app.kit.pages import PageQuery, Text
from app.models import JobStatus
from planner.prediction import Prediction
from planner.request import SimulationRequest


class SimulationResource(JobResource):
    """A request with its prediction."""

    request: SimulationRequest = Field(description="as validated, with every default filled in")
    prediction: Prediction | None = None
    versions: dict[str, str] = Field(description="versions of everything that decides the number")


class SimulationPage(BaseModel):
    """A page of simulations, newest first."""

    items: list[SimulationResource]
    next_cursor: str | None


class SimulationQuery(PageQuery):
    """Filters of the list."""

    status: list[JobStatus] = Field([], max_length=10, description="any of these")
    model_type: Text | None = None
    task: Text | None = None
    mode: Text | None = None
    device: Text | None = None
