"""Ops whose result depends on numbers that fake tensors have not: what to assume, and why."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch._meta_registrations import _create_grouped_mm_output_tensor
from torch._ops import OpOverload

from planner.tracing.rule_table import RuleTable

if TYPE_CHECKING:
    from planner.tracing.fake import FakeExecution

aten = torch.ops.aten

MAX_KNOWN = 1 << 22  # elements of an index tensor that is made of real numbers

DYNAMIC = RuleTable()


@DYNAMIC.of(aten._local_scalar_dense.default)
def _scalar(execution: FakeExecution, func: OpOverload, args: Any, kwargs: Any) -> Any:
    """A number read from data: 0 (False) where nothing is known; checks for NaN, overflow or
    padding find nothing.
    """
    (tensor,) = args
    if tensor.constant is not None:
        return tensor.constant.item()
    if tensor.dtype == torch.bool:
        return False
    return 0.0 if tensor.dtype.is_floating_point else 0


@DYNAMIC.of(aten._grouped_mm.default)
def _grouped_mm(execution: FakeExecution, func: OpOverload, args: Any, kwargs: Any) -> Any:
    """torch's shape rule for this op insists on bf16; the kernels take fp32 and fp16 too."""
    left, right, *rest = args
    given = dict(zip(("offs", "bias", "out_dtype"), rest, strict=False)) | kwargs
    with execution.mode:
        return _create_grouped_mm_output_tensor(  # type: ignore[no-untyped-call]
            left, right, given.get("offs"), given.get("out_dtype")
        )


@DYNAMIC.of(aten.index.Tensor, aten.index_put.default, aten.index_put_.default)
def _index(execution: FakeExecution, func: OpOverload, args: Any, kwargs: Any) -> Any:
    """Masks select rows: their positions are looked up as the kernel does."""
    indices = [position for index in args[1] for position in _positions(execution, index)]
    return execution.meta(func, (args[0], indices, *args[2:]), kwargs)


def _positions(execution: FakeExecution, index: Tensor | None) -> tuple[Tensor | None, ...]:
    if index is None or index.dtype not in (torch.bool, torch.uint8):
        return (index,)
    return _where_true(execution, index).unbind(1)


@DYNAMIC.of(aten.nonzero.default)
def _nonzero(execution: FakeExecution, func: OpOverload, args: Any, kwargs: Any) -> Any:
    """Where data is not zero."""
    return _where_true(execution, args[0])


def _where_true(execution: FakeExecution, mask: Tensor) -> Tensor:
    """[count, dims] positions; a mask that is not known is taken to hold at every second element.

    A mask and its opposite then select all elements between them, as code that splits data expects.
    """
    known = execution.known(mask)
    if known is not None:
        return known.nonzero()
    flat = torch.arange(0, mask.numel(), 2)
    return torch.stack(torch.unravel_index(flat, mask.shape), dim=1)


@DYNAMIC.of(aten.topk.default)
def _topk(execution: FakeExecution, func: OpOverload, args: Any, kwargs: Any) -> Any:
    """Which experts a router chooses is not known; they are taken in turn, each equally often.

    The choice is made of real integers, so that code which counts tokens per expert sees numbers.
    """
    values, indices = execution.meta(func, args, kwargs)
    options = dict(zip(("input", "k", "dim"), args, strict=False)) | kwargs
    dim = options.get("dim", -1)
    if indices.dim() == 0 or indices.numel() > MAX_KNOWN:
        return values, indices
    return values, _in_turn(tuple(indices.shape), dim, args[0].shape[dim])


@DYNAMIC.of(aten.argmax.default, aten.argmin.default)
def _extreme(execution: FakeExecution, func: OpOverload, args: Any, kwargs: Any) -> Any:
    """Where a maximum is: some valid position, known as an integer."""
    result = execution.meta(func, args, kwargs)
    options = dict(zip(("input", "dim"), args, strict=False)) | kwargs
    dim = options.get("dim")
    count = args[0].numel() if dim is None else args[0].shape[dim]
    if result.numel() > MAX_KNOWN:
        return result
    return (torch.arange(result.numel()) % max(count, 1)).reshape(result.shape)


@DYNAMIC.of(aten.all.default, aten.all.dim, aten.all.dims)
def _all(execution: FakeExecution, func: OpOverload, args: Any, kwargs: Any) -> Any:
    """Code asks this of data to be sure that it is valid: it is."""
    return _known(execution.meta(func, args, kwargs), True)


@DYNAMIC.of(aten.any.default, aten.any.dim, aten.any.dims, aten.isnan.default, aten.isinf.default)
def _any(execution: FakeExecution, func: OpOverload, args: Any, kwargs: Any) -> Any:
    """Code asks this of data to find what is wrong with it: nothing is."""
    return _known(execution.meta(func, args, kwargs), False)


def _known(fake: Tensor, value: bool) -> Tensor:
    if fake.numel() > MAX_KNOWN or fake.dtype != torch.bool:
        return fake
    return torch.full(fake.shape, value, dtype=torch.bool)


@DYNAMIC.of(aten._ctc_loss.Tensor)
def _ctc_loss(execution: FakeExecution, func: OpOverload, args: Any, kwargs: Any) -> Any:
    """The table of alignments is as wide as the longest label allows, blanks between its tokens
    (ATen/native/LossCTC.cpp: `ctc_loss_allocate_outputs`).
    """
    log_probs, _, _, target_lengths = args[:4]
    frames, batch = log_probs.shape[0], log_probs.shape[1] if log_probs.dim() == 3 else 1
    lengths = execution.known(target_lengths)
    longest = int(lengths.max()) if lengths is not None and lengths.numel() else 0
    with execution.mode:
        return log_probs.new_empty(batch), log_probs.new_empty(batch, frames, 2 * longest + 1)


@DYNAMIC.of(aten._ctc_loss_backward.Tensor)
def _ctc_loss_backward(execution: FakeExecution, func: OpOverload, args: Any, kwargs: Any) -> Any:
    """The gradient is of the log-probabilities' shape."""
    with execution.mode:
        return torch.empty_like(args[1], memory_format=torch.contiguous_format)


def _in_turn(shape: tuple[int, ...], dim: int, choices: int) -> Tensor:
    """Indices below `choices`, distinct along `dim`, every choice equally often."""
    last = torch.arange(math.prod(shape)) % max(choices, 1)
    chosen = shape[dim]
    others = [size for axis, size in enumerate(shape) if axis != dim % len(shape)]
    return last.reshape(*others, chosen).movedim(-1, dim).contiguous()
