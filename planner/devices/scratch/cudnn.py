"""cuDNN's kernels: a closed library decides what workspace they get when they run.

What torch and cuDNN's open front end add is counted; the rest is said to be unknown.
"""

from __future__ import annotations

import torch

from planner.devices.scratch.reductions import sum_sizes
from planner.devices.scratch.table import (
    UNDATED,
    Call,
    Sizes,
    entry,
    round_up,
)

aten = torch.ops.aten
_FOLDER = "aten/src/ATen/native/cudnn"


@entry(
    aten._scaled_dot_product_cudnn_attention.default,
    aten._cudnn_attention_forward.default,
    what="cuDNN's workspace",
    formula="none counted",
    source=f"{_FOLDER}/MHA.cpp: run_cudnn_SDP_fprop",
    version=UNDATED,
    limitation="cuDNN tells the workspace only when the graph is built on the device",
)
def _attention(call: Call) -> Sizes:
    return ()


@entry(
    aten._scaled_dot_product_cudnn_attention_backward.default,
    aten._cudnn_attention_backward.default,
    what="one workspace: cuDNN's, behind what the front end keeps in it, dQ accumulated in fp32 "
    "and row sums of gradient x output",
    formula="4 x batch x heads x queries x (head + 1), a lower bound",
    source=f"{_FOLDER}/MHA.cpp: run_cudnn_SDP_bprop; NVIDIA/cudnn-frontend "
    "include/cudnn_frontend/node/scaled_dot_product_flash_attention.h: dQ_accum_size, "
    "softmax_sum_size, get_fe_workspace_size_node",
    version=f"{UNDATED}; the front end 1.x",
    limitation="cuDNN's own part is told only when the graph is built on the device; for grouped "
    "keys it holds at least dK and dV of every query head. cuDNN before 9.5.1 also copies a "
    "gradient whose strides are not the output's",
)
def _attention_backward(call: Call) -> Sizes:
    query = call["query"]
    head = query.shape[-1]
    if query.numel() == 0:
        return ()
    accumulator, row_sums = query.numel() * 4, query.numel() // head * 4
    return (round_up(accumulator, 16) + round_up(row_sums, 16),)


_UNKNOWN_ALGORITHM = (
    "cuDNN's heuristics choose the algorithm, and with it the workspace, when it runs; there is no "
    "published bound. Convolutions without cuDNN (im2col, depthwise) are not modelled"
)


@entry(
    aten.convolution.default,
    aten._convolution.default,
    aten.cudnn_convolution.default,
    aten.cudnn_convolution_transpose.default,
    what="cuDNN's workspace; contiguous or channels-last copies of operands",
    formula="none counted",
    source=f"{_FOLDER}/Conv_v8.cpp: run_conv_plan",
    version="not read for 2.13",
    limitation=_UNKNOWN_ALGORITHM,
)
def _convolution(call: Call) -> Sizes:
    return ()


@entry(
    aten.convolution_backward.default,
    what="cuDNN's workspace; the bias's gradient is an ordinary sum over batch and positions",
    formula="that of `sum` over all but the channels",
    source="aten/src/ATen/native/Convolution.cpp: convolution_backward",
    version="not read for 2.13",
    limitation=_UNKNOWN_ALGORITHM,
)
def _convolution_backward(call: Call) -> Sizes:
    gradient = call["grad_output"]
    if not call["output_mask"][2]:
        return ()
    axes = [axis for axis in range(gradient.dim()) if axis != 1]
    return sum_sizes(call, gradient, axes, gradient.dtype)


@entry(
    aten.cudnn_batch_norm.default,
    aten.cudnn_batch_norm_backward.default,
    what="cuDNN's workspace (its reserve space is an output)",
    formula="none counted",
    source=f"{_FOLDER}/BatchNorm.cpp: cudnn_batch_norm",
    version="not read for 2.13",
    limitation="cuDNN decides the workspace when it runs; its size is not published",
)
def _batch_norm(call: Call) -> Sizes:
    return ()
