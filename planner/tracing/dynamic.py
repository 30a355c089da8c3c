"""Ops whose result depends on numbers that fake tensors have not: what to assume, and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch._ops import OpOverload

if TYPE_CHECKING:
    from planner.tracing.fake import FakeExecution

aten = torch.ops.aten

DYNAMIC: dict[OpOverload, Callable[..., Any]] = {}


def _rule(*funcs: OpOverload) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        for func in funcs:
            DYNAMIC[func] = function
        return function

    return register


@_rule(aten._local_scalar_dense.default)
def _scalar(execution: FakeExecution, func: OpOverload, args: Any, kwargs: Any) -> Any:
    """A number read from data: 0 (False) where nothing is known; checks for NaN, overflow or padding find nothing."""
    (tensor,) = args
    if tensor.constant is not None:
        return tensor.constant.item()
    if tensor.dtype == torch.bool:
        return False
    return 0.0 if tensor.dtype.is_floating_point else 0
