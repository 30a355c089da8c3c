"""Meta kernels that return another layout or dtype than the device's own kernel, corrected.

Found by running both on every op of `benchmarks/accuracy_cases.py` and comparing shapes, strides
and dtypes (torch 2.13).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch._ops import OpOverload

if TYPE_CHECKING:
    from planner.tracing.fake import FakeExecution

aten = torch.ops.aten
Kernel = Callable[["FakeExecution", OpOverload, Any, Any], Any]

KERNELS: dict[OpOverload, Kernel] = {}


def _kernel(func: OpOverload) -> Callable[[Kernel], Kernel]:
    def register(function: Kernel) -> Kernel:
        KERNELS[func] = function
        return function

    return register


@_kernel(aten.native_layer_norm.default)
def _layer_norm(execution: FakeExecution, func: OpOverload, args: Any, kwargs: Any) -> Any:
    """Reduced-precision input with fp32 weights keeps fp32 statistics (ATen/native/layer_norm.cpp:
    `layer_norm_cpu`).
    """
    output, mean, rstd = execution.meta(func, args, kwargs)
    weight = args[2]
    if weight is not None and weight.dtype == torch.float32 and mean.dtype != torch.float32:
        options = {"dtype": torch.float32}
        mean, rstd = (execution.meta(aten._to_copy.default, (s,), options) for s in (mean, rstd))
    return output, mean, rstd


@_kernel(aten.native_layer_norm_backward.default)
def _layer_norm_backward(execution: FakeExecution, func: OpOverload, args: Any, kwargs: Any) -> Any:
    """The input's gradient is contiguous, whatever the layout of the output's
    (ATen/native/layer_norm.cpp: `layer_norm_backward_cpu`).
    """
    gradient, *rest = execution.meta(func, args, kwargs)
    return (_contiguous(execution, gradient), *rest)


@_kernel(aten._embedding_bag.default)
@_kernel(aten._embedding_bag_forward_only.default)
def _embedding_bag(execution: FakeExecution, func: OpOverload, args: Any, kwargs: Any) -> Any:
    """Sums of bf16 rows keep no bag numbers, as those of fp32 and fp16
    (ATen/native/EmbeddingBag.cpp: `is_fast_path_index_select`).
    """
    output, *rest = execution.meta(func, args, kwargs)
    if args[0].dtype == torch.bfloat16 and args[0].device.type == "cpu":
        halves = [_half(execution, arg) for arg in args]
        _, *rest = execution.meta(func, halves, kwargs)
    return (output, *rest)


def _half(execution: FakeExecution, value: Any) -> Any:
    if not isinstance(value, Tensor) or value.dtype != torch.bfloat16:
        return value
    return execution.meta(aten._to_copy.default, (value,), {"dtype": torch.float16})


def _contiguous(execution: FakeExecution, tensor: Tensor | None) -> Tensor | None:
    if tensor is None or tensor.is_contiguous():
        return tensor
    options = {"memory_format": torch.contiguous_format}
    copy: Tensor = execution.meta(aten.clone.default, (tensor,), options)
    return copy
