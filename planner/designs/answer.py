"""What a design search answers, as data."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from planner.designs.capacity import Capacity


class DesignMetrics(BaseModel):
    """What is known of a design that was simulated."""

    model_config = ConfigDict(frozen=True)

    peak_bytes: int
    step_seconds: float | None
    parameter_count: int
    memory_use: float | None = Field(
        None, description="of the device's memory, or its fullest tier; null where not known"
    )
    cost: float | None = Field(None, description="of one step, in the unit of `prices`")
    capacity: Capacity
    score: float = Field(description="the capacity's two parts, mixed by alpha")


class Expected(BaseModel):
    """What the surrogate expected of a design before it was simulated, if ever."""

    model_config = ConfigDict(frozen=True)

    value: float = Field(description="of the objective")
    pessimistic: float = Field(description="one deviation worse")
    extrapolated: bool = Field(
        description="outside of what the designs seen by then span: trust it less"
    )


class Design(BaseModel):
    """One design, and what is known of it."""

    model_config = ConfigDict(frozen=True)

    choices: dict[str, Any] = Field(description="value by the pointer of each axis")
    source: Literal["stored", "initial", "proposed"] = Field(
        description="found in the store, spread over the space, or the surrogate's proposal"
    )
    metrics: DesignMetrics | None = None
    feasible: bool
    violations: list[str] = Field([], description="why it is infeasible")
    expected: Expected | None = Field(None, description="of a proposed one")
    simulation_id: str | None = None


class Untried(BaseModel):
    """A design that was not simulated, for want of evaluations."""

    model_config = ConfigDict(frozen=True)

    choices: dict[str, Any]
    expected: Expected


class RandomSearch(BaseModel):
    """What drawing designs at random would find with as many evaluations, in expectation."""

    model_config = ConfigDict(frozen=True)

    evaluations: int
    expected_value: float | None = Field(
        description="of the best feasible one drawn; null where the space has none"
    )
    nothing_feasible: float = Field(description="probability that none drawn is feasible")
    basis: Literal["simulated", "surrogate"] = Field(
        description="simulated: every design that can be was; surrogate: the rest as expected"
    )
    regret: float | None = Field(
        description="its expected value relative to the best found here: 0.1 is ten per cent worse"
    )


class DesignSearchAnswer(BaseModel):
    """The best design that was simulated, and everything that was learnt on the way."""

    model_config = ConfigDict(frozen=True)

    space_size: int = Field(description="designs, those that cannot be built included")
    stored: int = Field(description="designs whose simulations were in the store")
    evaluations: int = Field(description="designs simulated for this search")
    refused: int = Field(description="designs found to be wrong before anything was simulated")
    best: Design | None = Field(description="null where none of the simulated ones is feasible")
    designs: list[Design] = Field(description="every design looked at, in that order")
    untried: list[Untried] = Field(
        description="the most promising ones that are left; expected, not simulated"
    )
    random_search: RandomSearch
    limitations: list[str]
