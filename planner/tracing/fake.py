"""Fake execution: shapes instead of numbers, except where Python code of a model reads the numbers.

Floating-point data is fake. Small integer and boolean tensors made from real ones (ids, masks,
positions, routing constants) are computed for real beside it, so that code which looks at them
(`mask.all()`, `lengths.max().item()`) takes the same path as in a real step.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
)

from planner.tracing.dynamic import DYNAMIC
from planner.tracing.kernels import KERNELS
from planner.tracing.memo import Memo
from planner.tracing.opinfo import OpInfo

REAL_INTEGERS = 1 << 22  # elements; larger integer tensors become fake
# Floats made without fake ones are constants: drop-path rates, read while a model is built; masks
# of ones, which the step asks whether they mask anything.
REAL_FLOATS_BUILDING = 64  # elements; more would take norms' weights for constants
REAL_FLOATS_STEPPING = 1 << 16

_CPU = torch.device("cpu")
_LINEAR = torch.ops.aten.linear.default
_COMPOSITE = torch._C.DispatchKey.CompositeImplicitAutograd
_EXACT = frozenset({torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64})


class FakeExecution:
    """Executes one op at a time for a dispatch mode that is not on the stack meanwhile."""

    kernels = KERNELS
    has_host = False  # a device of its own, so tensors of the host are elsewhere

    def __init__(self, mode: FakeTensorMode | None = None, device: torch.device = _CPU) -> None:
        self.mode = mode or FakeTensorMode(allow_non_fake_inputs=True)
        self.device = device
        self._memo = Memo(self.mode, device)
        self.real_floats = REAL_FLOATS_BUILDING

    def device_of(self, tensor: Tensor) -> torch.device:
        """The device that the tensor says it is on."""
        return tensor.fake_device if isinstance(tensor, FakeTensor) else _CPU

    def is_composite(self, func: OpOverload, info: OpInfo) -> bool:
        """Whether the device executes the op as its parts."""
        return info.composite

    def decompose(self, func: OpOverload, args: Any, kwargs: Any) -> Any:
        """A composite op's result, made by its parts.

        `func.decompose` would prefer torch's decompositions in Python, which have other parts than
        the functions of ATen that run in eager mode.
        """
        if func is _LINEAR and len(args) > 2 and args[2] is not None:
            input, weight, bias = args
            if input.dim() > 2 and not input.is_contiguous():
                # Adds in place, but to fake tensors (ATen/native/Linear.cpp: `linear`,
                # `isTensorSubclassLike`).
                return torch.matmul(input, weight.t()).add_(bias)
        name: str = func._name
        if torch._C._dispatch_has_kernel_for_dispatch_key(name, _COMPOSITE):
            return func._op_dk(_COMPOSITE, *args, **kwargs)
        return func.decompose(*args, **kwargs)

    def on_device(self, tensor: Tensor) -> bool:
        """Whether the tensor occupies memory of the device."""
        return True

    def known(self, tensor: Tensor) -> Tensor | None:
        """The tensor's numbers; none where they are not known."""
        return None if isinstance(tensor, FakeTensor) else tensor

    def copy_known(self, tensor: Tensor) -> Tensor:
        """A tensor of its own with the same known numbers."""
        return tensor.clone()

    def run(
        self, func: OpOverload, types: Any, args: Any, kwargs: Any, inputs: list[Tensor]
    ) -> Any:
        """The op's result, fake or real."""
        if not types:  # no fake tensor among the inputs
            if inputs:
                return self._from_real(func, types, args, kwargs)
            return self._factory(func, types, args, kwargs)
        rule = DYNAMIC.get(func) or self.kernels.get(func)
        if rule is not None:
            return rule(self, func, args, kwargs)
        if func._schema.is_mutable and args and _is_real(args[0]) and _writes_first(func):
            # What is written is not known: the tensor keeps numbers that it should not have, which
            # is as if they had not been written. A fake twin would be memory that never is.
            return args[0]
        return self._memo.run(func, types, args, kwargs)

    def meta(self, func: OpOverload, args: Any, kwargs: Any) -> Any:
        """The op's result according to torch's own meta kernels."""
        return self.mode.dispatch(func, (FakeTensor,), args, kwargs)

    def _stays_real(self, tensor: Tensor) -> bool:
        limit = REAL_INTEGERS if tensor.dtype in _EXACT else self.real_floats
        return tensor.numel() <= limit

    def _factory(self, func: OpOverload, types: Any, args: Any, kwargs: Any) -> Any:
        result = self.mode.dispatch(func, types, args, kwargs)
        if isinstance(result, Tensor) and self._stays_real(result):
            return func(*args, **kwargs)
        return result

    def _from_real(self, func: OpOverload, types: Any, args: Any, kwargs: Any) -> Any:
        if func in _ALWAYS_REAL:
            return func(*args, **kwargs)
        if func._schema.is_mutable or func in DYNAMIC:
            return func(*args, **kwargs)
        try:
            result = self.mode.dispatch(func, types, args, kwargs)
        except (DynamicOutputShapeException, DataDependentOutputException):
            return func(*args, **kwargs)  # shape or number follow from values, which are known here
        outputs = result if isinstance(result, (tuple, list)) else (result,)
        if all(not isinstance(output, Tensor) or self._stays_real(output) for output in outputs):
            return func(*args, **kwargs)
        return result


def _writes_first(func: OpOverload) -> bool:
    written = func._schema.arguments[0].alias_info
    return written is not None and bool(written.is_write)


def _is_real(value: Any) -> bool:
    return isinstance(value, Tensor) and not isinstance(value, FakeTensor)


_ALWAYS_REAL = frozenset(
    {
        torch.ops.aten._local_scalar_dense.default,
        torch.ops.aten.lift_fresh.default,
        torch.ops.aten.equal.default,
    }
)
