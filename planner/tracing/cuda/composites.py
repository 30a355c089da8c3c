"""Composite ops that ask whether they are on CUDA, answered for the simulated device.

Composite functions of ATen run above the dispatch key, so the CPU build's own code runs them here
too. Where it asks `is_cuda()` and takes another way, the way of CUDA is registered instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch._ops import OpOverload

from planner.tracing.cuda import backend
from planner.tracing.cuda.sdpa import attend

aten = torch.ops.aten

# Ops with both a composite function and kernels of CUDA's own: torch runs the composite where a
# device has no kernel (native_functions.yaml). The dispatch mode takes the op before any kernel.
WITH_KERNELS = frozenset(
    {
        aten.silu_backward.default,
        aten.mish_backward.default,
        aten._fused_rms_norm.default,
        aten._fused_rms_norm_backward.default,
    }
)


def register() -> list[Any]:
    """Register the composites above autograd, and that CUDA has kernels of its own."""
    above = backend.implementations("AutogradPrivateUse1")
    for op, function in COMPOSITES.items():
        above.impl(op, function)
    below = backend.implementations("PrivateUse1")
    for op in WITH_KERNELS:
        below.impl(op, _no_kernel)
    return [above, below]


def _no_kernel(*args: Any, **kwargs: Any) -> NoReturn:
    raise NotImplementedError("the simulated device computes nothing")


# ------------------------------------------------------------------ softmax


def _softmax(below: Any) -> Callable[..., Tensor]:
    """Half-precision input and fp32 output take one kernel without a converted copy
    (ATen/native/SoftMax.cpp: `softmax`, `log_softmax`).
    """

    def softmax(input: Tensor, dim: int, dtype: torch.dtype | None = None) -> Tensor:
        half_to_float = input.dtype == torch.float16 and dtype == torch.float32
        converted = input if dtype is None or half_to_float else input.to(dtype)
        output: Tensor = below(converted, dim, half_to_float)
        return output

    return softmax


# ------------------------------------------------------------------ batch normalisation

_MOST_TRAINED, _MOST_EVALUATED = 880_801, 65_535
_LEAST_EPSILON = 0.0  # CUDNN_BN_MIN_EPSILON of cuDNN's headers since 7.5


def _batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, int]:
    """By cuDNN or by ATen's own kernel (ATen/native/Normalization.cpp: `_batch_norm_impl_index`,
    `_select_batch_norm_backend`).
    """
    arguments = (running_mean, running_var, training, momentum, eps)
    if cudnn_enabled and _suits_cudnn(
        input, weight, bias, running_mean, running_var, training, eps
    ):
        assert weight is not None
        assert bias is not None
        dense = input.contiguous(memory_format=_memory_format(input))
        given = (dense, weight.contiguous(), bias.contiguous())
        return (*aten.cudnn_batch_norm(*given, *arguments), 1)
    reserve = torch.empty(0, dtype=torch.uint8, device=input.device)
    return (*aten.native_batch_norm(input, weight, bias, *arguments), reserve, 0)


def _suits_cudnn(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    eps: float,
) -> bool:
    if weight is None or bias is None or input.dim() < 3:
        return False
    if torch.bfloat16 in (input.dtype, weight.dtype):
        return False
    if input.dtype == torch.float16 and weight.dtype != torch.float32:
        return False
    if (running_mean is None) != (running_var is None) or (running_mean is None and not training):
        return False
    most = _MOST_TRAINED if training else _MOST_EVALUATED
    return input.shape[0] <= most and eps >= _LEAST_EPSILON and input.numel() < 2**31 - 1


def _memory_format(tensor: Tensor) -> torch.memory_format:
    """`Tensor::suggest_memory_format`."""
    for dims, layout in ((4, torch.channels_last), (5, torch.channels_last_3d)):
        if tensor.dim() == dims and tensor.is_contiguous(memory_format=layout):
            return torch.contiguous_format if tensor.is_contiguous() else layout
    return torch.contiguous_format


COMPOSITES: dict[OpOverload, Callable[..., Any]] = {
    aten.scaled_dot_product_attention.default: attend,
    aten.softmax.int: _softmax(aten._softmax),
    aten.log_softmax.int: _softmax(aten._log_softmax),
    aten._batch_norm_impl_index.default: _batch_norm,
}
