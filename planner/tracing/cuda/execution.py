"""Fake execution for the simulated CUDA device.

Every tensor of the device is a fake one. Those whose numbers are known (small integers and masks
made of known ones, see `planner.tracing.fake`) carry them along as a tensor of the host, which code
that reads them gets. Tensors of the host are executed as in a trace of the CPU.
"""

from __future__ import annotations

from contextlib import suppress
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

from planner.tracing.cuda import backend
from planner.tracing.cuda.composites import COMPOSITES, WITH_KERNELS
from planner.tracing.cuda.kernels import HOST, KERNELS, PARTS
from planner.tracing.dynamic import DYNAMIC
from planner.tracing.fake import FakeExecution
from planner.tracing.opinfo import OpInfo

_KNOWN = "_known_numbers"
_CPU = torch.device("cpu")
_READ = torch.ops.aten._local_scalar_dense.default
_TO_COPY = torch.ops.aten._to_copy.default
_PARTS = COMPOSITES | PARTS
_EQUAL = torch.ops.aten.equal.default


class _Mode(FakeTensorMode):  # type: ignore[no-untyped-call]
    @property
    def avoid_device_init(self) -> bool:
        """No kernel of the device can run, so no constant is made on it."""
        return True


class DeviceExecution(FakeExecution):
    """Executes ops on the simulated device, and those on the host beside it."""

    kernels = KERNELS
    has_host = True

    def __init__(self) -> None:
        super().__init__(_Mode(allow_non_fake_inputs=True), backend.DEVICE)

    def is_composite(self, func: OpOverload, info: OpInfo) -> bool:
        """Whether CUDA executes the op as its parts."""
        return func in _PARTS or (info.composite and func not in WITH_KERNELS)

    def decompose(self, func: OpOverload, args: Any, kwargs: Any) -> Any:
        """A composite op's result, made by its parts."""
        parts = _PARTS.get(func)
        return super().decompose(func, args, kwargs) if parts is None else parts(*args, **kwargs)

    def known(self, tensor: Tensor) -> Tensor | None:
        """The tensor's numbers, on the host; none where they are not known."""
        if not isinstance(tensor, FakeTensor):
            return tensor
        numbers: Tensor | None = tensor.__dict__.get(_KNOWN)
        return numbers

    def copy_known(self, tensor: Tensor) -> Tensor:
        """A tensor of its own with the same known numbers, where the tensor is."""
        numbers = self.known(tensor)
        assert numbers is not None
        copy: Tensor = self._place(numbers.clone()) if self.on_device(tensor) else numbers.clone()
        return copy

    def on_device(self, tensor: Tensor) -> bool:
        """Whether the tensor occupies memory of the device."""
        return isinstance(tensor, FakeTensor) and tensor.fake_device == self.device

    def run(
        self, func: OpOverload, types: Any, args: Any, kwargs: Any, inputs: list[Tensor]
    ) -> Any:
        """The op's result; fake where it is on the device, whatever else is known of it."""
        target = kwargs.get("device")
        if not any(map(self.on_device, inputs)) and (
            target is None or not backend.is_simulated(target)
        ):
            return super().run(func, types, args, kwargs, inputs)
        known = [self.known(tensor) for tensor in inputs]
        if all(numbers is not None for numbers in known):
            return self._run_known(func, types, args, kwargs)
        rule = DYNAMIC.get(func) or self.kernels.get(func)
        if rule is not None:
            return self._place(rule(self, func, args, kwargs))
        return self._memo.run(func, types, args, kwargs)

    def _run_known(self, func: OpOverload, types: Any, args: Any, kwargs: Any) -> Any:
        """An op whose inputs' numbers are all known: computed, where the result is small."""

        def compute() -> Any:
            return HOST.get(func, func)(*self._on_host(args), **self._on_host(kwargs))

        if func in (_READ, _EQUAL):
            return compute()
        if func is _TO_COPY and kwargs.get("device", self.device) == _CPU:
            return compute()
        if func._schema.is_mutable and not func._schema.returns:
            compute()
            return self._memo.run(func, types, args, kwargs)
        if func in DYNAMIC:
            return self._place(compute())
        rule = self.kernels.get(func)
        try:
            result = (
                rule(self, func, args, kwargs)
                if rule is not None
                else self._memo.run(func, types, args, kwargs)
            )
        except (DynamicOutputShapeException, DataDependentOutputException):
            return self._place(compute())  # shape or number follow from values
        outputs = result if isinstance(result, (tuple, list)) else (result,)
        if func._schema.is_mutable or all(
            not isinstance(output, Tensor) or self._stays_real(output) for output in outputs
        ):
            with suppress(RuntimeError):  # a kernel that the host has not: nothing is known
                numbers = compute()
                known = numbers if isinstance(numbers, (tuple, list)) else (numbers,)
                self._attach(outputs, known)
        return result

    def _attach(self, outputs: Any, numbers: Any) -> None:
        for output, value in zip(outputs, numbers, strict=True):
            if isinstance(output, FakeTensor) and isinstance(value, Tensor):
                output.__dict__[_KNOWN] = value

    def _on_host(self, value: Any) -> Any:
        """The argument with known numbers in place of fake tensors."""
        if isinstance(value, FakeTensor):
            return value.__dict__[_KNOWN]
        if isinstance(value, (list, tuple)):
            return type(value)(self._on_host(item) for item in value)
        if isinstance(value, dict):
            return {key: self._on_host(item) for key, item in value.items()}
        if isinstance(value, torch.device) and backend.is_simulated(value):
            return _CPU
        return value

    def _place(self, value: Any) -> Any:
        """A rule's result on the device: what it made of numbers becomes a fake tensor that knows
        them.
        """
        if isinstance(value, (list, tuple)):
            return type(value)(self._place(item) for item in value)
        if not isinstance(value, Tensor) or isinstance(value, FakeTensor):
            return value
        layout = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")
        fake = FakeTensor(self.mode, layout, self.device)
        fake.__dict__[_KNOWN] = value
        return fake
