"""What a plan is asked for and what it answers, as validated data. Nothing here imports torch."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from planner.data import Data
from planner.prediction import Prediction
from planner.quantities import Bytes
from planner.request import ModelDescription, SimulationRequest, Workload
from planner.strategy import Strategy

Technique = Literal[
    "checkpointing",
    "selective",
    "segments",
    "offload",
    "micro_batching",
    "chunked_loss",
    "optimizer_implementation",
    "optimizer_in_backward",
    "attention",
    "optimizer_states",
    "precision",
]
CHANGES_MATHEMATICS: frozenset[str] = frozenset({"optimizer_states", "precision"})
DEFAULT_ALLOW: tuple[str, ...] = tuple(
    name for name in get_args(Technique) if name not in CHANGES_MATHEMATICS
)
SolverName = Literal["milp", "chain", "greedy"]


class Budget(Data):
    """What the step may hold."""

    memory: Bytes | None = Field(
        None,
        gt=0,
        description="live bytes at any point of the workload; default: the device's memory",
    )


class PlanRequest(Data):
    """The body of `POST /v1/plans`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": {
                        "source": "transformers",
                        "task": "text-generation",
                        "config": {"model_type": "gpt2", "n_layer": 6},
                    },
                    "workload": {"mode": "train", "batch_size": 4, "sequence_length": 256},
                    "device": "cpu",
                    "budget": {"memory": "1.5GiB"},
                    "allow": ["checkpointing", "selective"],
                }
            ]
        }
    )

    model: ModelDescription
    workload: Workload = Field(default_factory=Workload)
    device: str = Field(
        "cpu",
        min_length=1,
        max_length=100,
        description="name of a device profile; GET /v1/devices lists them",
    )
    budget: Budget = Field(default_factory=Budget)
    allow: list[Technique] | None = Field(
        None,
        max_length=20,
        description="techniques that the plan may use; default: all that leave the mathematics "
        "as it is. GET /v1/techniques describes them",
    )
    units: list[Annotated[str, Field(min_length=1, max_length=300)]] | None = Field(
        None,
        max_length=1_000,
        description="glob patterns of module paths to choose for, such as `transformer.h.*`; "
        "default: the model's repeated blocks, found by themselves",
    )
    solver: SolverName = Field(
        "milp", description="milp: exact, HiGHS; chain: dynamic programme; greedy: a quick bound"
    )
    frontier_points: int = Field(
        8, ge=0, le=32, description="points of the frontier to certify besides the plan; 0: none"
    )
    solve_for: Literal["batch_size", "sequence_length", "device"] | None = Field(
        None, description="find the largest (or the smallest device) that fits the budget"
    )

    @model_validator(mode="after")
    def _names_each_once(self) -> PlanRequest:
        if self.allow is not None and len(set(self.allow)) != len(self.allow):
            raise ValueError("allow names a technique twice")
        return self

    @property
    def allowed(self) -> frozenset[str]:
        """Techniques that may be used."""
        return frozenset(DEFAULT_ALLOW if self.allow is None else self.allow)

    def simulation(self, strategy: Strategy | None = None) -> SimulationRequest:
        """The same workload as the body of a simulation."""
        return SimulationRequest(
            model=self.model,
            workload=self.workload,
            device=self.device,
            strategy=strategy or Strategy(),
        )


class Overhead(BaseModel):
    """What a strategy costs beside doing nothing."""

    model_config = ConfigDict(frozen=True)

    recompute_flops_ratio: float = Field(
        description="FLOPs of a step over those of the baseline: 1.04 is 4 % more"
    )
    step_seconds_ratio: float = Field(
        description="step time over the baseline's, both by the device profile's roofline; a lever "
        "that would quicken the step by itself counts as neither gain nor loss"
    )


class FrontierPoint(BaseModel):
    """One certified strategy: `peak_bytes` is simulated with it applied."""

    model_config = ConfigDict(frozen=True)

    peak_bytes: int
    overhead: Overhead
    strategy: Strategy


class SolverReport(BaseModel):
    """How the plan was found."""

    model_config = ConfigDict(frozen=True)

    name: str
    solve_seconds: float = Field(description="time inside solvers")
    simulate_seconds: float = Field(description="time spent tracing and certifying")
    simulations: int = Field(description="steps simulated, baseline and certificates included")
    optimality_gap: float | None = Field(
        None, description="proven relative distance of the added time from the solver's optimum"
    )
    estimate_error: float = Field(
        description="certified peak over the solver's estimate of it, minus 1"
    )


class Infeasible(BaseModel):
    """Why nothing fits, and what would."""

    model_config = ConfigDict(frozen=True)

    smallest_budget_bytes: int = Field(description="the least certified peak found")
    smallest_strategy: Strategy
    phase: str = Field(description="phase of that peak")
    held_by: list[str] = Field(description="largest tensors alive at that peak, with their bytes")
    remedies: list[str] = Field(description="what would make it fit")


class Solved(BaseModel):
    """The answer of `solve_for`."""

    model_config = ConfigDict(frozen=True)

    field: Literal["batch_size", "sequence_length", "device"]
    value: int | str = Field(description="the largest value (smallest device) certified to fit")
    too_large: int | str | None = Field(
        None,
        description="the smallest value tried that does not fit, or the largest such device",
    )


class Plan(BaseModel):
    """The cheapest strategy found for a budget. Every peak in it is certified by simulation."""

    model_config = ConfigDict(frozen=True)

    feasible: bool
    budget_bytes: int
    strategy: Strategy | None = None
    prediction: Prediction | None = Field(None, description="of the step with the strategy applied")
    baseline: Prediction = Field(description="of the step with nothing applied")
    overhead: Overhead | None = None
    frontier: list[FrontierPoint] = Field([], description="least peak last, each dearer")
    infeasible: Infeasible | None = None
    solved: Solved | None = None
    solver: SolverReport
    limitations: list[str] = []
