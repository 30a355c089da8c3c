"""The choices of a strategy that change what is asked, before any model is built."""

from __future__ import annotations

from typing import Any

from planner.errors import InvalidRequest
from planner.request import Optimizer, SimulationRequest, Workload
from planner.strategy import Strategy

FACTORED = "adafactor"
EIGHT_BIT = "adamw8bit"


def effective(request: SimulationRequest) -> SimulationRequest:
    """The request with micro-batches, attention, precision and optimizer states put in place.

    What `planner.apply` does to a built model stays in the strategy.

    Raises:
        InvalidRequest: the strategy contradicts the workload.
    """
    strategy = request.strategy
    model, workload = request.model, request.workload
    if strategy.attention is not None:
        model = model.model_copy(update={"attention": strategy.attention})
    changes: dict[str, Any] = {}
    if strategy.precision is not None:
        changes["precision"] = strategy.precision
    if strategy.optimizer_states is not None:
        changes["optimizer"] = _with_smaller_states(workload.optimizer, strategy)
    if strategy.micro_batches > 1:
        changes |= _split(workload, strategy.micro_batches)
    workload = workload.model_copy(update=changes)
    if strategy.optimizer.in_backward:
        _check_in_backward(workload)
    done = {"attention": None, "precision": None, "optimizer_states": None, "micro_batches": 1}
    update = {
        "model": model,
        "workload": workload,
        "strategy": strategy.model_copy(update=done),
    }
    return request.model_copy(update=update)


def _split(workload: Workload, parts: int) -> dict[str, int]:
    if workload.batch_size % parts:
        raise InvalidRequest.at(
            "/strategy/micro_batches",
            f"a batch of {workload.batch_size} cannot be split into {parts} equal parts",
            "use a divisor of batch_size",
        )
    return {
        "batch_size": workload.batch_size // parts,
        "gradient_accumulation_steps": workload.gradient_accumulation_steps * parts,
    }


def _check_in_backward(workload: Workload) -> None:
    if workload.gradient_accumulation_steps > 1:
        raise InvalidRequest.at(
            "/strategy/optimizer/in_backward",
            "a step in backward cannot wait for gradients of further micro-batches",
            "use it without accumulation and micro_batches",
        )
    if workload.precision == "amp-fp16":
        raise InvalidRequest.at(
            "/strategy/optimizer/in_backward",
            "scaled fp16 gradients are checked all together before a step",
            "use another precision",
        )


def _with_smaller_states(optimizer: Optimizer, strategy: Strategy) -> Optimizer:
    if optimizer.name not in ("adam", "adamw"):
        raise InvalidRequest.at(
            "/strategy/optimizer_states",
            f"{optimizer.name} has no variant with smaller states here",
            "use it with adam or adamw",
        )
    if strategy.optimizer_states == "factored":
        kept = {key: optimizer.arguments[key] for key in ("lr",) if key in optimizer.arguments}
        return Optimizer(name=FACTORED, **kept)
    dropped = ("foreach", "fused", "amsgrad", "capturable", "differentiable", "maximize")
    kept = {key: value for key, value in optimizer.arguments.items() if key not in dropped}
    return Optimizer(name=EIGHT_BIT, **kept)
