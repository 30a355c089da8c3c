"""A memo of what ops return: same op, same layouts and numbers in, same layouts out.

`FakeTensorMode` has such a cache too, built for every kind of tensor; most of a trace's time goes
into its keys. Ops on plain strided tensors, which are nearly all, need less: shapes, strides,
dtypes and numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

_CPU = torch.device("cpu")
_NUMBERS = (bool, int, float)
_OPAQUE = (str, type(None), torch.dtype, torch.device, torch.layout, torch.memory_format)
_UNCACHED_TAGS = (
    torch.Tag.data_dependent_output,
    torch.Tag.dynamic_output_shape,
    torch.Tag.inplace_view,
)


class _NoKey(Exception):
    """The call cannot be told from others by layouts alone."""


@dataclass(frozen=True, slots=True)
class _Output:
    """Layout of a result: a tensor of its own, or a view of argument `base`, or that argument
    itself.
    """

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    dtype: torch.dtype
    base: int | None = None
    same: bool = False


class Memo:
    """Results of ops by the layouts of their arguments, for one `FakeTensorMode` and one device."""

    def __init__(self, mode: FakeTensorMode, device: torch.device = _CPU) -> None:
        self._mode = mode
        self._device = device
        self._known: dict[Any, tuple[_Output, ...]] = {}
        self._uncached: dict[OpOverload, bool] = {}

    def run(self, func: OpOverload, types: Any, args: Any, kwargs: Any) -> Any:
        """The op's result on fake tensors."""
        if self._is_uncached(func):
            return self._mode.dispatch(func, types, args, kwargs)
        try:
            key = (func, *self._key(args), *(self._key(kwargs.items()) if kwargs else ()))
        except _NoKey:
            return self._mode.dispatch(func, types, args, kwargs)
        outputs = self._known.get(key)
        if outputs is not None:
            results = [self._make(output, args) for output in outputs]
            return results[0] if len(results) == 1 else tuple(results)
        result = self._mode.dispatch(func, types, args, kwargs)
        learned = self._learn(result, args)
        if learned is not None:
            self._known[key] = learned
        return result

    def _is_uncached(self, func: OpOverload) -> bool:
        known = self._uncached.get(func)
        if known is None:
            known = self._uncached[func] = (
                func.namespace != "aten"
                or any(tag in func.tags for tag in _UNCACHED_TAGS)
                or len(func._schema.returns) == 0
            )
        return known

    def _make(self, output: _Output, args: Any) -> Tensor:
        if output.same:
            given: Tensor = args[output.base]
            return given
        empty = torch.empty_strided(output.shape, output.strides, dtype=output.dtype, device="meta")
        if output.base is not None:
            storage = args[output.base].untyped_storage()
            empty.set_(storage, output.offset, output.shape, output.strides)
        return FakeTensor(self._mode, empty, self._device)

    def _key(self, values: Any) -> list[Any]:
        key: list[Any] = []
        for value in values:
            kind = type(value)
            if isinstance(value, Tensor):
                if not isinstance(value, FakeTensor) or value.fake_device != self._device:
                    raise _NoKey
                if value.dtype.is_complex or value.layout is not torch.strided:
                    raise _NoKey
                key += (value.shape, value.stride(), value.dtype, value.storage_offset())
            elif kind in _NUMBERS:
                key += (kind, value)
            elif kind in (list, tuple):
                key.append(tuple(self._key(value)))
            elif isinstance(value, _OPAQUE):
                key.append(value)
            else:
                raise _NoKey
        return key

    def _learn(self, result: Any, args: Any) -> tuple[_Output, ...] | None:
        """The layouts of a result, or None where it is not made of plain tensors and views."""
        results = result if isinstance(result, tuple) else (result,)
        outputs = [self._output(value, args) for value in results]
        if any(output is None for output in outputs) or isinstance(result, list):
            return None
        if isinstance(result, tuple) and len(result) == 1:
            return None
        return tuple(outputs)  # type: ignore[arg-type]

    def _output(self, value: Any, args: Any) -> _Output | None:
        if (
            not isinstance(value, FakeTensor)
            or value.fake_device != self._device
            or value.constant is not None
        ):
            return None
        if value.dtype.is_complex or value.layout is not torch.strided or value.is_neg():
            return None
        own = _Output(tuple(value.shape), value.stride(), int(value.storage_offset()), value.dtype)
        storage = value.untyped_storage()
        for index, given in enumerate(args):
            if given is value:
                return replace(own, base=index, same=True)
            if isinstance(given, Tensor) and given.untyped_storage()._cdata == storage._cdata:
                return replace(own, base=index)
        needed = value.dtype.itemsize * _span(own.shape, own.strides)
        return own if storage.nbytes() == needed and not own.offset else None


def _span(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    if 0 in shape:
        return 0
    return 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
