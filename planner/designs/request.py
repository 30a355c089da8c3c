"""What a design search is asked, as validated data. Nothing here imports torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from planner.data import Data
from planner.quantities import Bytes
from planner.variation import VariedRequest

MAX_DESIGNS = 4_096
MAX_EVALUATIONS = 256

Objective = Literal["peak_bytes", "step_seconds", "cost", "score"]


class Transformer(Data):
    """Sizes as FlexiBERT (arXiv 2205.11656) names them; fields left out stay as in the model."""

    hidden: list[int] = Field([], max_length=64, description="H: width of the model")
    heads: list[int] = Field([], max_length=64, description="A: attention heads of a layer")
    layers: list[int] = Field([], max_length=64, description="L: encoder layers")
    feed_forward: list[int] = Field([], max_length=64, description="F: width of feed-forwards")


class Constraints(Data):
    """What a design must keep to; one that does not is infeasible, and learnt from."""

    fits: bool = Field(
        True, description="the device's memory, and each of its tiers, as far as they are known"
    )
    peak_bytes: Bytes | None = Field(None, gt=0, description="at most")
    step_seconds: float | None = Field(None, gt=0, description="at most")
    parameter_count: int | None = Field(None, ge=1, le=2**53, description="at most")
    score: float | None = Field(None, gt=0, description="at least")


class DesignSearchRequest(VariedRequest):
    """The body of `POST /v1/design-searches`: a simulation, and what of it varies."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": {
                        "source": "transformers",
                        "task": "fill-mask",
                        "config": {"model_type": "bert", "vocab_size": 1000},
                    },
                    "workload": {"mode": "train", "batch_size": 4, "sequence_length": 64},
                    "transformer": {"hidden": [64, 128], "layers": [1, 2, 4]},
                    "objective": "score",
                    "constraints": {"peak_bytes": "20MiB"},
                    "evaluations": 4,
                }
            ]
        }
    )

    transformer: Transformer | None = Field(
        None, description="axes of a transformer's sizes, by name; of `source: transformers`"
    )
    objective: Objective = Field(
        "peak_bytes",
        description="what the best design has least of; most of, where it is the `score`",
    )
    constraints: Constraints = Field(default_factory=Constraints)
    prices: dict[Annotated[str, Field(max_length=100)], Annotated[float, Field(gt=0)]] = Field(
        {}, max_length=100, description="of an hour of each device; `cost` is that of one step"
    )
    alpha: float = Field(
        0.5, ge=0, le=1, description="weight of attention in the score; feed-forward has the rest"
    )
    evaluations: int = Field(
        20,
        ge=1,
        le=MAX_EVALUATIONS,
        description="designs to simulate at most; those found in the store do not count",
    )
    seed: int = Field(0, ge=0, le=2**31 - 1)
