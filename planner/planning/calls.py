"""What a trace tells of the model's modules: who was called when, with what, and what came out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_flatten, tree_unflatten

from planner.step import STEPS
from planner.tracing.mode import TracingMode

# Arguments of other types could hold tensors of the step, or change from call to call.
_VALUES = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device, slice)
_UNKNOWN = object()

_LAST_STEP = f"step{STEPS - 1}."


@dataclass(frozen=True)
class TensorSpec:
    """Layout of a tensor argument, enough to make another like it."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype
    requires_grad: bool
    storage: int  # on the tape


def span_bytes(shape: tuple[int, ...], strides: tuple[int, ...], dtype: torch.dtype) -> int:
    """Bytes from a tensor's first element to its last: of a storage made for it alone."""
    if 0 in shape:
        return 0
    last = sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    return (1 + last) * dtype.itemsize


@dataclass
class Call:
    """One forward call of a module in the last step traced.

    Attributes:
        first_op, end_op: its ops on the tape.
        arguments: leaves of (args, kwargs): `TensorSpec`, real tensors as they are, other values.
        takes: identity of the tensor given first; `gives`: of the one handed on.
    """

    module: str
    first_op: int
    end_op: int = 0
    phase: str = ""
    arguments: list[Any] = field(default_factory=list)
    structure: Any = None
    takes: int | None = None
    gives: int | None = None
    input_bytes: int = 0  # of the storage given first

    def make_arguments(self, make: Callable[[TensorSpec], Tensor]) -> tuple[Any, Any]:
        """(args, kwargs) with tensors made anew.

        Raises:
            ValueError: an argument is no tensor and no plain value, so it cannot be made again.
        """
        if any(leaf is _UNKNOWN for leaf in self.arguments):
            raise ValueError("it is called with an object that holds state")
        leaves = [make(leaf) if isinstance(leaf, TensorSpec) else leaf for leaf in self.arguments]
        args, kwargs = tree_unflatten(leaves, self.structure)
        return args, kwargs


class CallRecorder:
    """Listens to a trace. Holds no tensor of the step, so lifetimes stay as they are."""

    def __init__(self, mode: TracingMode, names: dict[nn.Module, str]) -> None:
        self._recorder = mode.recorder
        self._execution = mode.execution
        self._names = names
        self._open: list[Call] = []
        self.calls: list[Call] = []

    def enter(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        """Note the op at which the call begins and what it was given."""
        phase = self._recorder.phases[-1]
        call = Call(self._names[module], self._recorder.op_count, phase=phase)
        self._open.append(call)
        if not phase.startswith(_LAST_STEP):
            return
        leaves, call.structure = tree_flatten((args, kwargs))
        call.arguments = [self._spec(leaf) for leaf in leaves]
        if args and self._is_on_tape(args[0]):
            call.takes = self._recorder.tensor_of(args[0])
            storage = self._recorder.storage_of(args[0])
            call.input_bytes = self._recorder.storage_bytes[storage]
        self.calls.append(call)

    def exit(self, module: nn.Module, output: Any) -> None:
        """Note the op after the call's last and what it hands on."""
        call = self._open.pop()
        call.end_op = self._recorder.op_count
        if call.structure is None:
            return
        first = output[0] if isinstance(output, tuple) and output else output
        if self._is_on_tape(first):
            call.gives = self._recorder.tensor_of(first)

    def _is_on_tape(self, value: Any) -> bool:
        return isinstance(value, Tensor) and self._execution.on_device(value)

    def _spec(self, leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf if isinstance(leaf, _VALUES) else _UNKNOWN
        if isinstance(leaf, nn.Parameter):
            return leaf
        if self._execution.known(leaf) is not None:
            with _disable_current_modes():  # of masks and positions; the copy is not on the tape
                return self._execution.copy_known(leaf)
        return TensorSpec(
            tuple(leaf.shape),
            leaf.stride(),
            leaf.dtype,
            leaf.requires_grad,
            self._recorder.storage_of(leaf),
        )
