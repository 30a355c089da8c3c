"""What design searches look like over HTTP."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field, model_validator

from app.jobs.schemas import ADDED, JobQuery, JobResource
from app.kit.pages import Text
from app.models import DesignSearch
from planner.designs.answer import Design, RandomSearch, Untried
from planner.designs.request import DesignSearchRequest, Objective


class DesignSearchResource(JobResource):
    """A space with the best design found in it; everything found is null until then.

    While it is searched, `progress` has how many designs were simulated and the best so far.
    """

    request: DesignSearchRequest = Field(
        description="as validated, the transformer's sizes among the axes"
    )
    versions: dict[str, str] = Field(description="versions of everything that decides the numbers")
    feasible: bool | None = Field(None, description="whether a feasible design was found")
    best_value: float | None = Field(None, description="of the objective, of the best design")
    space_size: int | None = Field(None, description="designs, those that cannot be built included")
    stored: int | None = Field(None, description="designs whose simulations were in the store")
    evaluations: int | None = Field(None, description="designs simulated for this search")
    refused: int | None = Field(None, description="designs found to be wrong before simulation")
    best: Design | None = None
    designs: list[Design] | None = Field(None, description="every design looked at, in that order")
    untried: list[Untried] | None = Field(
        None, description="the most promising ones left; expected, not simulated"
    )
    random_search: RandomSearch | None = None
    limitations: list[str] | None = None

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, row: Any) -> Any:
        """The fields of what was found stand beside those of the job, not below them."""
        if not isinstance(row, DesignSearch):
            return row
        own = {"request", "versions", "feasible", "best_value"}
        of_the_row = ({*JobResource.model_fields} | own) - ADDED
        return {**(row.answer or {}), **{name: getattr(row, name) for name in of_the_row}}


class DesignSearchPage(BaseModel):
    """A page of design searches, newest first."""

    items: list[DesignSearchResource]
    next_cursor: str | None


class DesignSearchQuery(JobQuery):
    """Filters of the list."""

    mode: Text | None = None
    objective: Objective | None = None
    feasible: bool | None = None
