"""What plans look like over HTTP."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field, model_validator

from app.jobs.schemas import ADDED, JobQuery, JobResource
from app.kit.pages import Text
from app.models import Plan
from planner.plans import (
    FrontierPoint,
    Infeasible,
    Overhead,
    PlanRequest,
    Solved,
    SolverReport,
)
from planner.prediction import Prediction
from planner.strategy import Strategy


class PlanResource(JobResource):
    """A request with the strategy found for it; everything found is null until then.

    While it is searched for, `progress` has the phase and the points of the frontier so far.
    """

    request: PlanRequest = Field(description="as validated, with every default filled in")
    versions: dict[str, str] = Field(description="versions of everything that decides the numbers")
    feasible: bool | None = Field(None, description="whether anything fits the budget")
    budget_bytes: int | None = None
    strategy: Strategy | None = Field(None, description="the cheapest that fits")
    prediction: Prediction | None = Field(None, description="of the step with the strategy applied")
    baseline: Prediction | None = Field(None, description="of the step with nothing applied")
    overhead: Overhead | None = None
    frontier: list[FrontierPoint] | None = Field(
        None, description="certified strategies for other budgets; least peak last"
    )
    infeasible: Infeasible | None = Field(None, description="why nothing fits, and what would")
    solved: Solved | None = None
    solver: SolverReport | None = None
    limitations: list[str] | None = None

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, row: Any) -> Any:
        """The fields of what was found stand beside those of the job, not below them."""
        if not isinstance(row, Plan):
            return row
        of_the_row = {*JobResource.model_fields, "request", "versions"} - ADDED
        return {**(row.plan or {}), **{name: getattr(row, name) for name in of_the_row}}


class PlanPage(BaseModel):
    """A page of plans, newest first."""

    items: list[PlanResource]
    next_cursor: str | None


class PlanQuery(JobQuery):
    """Filters of the list."""

    mode: Text | None = None
    feasible: bool | None = None
