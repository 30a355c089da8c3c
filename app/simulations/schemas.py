"""What simulations look like over HTTP."""

from __future__ import annotations

from pydantic import BaseModel, Field

from app.jobs.schemas import JobQuery, JobResource
from app.kit.pages import Text
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


class SimulationQuery(JobQuery):
    """Filters of the list."""

    mode: Text | None = None
