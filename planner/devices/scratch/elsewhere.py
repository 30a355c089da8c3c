"""Families with one fact each: lists of tensors, losses, and kernels that allocate nothing."""

from __future__ import annotations

import math

import torch

from planner.devices.scratch.reductions import sum_sizes
from planner.devices.scratch.table import (
    UNDATED,
    Call,
    Sizes,
    accumulate_bytes,
    ceil_div,
    contiguous,
    entry,
)

aten = torch.ops.aten
_FOLDER = "aten/src/ATen/native/cuda"
_CHUNK = 65_536  # kChunkSize, ATen/native/cuda/MultiTensorApply.cuh


@entry(
    aten._foreach_norm.Scalar,
    what="a partial norm for every chunk of 65,536 elements, as many for each tensor as the "
    "largest has",
    formula="tensors x ceil(largest / 65,536) x 4 (fp64: 8), for the norms 1, 2 and infinity",
    source=f"{_FOLDER}/ForeachReduceOp.cu: foreach_tensor_norm_cuda",
    version=UNDATED,
    limitation="tensors of several dtypes, devices or overlapping layouts take the slow route, "
    "one `linalg_vector_norm` each, which is not modelled",
)
def _foreach_norm(call: Call) -> Sizes:
    tensors, order = call["self"], call["ord"]
    if not tensors or float(order) not in (1.0, 2.0, float("inf")):
        return ()
    if any(not t.is_floating_point() or t.dtype != tensors[0].dtype for t in tensors):
        return ()
    chunks = max(ceil_div(t.numel(), _CHUNK) for t in tensors)
    wider = 8 if call["dtype"] == torch.float64 else accumulate_bytes(tensors[0])
    return (len(tensors) * chunks * wider,)


@entry(
    aten._softmax.default,
    aten._log_softmax.default,
    what="a contiguous copy of the input where it is not",
    formula="numel x itemsize",
    source=f"{_FOLDER}/SoftMax.cu: host_softmax",
    version=UNDATED,
)
def _softmax(call: Call) -> Sizes:
    return contiguous(call["self"])


@entry(
    aten._softmax_backward_data.default,
    aten._log_softmax_backward_data.default,
    what="contiguous copies of the output and its gradient where they are not",
    formula="numel x itemsize of each",
    source=f"{_FOLDER}/SoftMax.cu: host_softmax_backward",
    version="not read for 2.13",
)
def _softmax_backward(call: Call) -> Sizes:
    return contiguous(call["grad_output"], call["output"])


@entry(
    aten.nll_loss_forward.default,
    aten.nll_loss2d_forward.default,
    what="contiguous copies of input, target and weight where they are not",
    formula="numel x itemsize of each",
    source=f"{_FOLDER}/Loss.cu, NLLLoss2d.cu",
    version="not read for 2.13",
)
def _nll_loss(call: Call) -> Sizes:
    return contiguous(call["self"], call["target"], call["weight"])


@entry(
    aten.mse_loss.default,
    what="the loss of each element, and what its mean or sum stages",
    formula="numel x itemsize, and as `sum`; nothing where nothing is reduced",
    source="aten/src/ATen/native/Loss.cpp: TORCH_IMPL_FUNC(mse_loss_out)",
    version=UNDATED,
)
def _mse_loss(call: Call) -> Sizes:
    if call["reduction"] == 0:
        return ()
    numbers = call["self"]  # the target has the same shape
    each = torch.empty(numbers.shape, dtype=call.result.dtype, device="meta")
    return (each.nbytes, *sum_sizes(call, each, None, each.dtype))


@entry(
    aten._linalg_svd.default,
    what="a copy of the matrix that cuSOLVER overwrites, and its status",
    formula="numel x itemsize + matrices x 4",
    source="aten/src/ATen/native/BatchLinearAlgebra.cpp: TORCH_IMPL_FUNC(_linalg_svd_out)",
    version=UNDATED,
    limitation="cuSOLVER's own workspace, which only its query tells, is not modelled",
)
def _svd(call: Call) -> Sizes:
    matrices = call["A"]
    return (matrices.nbytes, 4 * math.prod(matrices.shape[:-2]))


@entry(
    aten.bincount.default,
    aten.histc.default,
    what="nothing: bins are counted in shared memory or in the result",
    formula="none",
    source=f"{_FOLDER}/SummaryOps.cu: CUDA_tensor_histogram",
    version=UNDATED,
    limitation="the extremes that both look for first (histc without a range) are not modelled",
)
def _histogram(call: Call) -> Sizes:
    return ()


@entry(
    aten.copy_.default,
    aten._to_copy.default,
    aten.clone.default,
    what="nothing between tensors of one device, whatever their layouts and dtypes",
    formula="none",
    source=f"{_FOLDER}/Copy.cu: copy_requires_temporaries",
    version=UNDATED,
    limitation="from the host, a copy that changes dtype or layout takes a contiguous temporary "
    "on the device or the host, which is not modelled",
)
def _copy(call: Call) -> Sizes:
    return ()


@entry(
    aten.cat.default,
    aten.native_dropout.default,
    aten.native_dropout_backward.default,
    aten.where.self,
    aten.clamp.default,
    aten.masked_fill.Scalar,
    aten.gelu.default,
    aten.gelu_backward.default,
    aten.silu.default,
    aten.silu_backward.default,
    aten.embedding.default,
    aten._fused_adamw_.default,
    aten._fused_adam_.default,
    aten._fused_sgd_.default,
    aten._amp_foreach_non_finite_check_and_unscale_.default,
    what="nothing: addresses and sizes of lists of tensors travel as kernel arguments",
    formula="none",
    source=f"{_FOLDER}/{{Shape,Dropout,FusedAdamWKernel,AmpKernels}}.cu, MultiTensorApply.cuh",
    version="MultiTensorApply.cuh 2.13.0; the others not read for 2.13",
)
def _nothing(call: Call) -> Sizes:
    return ()
