"""What the tape needs to know of an op, looked up once per op and process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch._ops import OpOverload

from planner.tape import OpFlag
from planner.tracing.flops import flop_formula


@dataclass(frozen=True, slots=True)
class OpInfo:
    """Static facts of one `OpOverload`; a composite one is executed as its parts."""

    name: str
    flags: int
    flops: Callable[..., int] | None
    composite: bool

    @property
    def is_view(self) -> bool:
        """The op moves no bytes."""
        return bool(self.flags & OpFlag.view)


_CACHE: dict[OpOverload, OpInfo] = {}


def op_info(func: OpOverload) -> OpInfo:
    """Facts of an op, from its schema and tags."""
    info = _CACHE.get(func)
    if info is None:
        info = _CACHE[func] = _look_up(func)
    return info


def _look_up(func: OpOverload) -> OpInfo:
    returns = [value.alias_info for value in func._schema.returns]
    flags = 0
    if returns and all(alias is not None and not alias.is_write for alias in returns):
        flags |= OpFlag.view
    if func._schema.is_mutable:
        flags |= OpFlag.in_place
    if torch.Tag.nondeterministic_seeded in func.tags:
        flags |= OpFlag.random
    keys = torch._C.DispatchKey
    composite = func.has_kernel_for_dispatch_key(keys.CompositeImplicitAutograd)
    return OpInfo(
        name=str(func).removesuffix(".default"),
        flags=flags,
        flops=flop_formula(func),
        # `silu_backward`, say, is composite too, but the CPU has a kernel of its own for it.
        composite=composite and not func.has_kernel_for_dispatch_key(keys.CPU),
    )


def tensors_in(value: Any, found: list[torch.Tensor]) -> None:
    """Append the tensors of nested lists and tuples, in order."""
    if isinstance(value, torch.Tensor):
        found.append(value)
    elif isinstance(value, (list, tuple)):
        for item in value:
            tensors_in(item, found)
