"""Whether a planned step has the loss and the gradients of the unplanned one.

Both are computed on one model: same weights, same inputs, same random seed, dropout active. Only
then does a strategy prove that it changes memory and nothing else.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from planner.apply import apply_strategy, remove_strategy
from planner.levers import effective
from planner.request import SimulationRequest
from planner.step import Job, forward, prepare
from planner.strategy import OptimizerChoice, Strategy

TOLERANCES = {
    "fp64": 1e-4,
    "fp32": 1e-4,
    "bf16": 0.0625,
    "amp-bf16": 0.0625,
    "fp16": 0.01,
    "amp-fp16": 0.01,
}
"""Largest relative difference that is called a match, by precision: for the half precisions about
8 units in the last place, for fp32 what sums of some thousand terms in another order may differ;
for fp64 too, since models cast their logits to fp32 for the loss."""

LEAST_SCALE = 1e-3
"""Gradients smaller than this share of the model's largest are compared on its scale: some are zero
but for rounding (a key's bias under softmax, a convolution's before a batch norm)."""

_LOSS_SCALE = 1024.0  # of fp16, as loss scaling does: small gradients would be lost to zero
_SEED = 20_240


class GradientsMatch(BaseModel):
    """The comparison; every number is finite, or None where the planned step's is not."""

    model_config = ConfigDict(frozen=True)

    match: bool = Field(description="loss and every gradient are equal within the tolerance")
    bitwise: bool = Field(description="loss and every gradient are equal, number by number")
    loss_difference: float | None
    largest_relative_difference: float | None = Field(
        description="over all parameters: largest difference within a gradient by the largest "
        "magnitude of that gradient, or by a thousandth of the model's where that is more"
    )
    tolerance: float
    parameters: int = Field(description="how many parameters' gradients were compared")
    dropout: bool = Field(description="forward drew random numbers, as dropout does")
    note: str | None = None


class NotComparable(Exception):
    """There is nothing to compare with; the message says why."""


def compare_gradients(request: SimulationRequest, device: str = "cpu") -> GradientsMatch:
    """Build the request's model without what `planner.apply` does, and compare with and without.

    Micro-batches, attention, precision and optimizer states are in place on both sides: they change
    the model or its inputs. One micro-batch is compared. Beside the unplanned step (without
    optimizer state) one more copy of the gradients is held.

    Raises:
        NotComparable: no training, or the unplanned gradients are not finite themselves.
        HeadroomError: the model cannot be built, or the strategy does not fit it.
    """
    if request.workload.mode != "train":
        raise NotComparable("only training has gradients")
    shape = {"units": [], "loss_chunks": 1, "loss_head": None, "checkpointing": "none"}
    shape["optimizer"] = OptimizerChoice()
    plain = request.strategy.model_copy(update=shape)
    job = prepare(request.model_copy(update={"strategy": plain}), device)
    return compare_on(job, request.strategy, effective(request).workload.precision)


def compare_on(job: Job, strategy: Strategy, precision: str) -> GradientsMatch:
    """Compare on a job that has no strategy applied, and leave it so, without gradients.

    Raises:
        NotComparable: the unplanned loss or gradients are not finite.
        StrategyMismatch: the strategy was made for another model.
    """
    model = job.model
    scale = _LOSS_SCALE if precision.endswith("fp16") else 1.0
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    reference = _step(job, scale)
    gradients = _take_gradients(model)
    with torch.no_grad():  # running statistics and the like are part of what the step starts from
        for name, buffer in model.named_buffers():
            buffer.copy_(buffers[name])
    # An optimizer that steps in backward would consume the gradients.
    apply_strategy(model, strategy.model_copy(update={"optimizer": OptimizerChoice()}))
    try:
        planned = _step(job, scale)
    finally:
        remove_strategy(model)
    found = _Differences(reference.loss, planned.loss)
    for name, parameter in model.named_parameters():
        found.add(gradients.pop(name, None), parameter.grad)
        parameter.grad = None
    in_backward = strategy.optimizer.in_backward
    return GradientsMatch(
        **found.summary(TOLERANCES[precision]),
        dropout=reference.drew,
        note="compared without the optimizer's step in backward, which consumes gradients"
        if in_backward
        else None,
    )


@dataclass(frozen=True)
class _Step:
    loss: float
    drew: bool


def _step(job: Job, scale: float) -> _Step:
    """One forward and backward from the seed; gradients are left on the parameters."""
    state = _seed(job.device_type)
    before = state()
    loss = forward(job)
    drew = not torch.equal(before, state())
    (loss * scale).backward()  # type: ignore[no-untyped-call]
    return _Step(float(loss.detach()), drew)


def _seed(device_type: str) -> Callable[[], Tensor]:
    """Seed every generator that a model may draw from; returns what tells the device's state."""
    torch.manual_seed(_SEED)  # of every device
    random.seed(_SEED)
    np.random.seed(_SEED)  # some models mask with it
    return torch.cuda.get_rng_state if device_type == "cuda" else torch.get_rng_state


def _take_gradients(model: nn.Module) -> dict[str, Tensor]:
    taken = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    for parameter in model.parameters():
        parameter.grad = None
    return taken


class _Differences:
    """Gathers differences one parameter at a time."""

    def __init__(self, reference_loss: float, planned_loss: float) -> None:
        if not math.isfinite(reference_loss):
            raise NotComparable("the unplanned loss is not finite")
        self._loss = reference_loss
        self._loss_difference = abs(planned_loss - reference_loss)
        self._bitwise = planned_loss == reference_loss
        self._found: list[tuple[float, float]] = []  # largest difference, largest magnitude

    def add(self, reference: Tensor | None, planned: Tensor | None) -> None:
        """Compare one parameter's gradients; a missing one counts as zeros. Takes the reference's
        memory for the difference.
        """
        if reference is None or planned is None:
            present = reference if planned is None else planned
            if present is not None:
                self._bitwise = False
                magnitude = _largest(present)
                self._found.append((magnitude, magnitude if planned is None else 0.0))
            return
        magnitude = _largest(reference)
        if not math.isfinite(magnitude):
            raise NotComparable("the unplanned gradients are not finite")
        if torch.equal(reference, planned):
            self._found.append((0.0, magnitude))
            return
        self._bitwise = False
        self._found.append((_largest(reference.sub_(planned)), magnitude))

    def summary(self, tolerance: float) -> dict[str, Any]:
        """The numbers of a `GradientsMatch`."""
        floor = LEAST_SCALE * max((magnitude for _, magnitude in self._found), default=0.0)
        relative = [
            difference / scale if (scale := max(magnitude, floor)) else difference
            for difference, magnitude in self._found
        ]
        # `max` would pass over a NaN.
        worst = math.nan if any(map(math.isnan, relative)) else max(relative, default=0.0)
        loss_allowed = tolerance * max(1.0, abs(self._loss))
        return {
            "match": worst <= tolerance and self._loss_difference <= loss_allowed,
            "bitwise": self._bitwise,
            "loss_difference": _finite(self._loss_difference),
            "largest_relative_difference": _finite(worst),
            "tolerance": tolerance,
            "parameters": len(self._found),
        }


def _largest(tensor: Tensor) -> float:
    """Largest magnitude, without a copy of the tensor; NaN if one is inside."""
    if tensor.numel() == 0:
        return 0.0
    least, most = torch.aminmax(tensor.detach())
    return max(-float(least), float(most)) if not math.isnan(float(most)) else math.nan


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
