"""Normalisations: partial sums of their weights' gradients, and statistics beside the outputs."""

from __future__ import annotations

import torch
from torch import Tensor

from planner.devices.scratch.reductions import sum_sizes
from planner.devices.scratch.table import (
    INSTALLED,
    UNDATED,
    Call,
    Sizes,
    accumulate_bytes,
    ceil_div,
    contiguous,
    entry,
    main_at,
)

aten = torch.ops.aten
_LAYER_NORM = "aten/src/ATen/native/cuda/layer_norm_kernel.cu"
_COLUMNS = 32  # block_dim_x
_ROWS = 32  # rows_per_block_y
_MAX_BLOCKS = 64 * 1024 // 2  # max_grid_size


@entry(
    aten.native_layer_norm.default,
    aten._fused_rms_norm.default,
    what="contiguous copies of operands that are not",
    formula="numel x itemsize of each such operand",
    source=f"{_LAYER_NORM}: layer_norm_cuda",
    version=UNDATED,
)
def _layer_norm(call: Call) -> Sizes:
    return contiguous(call["input"], call["weight"], call.arguments.get("bias"))


@entry(
    aten.native_layer_norm_backward.default,
    aten._fused_rms_norm_backward.default,
    what="contiguous copies of operands that are not; where rows are very many and columns few, "
    "partial sums of the weight's and the bias's gradients, which an ordinary sum follows",
    formula="rows > 65,536 and columns // 32 < multiprocessors // 2: for each of weight and bias "
    "min(32,768 // ceil(columns / 32), ceil(rows / 32)) x columns x itemsize, then the second "
    "result of columns x itemsize and the sum's staging buffer",
    source=f"{_LAYER_NORM}: LaunchGammaBetaBackwardCUDAKernel, layer_norm_backward_cuda",
    version=UNDATED,
)
def _layer_norm_backward(call: Call) -> Sizes:
    gradient, inputs, weight = call["grad_out"], call["input"], call["weight"]
    copies = contiguous(gradient, inputs, weight, call.arguments.get("bias"))
    mask = tuple(call["output_mask"])[1:]  # weight, and bias where there is one
    columns = 1
    for size in call["normalized_shape"]:
        columns *= size
    rows = inputs.numel() // max(columns, 1)
    if weight is None or not any(mask) or not _splits_rows(rows, columns, call.multiprocessors):
        return copies
    blocks = min(_MAX_BLOCKS // ceil_div(columns, _COLUMNS), ceil_div(rows, _ROWS))
    partials = (blocks * columns * weight.element_size(),) * sum(mask)
    partial = weight.new_empty((blocks, columns), device="meta")
    staging = sum_sizes(call, partial, [0], weight.dtype)
    return (*copies, *partials, columns * weight.element_size(), *staging)


def _splits_rows(rows: int, columns: int, multiprocessors: int) -> bool:
    return rows > 64 * 1024 and columns // _COLUMNS < multiprocessors // 2


_GROUP_NORM = "aten/src/ATen/native/cuda/group_norm_kernel.cu"


@entry(
    aten.native_group_norm.default,
    what="scale and shift of every channel in fp32",
    formula="2 x batch x channels x 4 with a weight or bias and more than one position; else none",
    source=f"{_GROUP_NORM}: GroupNormKernelImplInternal",
    version=main_at("e9af696dfe2b"),
)
def _group_norm(call: Call) -> Sizes:
    affine = call["weight"] is not None or call["bias"] is not None
    if call["N"] == 0 or call["HxW"] == 1 or not affine:
        return ()
    return (call["N"] * call["C"] * accumulate_bytes(call["input"]),) * 2


@entry(
    aten.native_group_norm_backward.default,
    what="sums of gradient x input and of the gradient by channel; factors by channel and group",
    formula="2 x batch x channels x 4; with the input's gradient + 2 x batch x groups x 4, and + "
    "batch x channels x 4 with a weight and more than one position",
    source=f"{_GROUP_NORM}: GroupNormBackwardKernelImplInternal, GroupNorm1dBackward",
    version=main_at("e9af696dfe2b"),
)
def _group_norm_backward(call: Call) -> Sizes:
    if call["N"] == 0:
        return ()
    size = accumulate_bytes(call["input"])
    by_channel, by_group = call["N"] * call["C"] * size, call["N"] * call["group"] * size
    sums = (by_channel, by_channel)
    if not call["output_mask"][0]:
        return sums
    with_weight = call["weight"] is not None and call["HxW"] != 1
    return (*sums, *(by_channel,) * with_weight, by_group, by_group)


_BATCH_NORM = "aten/src/ATen/native/cuda/Normalization.cuh"
_BATCH_BLOCK = 512  # MAX_BLOCK_SIZE
_BATCH_TILE = 32  # OPTIMAL_TILE_W
_BATCH_ELEMENTS = 16  # ELEMENTS_PER_THREAD
_BATCH_GRID = 128  # MAX_H_BLOCK


@entry(
    aten.native_batch_norm.default,
    aten._native_batch_norm_legit.default,
    what="channels-last in training: partial statistics of the blocks, and their semaphores",
    formula="grid y > 1: 4 x channels x grid y x 4, grid x x 4 (flexible_launch_configs)",
    source=f"{_BATCH_NORM}: batch_norm_stats_channels_last_cuda_template",
    version=INSTALLED,
    limitation="layouts that are neither contiguous nor channels-last go through ordinary "
    "reductions, which are not modelled; cuDNN's batch norm is an entry of its own",
)
def _batch_norm(call: Call) -> Sizes:
    if not call["training"] or not _is_channels_last(call["input"]):
        return ()
    return _batch_staging(call["input"], 4)


@entry(
    aten.native_batch_norm_backward.default,
    what="channels-last in training: sums by channel, the blocks' partial sums, their semaphores; "
    "contiguous: copies of operands that are not",
    formula="2 x channels x 4; grid y > 1: + 2 x channels x grid y x 4 + grid x x 4",
    source=f"{_BATCH_NORM}: batch_norm_backward_reduce_cuda_channels_last_template",
    version=INSTALLED,
    limitation="which template is taken follows the input alone; the gradient's layout is taken "
    "to be the same",
)
def _batch_norm_backward(call: Call) -> Sizes:
    inputs = call["input"]
    if not call["train"] or not _is_channels_last(inputs):
        return contiguous(inputs, call["grad_out"])
    sums = (inputs.shape[1] * accumulate_bytes(inputs),) * 2
    return (*sums, *_batch_staging(inputs, 2))


def _is_channels_last(tensor: Tensor) -> bool:
    """`batch_norm_choose_impl` (aten/src/ATen/native/cuda/Normalization.cu)."""
    if tensor.is_contiguous():
        return tensor.stride(1) == 1
    return tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)


def _batch_staging(tensor: Tensor, values: int) -> Sizes:
    """`flexible_launch_configs` with cooperating blocks, and what they share."""
    channels = tensor.shape[1]
    count = tensor.numel() // channels
    rows = _last_power_of_2(ceil_div(count, _BATCH_ELEMENTS))
    width = min(_last_power_of_2(channels), _BATCH_TILE)
    height = min(rows, _BATCH_BLOCK // width)
    if width * height != _BATCH_BLOCK:
        width = min(_last_power_of_2(channels), _BATCH_BLOCK // height)
    grid = min(ceil_div(count, height * _BATCH_ELEMENTS), _BATCH_GRID)
    if grid < 8:
        return ()
    staging = values * channels * grid * accumulate_bytes(tensor)
    return staging, ceil_div(channels, width) * 4


def _last_power_of_2(count: int) -> int:
    return 1 << (max(count, 1).bit_length() - 1)
