"""How much scratch a kernel may take at most: what decides whether it is worth asking."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch._ops import OpOverload

from planner.tracing.kernel_calls import KernelCall, Operand, operands

aten = torch.ops.aten


def bound_bytes(call: KernelCall) -> int:
    """More than any kernel seen takes.

    A convolution reorders each operand into padded blocks and may keep several in fp32; the other
    kernels copy or pack each operand at most once, beside what `_INSIDE` says of those that are
    many ops in one.
    """
    tensors = operands(call)
    if call.func in (aten.convolution.default, aten.convolution_backward.default):
        return 6 * sum(map(_padded_bytes, tensors)) + _blocked_weight(call) + (1 << 20)
    copies = 2 * sum(tensor.bytes for tensor in tensors) + (1 << 20)
    inside = _INSIDE.get(call.func)
    return copies if inside is None else copies + inside(call)


def _attention_inside(call: KernelCall) -> int:
    """Scores and their softmax, projections, and a feed-forward's hidden layer twice
    (ATen/native/transformers/attention.cpp, transformer.cpp).
    """
    batch, length, width = call.arguments[0].shape
    heads = call.arguments[4 if call.func is aten._native_multi_head_attention.default else 2]
    widest = max(tensor.shape[0] for tensor in operands(call) if len(tensor.shape) == 2)
    elements = 2 * batch * heads * length**2 + batch * length * (8 * width + 2 * widest)
    return int(elements * call.arguments[0].dtype.itemsize)


def _recurrent_inside(call: KernelCall) -> int:
    """Gates and states of every step, four times (oneDNN: src/cpu/rnn/rnn_utils.hpp)."""
    steps, batch, width = call.arguments[0].shape
    gates = call.arguments[1].shape[0]
    return int(4 * 4 * steps * batch * (gates + width))


def _trilinear_inside(call: KernelCall) -> int:
    """Products of two operands, for one place of the dimension that is unrolled
    (ATen/native/Linear.cpp: `_trilinear`).
    """
    *_, second, first = sorted(math.prod(tensor.shape) for tensor in operands(call))
    return first * second * operands(call)[0].dtype.itemsize


_INSIDE: dict[OpOverload, Callable[[KernelCall], int]] = {
    aten._native_multi_head_attention.default: _attention_inside,
    aten._transformer_encoder_layer_fwd.default: _attention_inside,
    aten.mkldnn_rnn_layer.default: _recurrent_inside,
    aten.mkldnn_rnn_layer_backward.default: _recurrent_inside,
    aten._trilinear.default: _trilinear_inside,
}


def _padded_bytes(operand: Operand) -> int:
    """Bytes with the channels (dimension 1) rounded up to oneDNN's blocks of 16."""
    channels = operand.shape[1] if len(operand.shape) > 2 else 0
    return operand.bytes * _in_blocks(channels) // channels if channels else operand.bytes


def _blocked_weight(call: KernelCall) -> int:
    """Bytes of a convolution's weight in blocks of 16 x 16 channels in each group, twice."""
    place = 1 if call.func is aten.convolution.default else 2
    weight = call.arguments[place]
    groups: int = call.arguments[-1] if place == 1 else call.arguments[-2]
    outputs, inputs = weight.shape[0] // groups, weight.shape[1]
    window: int = math.prod(weight.shape[2:])
    return 2 * 4 * groups * _in_blocks(outputs) * _in_blocks(inputs) * window


def _in_blocks(channels: int) -> int:
    return -(-channels // 16) * 16
