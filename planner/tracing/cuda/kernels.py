"""Meta kernels that return another layout, dtype or device than CUDA's own kernels, corrected."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch._ops import OpOverload

from planner.tracing.kernels import col2im, mse_loss
from planner.tracing.rule_table import RuleTable

if TYPE_CHECKING:
    from planner.tracing.fake import FakeExecution

aten = torch.ops.aten

KERNELS = RuleTable()


@KERNELS.of(aten.native_layer_norm_backward.default)
def _layer_norm_backward(execution: FakeExecution, func: OpOverload, args: Any, kwargs: Any) -> Any:
    """The input's gradient is contiguous, whatever the layout of the output's
    (ATen/native/cuda/layer_norm_kernel.cu: `layer_norm_backward_cuda`).
    """
    gradient, *rest = execution.meta(func, args, kwargs)
    if gradient is not None and not gradient.is_contiguous():
        options = {"memory_format": torch.contiguous_format}
        gradient = execution.meta(aten.clone.default, (gradient,), options)
    return (gradient, *rest)


@KERNELS.of(aten._fused_rms_norm.default)
def _rms_norm(execution: FakeExecution, func: OpOverload, args: Any, kwargs: Any) -> Any:
    """Output, and one fp32 statistic a row (ATen/native/cuda/layer_norm_kernel.cu:
    `_fused_rms_norm_cuda`).
    """
    input, normalized = args[:2]
    rows = input.dim() - len(normalized)
    shape = (*input.shape[:rows], *(1 for _ in normalized))
    dtype = torch.float64 if input.dtype == torch.float64 else torch.float32
    with execution.mode:
        return (
            torch.empty_like(input, memory_format=torch.contiguous_format),
            torch.empty(shape, dtype=dtype, device=input.device),
        )


@KERNELS.of(aten._fused_rms_norm_backward.default)
def _rms_norm_backward(execution: FakeExecution, func: OpOverload, args: Any, kwargs: Any) -> Any:
    """Gradients as the input and the weight (`_fused_rms_norm_backward_cuda`)."""
    _, input, _, _, weight, mask = args
    with execution.mode:
        return tuple(
            torch.empty_like(tensor, memory_format=torch.contiguous_format)
            if wanted and tensor is not None
            else None
            for tensor, wanted in zip((input, weight), mask, strict=True)
        )


@KERNELS.of(aten._scaled_dot_product_efficient_attention.default)
def _efficient_attention(execution: FakeExecution, func: OpOverload, args: Any, kwargs: Any) -> Any:
    """Outside of graph capture, dropout's seed and offset are numbers of the host
    (ATen/native/transformers/cuda/attention.cu: `_efficient_attention_forward`).
    """
    output, logsumexp, seed, offset = execution.meta(func, args, kwargs)
    dropout = args[5] if len(args) > 5 else kwargs.get("dropout_p", 0.0)
    if dropout > 0:
        seed, offset = torch.zeros((), dtype=torch.int64), torch.zeros((), dtype=torch.int64)
    return output, logsumexp, seed, offset


@KERNELS.of(aten._scaled_dot_product_cudnn_attention.default)
def _cudnn_attention(execution: FakeExecution, func: OpOverload, args: Any, kwargs: Any) -> Any:
    """The logarithms of the sums only where they are asked for
    (ATen/native/transformers/cuda/attention.cu: `_cudnn_attention_forward`; MHA.cpp:
    `run_cudnn_SDP_fprop`).
    """
    output, logsumexp, *rest = execution.meta(func, args, kwargs)
    wants = args[4]
    if not wants:
        with execution.mode:
            logsumexp = torch.empty(0, dtype=torch.float32, device=output.device)
    return (output, logsumexp, *rest)


# ------------------------------------------------------------------ ops executed as their parts


_GRU_GATES, _GRU_WORKSPACE = 3, 5  # hidden sizes, ATen/native/cuda/RNN.cu


@KERNELS.of(aten._thnn_fused_gru_cell.default)
def _gru_cell(execution: FakeExecution, func: OpOverload, args: Any, kwargs: Any) -> Any:
    """New state and a workspace for backward (ATen/native/cuda/RNN.cu:
    `_thnn_fused_gru_cell_cuda`); torch has no meta kernel.
    """
    state = args[2]
    with execution.mode:
        return (
            torch.empty_like(state, memory_format=torch.contiguous_format),
            state.new_empty(state.shape[0], state.shape[1] * _GRU_WORKSPACE),
        )


@KERNELS.of(aten._thnn_fused_gru_cell_backward.default)
def _gru_cell_backward(execution: FakeExecution, func: OpOverload, args: Any, kwargs: Any) -> Any:
    """Gradients of both gates, the state and both biases (`_thnn_fused_gru_cell_backward_cuda`)."""
    gradient, workspace, has_bias = args
    gates = (workspace.shape[0], workspace.shape[1] // _GRU_WORKSPACE * _GRU_GATES)
    with execution.mode:
        return (
            workspace.new_empty(gates),
            workspace.new_empty(gates),
            torch.empty_like(gradient, memory_format=torch.contiguous_format),
            *(workspace.new_empty(gates[1]) if has_bias else None for _ in range(2)),
        )


# These keep their storages on every device.
KERNELS[aten.mse_loss.default] = mse_loss
KERNELS[aten.col2im.default] = col2im


def _safe_softmax(scores: Tensor, dim: int, dtype: torch.dtype | None = None) -> Tensor:
    """Rows that are masked out entirely become 0 (ATen/native/transformers/attention.cpp:
    `_safe_softmax`, which CUDA has no kernel for).
    """
    output = torch.softmax(scores, dim, dtype=dtype)
    # `eq` with a 0-dimensional tensor, `all`, `where`.
    limit = torch.scalar_tensor(-float("inf"), dtype=output.dtype, device=output.device)
    masked_rows = torch.all(scores.eq(limit), dim, True)
    zero = torch.scalar_tensor(0.0, dtype=output.dtype, device=output.device)
    return torch.where(masked_rows, zero, output)


PARTS: dict[OpOverload, Callable[..., Any]] = {aten._safe_softmax.default: _safe_softmax}


# ------------------------------------------------------------------ numbers that CUDA computes


def _histc(tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """CUDA counts integers, the CPU's kernel only floats."""
    return torch.histc(tensor.double(), *args, **kwargs).to(tensor.dtype)


HOST: dict[OpOverload, Callable[..., Any]] = {aten.histc.default: _histc}
