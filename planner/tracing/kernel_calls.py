"""Calls of kernels as data: the op, and the layouts of its arguments."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload

Layout = tuple[Any, ...]


@dataclass(frozen=True)
class KernelCall:
    """An op and the layouts of its arguments: calls that are equal take equal scratch."""

    func: OpOverload
    arguments: Layout
    keywords: Layout
    flops: int
    output_bytes: int
    grad_mode: bool = False  # for the kernels that ask


def freeze(value: Any) -> Any:
    """Arguments with an `Operand` for each tensor; hashable."""
    if isinstance(value, Tensor):
        return Operand(tuple(value.shape), value.stride(), value.dtype)
    if isinstance(value, (list, tuple)):
        return tuple(freeze(item) for item in value)
    return value


def thaw(value: Any) -> Any:
    """Arguments with zeros for each `Operand`."""
    if isinstance(value, Operand):
        return torch.empty_strided(value.shape, value.strides, dtype=value.dtype).zero_()
    if isinstance(value, tuple):
        return [thaw(item) for item in value]
    return value


@dataclass(frozen=True, slots=True)
class Operand:
    """The layout of a tensor."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype

    @property
    def bytes(self) -> int:
        """Of its elements."""
        return math.prod(self.shape) * self.dtype.itemsize


def operands(call: KernelCall) -> list[Operand]:
    """All tensors among the positional arguments, in no order."""
    found: list[Operand] = []
    pending: list[Any] = [call.arguments]
    while pending:
        value = pending.pop()
        if isinstance(value, Operand):
            found.append(value)
        elif isinstance(value, tuple):
            pending += value
    return found
