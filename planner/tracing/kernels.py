"""Meta kernels that return another layout or dtype than the device's own kernel, corrected.

Found by running both on every op of `benchmarks/accuracy_cases.py` and of the graphs in
`tests/planner/models/layers/networks.py`, and comparing shapes, strides, dtypes and the bytes of
storages (torch 2.13).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensor, in_kernel_invocation_manager

from planner.tracing.rule_table import RuleTable
from planner.tracing.workspace import workspace_bytes

if TYPE_CHECKING:
    from planner.tracing.fake import FakeExecution

aten = torch.ops.aten

KERNELS = RuleTable()


@KERNELS.of(aten.view.default)
def _view(execution: FakeExecution, func: OpOverload, args: Any, kwargs: Any) -> Any:
    """Dimensions of size 1 have ATen's strides (ATen/TensorUtils.cpp: `computeStride`). They decide
    whether a product folds its batch (ATen/native/LinearAlgebra.cpp: `should_fold`).
    """
    with in_kernel_invocation_manager(execution.mode):
        view = func(*args, **kwargs)
    return FakeTensor(execution.mode, view, args[0].fake_device)


@KERNELS.of(aten.native_layer_norm.default)
def _layer_norm(execution: FakeExecution, func: OpOverload, args: Any, kwargs: Any) -> Any:
    """Reduced-precision input with fp32 weights keeps fp32 statistics (ATen/native/layer_norm.cpp:
    `layer_norm_cpu`).
    """
    return _with_statistics(execution, execution.meta(func, args, kwargs), args[2])


@KERNELS.of(aten.native_batch_norm.default)
def _batch_norm(execution: FakeExecution, func: OpOverload, args: Any, kwargs: Any) -> Any:
    """As layer norms (ATen/native/Normalization.cpp: `batch_norm_cpu`)."""
    return _with_statistics(execution, execution.meta(func, args, kwargs), args[1])


@KERNELS.of(aten.native_group_norm.default)
def _group_norm(execution: FakeExecution, func: OpOverload, args: Any, kwargs: Any) -> Any:
    """As layer norms (ATen/native/group_norm.cpp: `native_group_norm`)."""
    return _with_statistics(execution, execution.meta(func, args, kwargs), args[1])


def _with_statistics(execution: FakeExecution, results: Any, weight: Tensor | None) -> Any:
    output, mean, rstd = results
    if weight is not None and weight.dtype == torch.float32 and mean.dtype != torch.float32:
        options = {"dtype": torch.float32}
        mean, rstd = (execution.meta(aten._to_copy.default, (s,), options) for s in (mean, rstd))
    return output, mean, rstd


@KERNELS.of(aten.native_group_norm_backward.default)
def _group_norm_backward(execution: FakeExecution, func: OpOverload, args: Any, kwargs: Any) -> Any:
    """The input's gradient has its dtype (ATen/native/group_norm.cpp:
    `native_group_norm_backward`).
    """
    gradient, *rest = execution.meta(func, args, kwargs)
    if gradient is not None and gradient.dtype != args[1].dtype:
        options = {"dtype": args[1].dtype}
        gradient = execution.meta(aten._to_copy.default, (gradient,), options)
    return (gradient, *rest)


@KERNELS.of(aten.native_layer_norm_backward.default)
def _layer_norm_backward(execution: FakeExecution, func: OpOverload, args: Any, kwargs: Any) -> Any:
    """The input's gradient is contiguous, whatever the layout of the output's
    (ATen/native/layer_norm.cpp: `layer_norm_backward_cpu`).
    """
    gradient, *rest = execution.meta(func, args, kwargs)
    return (_contiguous(execution, gradient), *rest)


@KERNELS.of(aten.native_batch_norm_backward.default)
def _batch_norm_backward(execution: FakeExecution, func: OpOverload, args: Any, kwargs: Any) -> Any:
    """Gradients that nobody asked for are not made (ATen/native/Normalization.cpp:
    `batch_norm_backward_cpu_template`).
    """
    gradients = execution.meta(func, args, kwargs)
    return tuple(each if asked else None for each, asked in zip(gradients, args[-1], strict=True))


@KERNELS.of(aten.mse_loss.default)
def mse_loss(execution: FakeExecution, func: OpOverload, args: Any, kwargs: Any) -> Any:
    """The output is made for each element and then resized to one number, which keeps its storage
    (ATen/native/Loss.cpp: `TORCH_META_FUNC(mse_loss)`).
    """
    reduction = args[2] if len(args) > 2 else kwargs.get("reduction", _MEAN)
    each = execution.meta(func, (*args[:2], _NONE), {})
    return (
        each if reduction == _NONE else execution.meta(aten.as_strided.default, (each, [], []), {})
    )


_NONE, _MEAN = 0, 1  # ATen/core/Reduction.h


@KERNELS.of(aten.col2im.default)
def col2im(execution: FakeExecution, func: OpOverload, args: Any, kwargs: Any) -> Any:
    """The output starts with the size of the input and is resized, which keeps a larger storage
    (ATen/native/Col2Im.cpp: `col2im_cpu`; ATen/native/cuda/Col2Im.cu: `col2im_cuda`).
    """
    output = execution.meta(func, args, kwargs)
    columns = args[0]
    if columns.nbytes <= output.nbytes:
        return output
    whole = execution.meta(aten.new_empty.default, (output, [columns.numel()]), {})
    return execution.meta(aten.as_strided.default, (whole, output.shape, output.stride()), {})


@KERNELS.of(aten.mkldnn_rnn_layer.default)
def _recurrent_layer(execution: FakeExecution, func: OpOverload, args: Any, kwargs: Any) -> Any:
    """oneDNN keeps a workspace for backward, whose size only it knows
    (ATen/native/mkldnn/RNN.cpp: `mkldnn_rnn_layer`).
    """
    *outputs, workspace = execution.meta(func, args, kwargs)
    if torch.is_grad_enabled():
        size = workspace_bytes(args)
        options = {"dtype": torch.uint8, "device": workspace.device}
        workspace = execution.meta(aten.empty.memory_format, ([size],), options)
    return (*outputs, workspace)


@KERNELS.of(aten.mkldnn_rnn_layer_backward.default)
def _recurrent_layer_backward(
    execution: FakeExecution, func: OpOverload, args: Any, kwargs: Any
) -> Any:
    """Both biases have a gradient of their own (ATen/native/mkldnn/RNN.cpp:
    `mkldnn_rnn_layer_backward`).
    """
    gradients = list(execution.meta(func, args, kwargs))
    gradients[4] = execution.meta(aten.empty_like.default, (gradients[3],), {})
    return tuple(gradients)


@KERNELS.of(aten._embedding_bag.default)
@KERNELS.of(aten._embedding_bag_forward_only.default)
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
