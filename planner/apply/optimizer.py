"""How an optimizer steps: another of torch's implementations, or parameter by parameter within
backward. The mathematics stays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from planner.errors import StrategyMismatch
from planner.strategy import OptimizerChoice

_FLAGS: dict[str, dict[str, bool]] = {
    "foreach": {"foreach": True, "fused": False},
    "for-loop": {"foreach": False, "fused": False},
    "fused": {"foreach": False, "fused": True},
}


def apply_to_optimizer(
    optimizer: torch.optim.Optimizer, choice: OptimizerChoice
) -> Callable[[], None]:
    """Change how the optimizer steps; returns what undoes it.

    Raises:
        StrategyMismatch: the optimizer has no such implementation.
    """
    undo = [_implement(optimizer, choice.implementation)] if choice.implementation else []
    if choice.in_backward:
        undo.append(_step_in_backward(optimizer))

    def undo_all() -> None:
        for each in reversed(undo):
            each()

    return undo_all


def _implement(optimizer: torch.optim.Optimizer, implementation: str) -> Callable[[], None]:
    flags = _FLAGS[implementation]
    kind = type(optimizer).__name__
    before: list[dict[str, Any]] = []
    for group in optimizer.param_groups:
        missing = [name for name, value in flags.items() if value and name not in group]
        if missing:
            raise StrategyMismatch(f"{kind} has no {implementation} implementation")
        known = {name: value for name, value in flags.items() if name in group}
        before.append({name: group[name] for name in known})
        group.update(known)

    def undo() -> None:
        for group, values in zip(optimizer.param_groups, before, strict=False):
            group.update(values)

    return undo


def _step_in_backward(optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    """Step each parameter when its gradient is complete, then drop the gradient (as torch's
    tutorial "How to save memory by fusing the optimizer step into the backward pass").

    `optimizer.step()` afterwards finds no gradients and does nothing. Gradients cannot be
    accumulated over several backward passes, nor clipped by their common norm.
    """
    handles = []
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            hook = _StepOne(optimizer, group)
            handles.append(parameter.register_post_accumulate_grad_hook(hook))

    def undo() -> None:
        for handle in handles:
            handle.remove()

    return undo


class _StepOne:
    """Steps one parameter with the state and the current options of its group."""

    def __init__(self, optimizer: torch.optim.Optimizer, group: dict[str, Any]) -> None:
        self._optimizer = optimizer
        self._group = group

    def __call__(self, parameter: Tensor) -> None:
        optimizer = self._optimizer
        groups = optimizer.param_groups
        optimizer.param_groups = [{**self._group, "params": [parameter]}]
        try:
            optimizer.step()
        finally:
            optimizer.param_groups = groups
        parameter.grad = None
