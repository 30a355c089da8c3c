"""Memory-efficient attention (CUTLASS): accumulators of its forward and backward.

Sources: aten/src/ATen/native/transformers/cuda/mem_eff_attention/{kernel_forward,kernel_backward}.h
and kernels/{cutlassF,cutlassB}.h (installed headers), attention.cu and attention_backward.cu.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from planner.devices.scratch.limits import shared_memory_bytes
from planner.devices.scratch.table import (
    INSTALLED,
    UNDATED,
    Call,
    Sizes,
    ceil_div,
    contiguous,
    entry,
    heaviest,
    is_deterministic,
    round_up,
)

aten = torch.ops.aten
_FOLDER = "aten/src/ATen/native/transformers/cuda"
_KEPT_IN_REGISTERS = 128  # kKeysPerBlock of the forward kernels for heads of 65 to 128
_UNLIMITED = 65_536  # kMaxK of the kernels for any head


@entry(
    aten._scaled_dot_product_efficient_attention.default,
    aten._efficient_attention_forward.default,
    what="an fp32 accumulator of the output, where its head does not fit registers",
    formula="value heads above 128, not fp32: batch x queries x heads x value head x 4",
    source=f"{_FOLDER}/mem_eff_attention/kernel_forward.h: kNeedsOutputAccumulatorBuffer; "
    f"{_FOLDER}/attention.cu: _efficient_attention_forward",
    version=INSTALLED,
)
def _forward(call: Call) -> Sizes:
    query, value = _bmhk(call, "query"), _bmhk(call, "value")
    head = value.shape[3]
    if query.dtype == torch.float32 or head <= _KEPT_IN_REGISTERS:
        return ()
    return (query.shape[0] * query.shape[1] * query.shape[2] * head * 4,)


def _bmhk(call: Call, name: str) -> Tensor:
    """The operand as [batch, sequence, heads, head]."""
    tensor: Tensor = call[name]
    return tensor.transpose(1, 2) if "scaled_dot_product" in str(call.func) else tensor


@dataclass(frozen=True)
class _Kernel:
    """Template arguments of `AttentionBackwardKernel`: tile of queries and keys, largest head."""

    queries: int
    keys: int
    max_head: int

    @property
    def keeps_output(self) -> bool:
        """kOutputInRF, of half precision."""
        return self.max_head <= self.queries


def _kernels(half: bool, capability: tuple[int, int], dropout: bool) -> list[_Kernel]:
    """In the order in which `dispatch_cutlassB` offers them."""
    small = [_Kernel(64, 64, 32), _Kernel(64, 64, 64)]
    if half and capability >= (8, 0):
        if capability in ((8, 6), (8, 9)) and not dropout:
            small.append(_Kernel(128, 64, 96))
        if shared_memory_bytes(capability) >= 163 * 1024:
            small.append(_Kernel(128, 128, 128))
        return [*small, _Kernel(64, 64, 128), _Kernel(128, 64, _UNLIMITED)]
    if half or capability >= (8, 0):
        return [*small, _Kernel(128, 64, 128), _Kernel(128, 64, _UNLIMITED)]
    return [*small, _Kernel(64, 64, 128), _Kernel(64, 64, _UNLIMITED)]


@entry(
    aten._scaled_dot_product_efficient_attention_backward.default,
    aten._efficient_attention_backward.default,
    what="a contiguous copy of the output's gradient where it is not; row sums of gradient x "
    "output (of fp32 operands by ordinary ops, whose product is alive first); tiles of dQ in fp32; "
    "tiles of dK and dV where the head does not fit registers",
    formula="4 x batch x heads x queries; 4 x batch x heads x (ceil(queries / I) x ceil(head / J) "
    "x (I x J + 4) [+ splits x J x (head + value head rounded up to I)]), tile I x J by kernel",
    source=f"{_FOLDER}/mem_eff_attention/kernel_backward.h: workspace_size; "
    f"{_FOLDER}/attention_backward.cu: _efficient_attention_backward; "
    f"{_FOLDER}/mem_eff_attention/kernels/cutlassB.h: dispatch_cutlassB",
    version=f"{INSTALLED}; attention_backward.cu: {UNDATED}",
    limitation="which kernels fit the shared memory is inferred: those of 128 x 128 tiles where a "
    "block may have 163 KiB, all others everywhere",
)
def _backward(call: Call) -> Sizes:
    gradient, query, key, value = (
        _bmhk(call, name) for name in ("grad_out_", "query", "key", "value")
    )
    batch, queries, heads, head = query.shape
    keys, value_head = key.shape[1], value.shape[3]
    if 0 in (batch, queries, heads, keys):
        return ()
    half = query.dtype != torch.float32
    dropout = call["dropout_p"] != 0
    kernel = next(
        kernel
        for kernel in _kernels(half, call.capability, dropout)
        if kernel.max_head >= max(head, value_head)
    )
    copies = contiguous(gradient)
    rows = 4 * batch * heads * queries
    workspace = 4 * batch * heads * _tiles(kernel, half, query.shape, keys, value_head)
    if _computes_row_sums(kernel, half, call.capability):
        return (*copies, rows, workspace)
    product = 4 * gradient.numel()
    to_float = (product, product) if half else ()
    # The temporaries of one C++ expression live until its end: product, sum, contiguous copy.
    return heaviest((*copies, *to_float, product, rows, rows), (*copies, rows, workspace))


def _computes_row_sums(kernel: _Kernel, half: bool, capability: tuple[int, int]) -> bool:
    """kKernelComputesDelta."""
    is_volta = (7, 0) <= capability < (7, 5)
    return half and (kernel.keeps_output or not is_volta)


def _tiles(kernel: _Kernel, half: bool, query: torch.Size, keys: int, value_head: int) -> int:
    """fp32 elements a head: workspace_strideBH.

    A tile of dQ has a lock, a counter and two words of padding before it (GradQTempStorage).
    """
    batch, queries, heads, head = query
    tile = kernel.queries * kernel.keys + 4
    elements = ceil_div(queries, kernel.queries) * ceil_div(head, kernel.keys) * tile
    if half and not kernel.keeps_output:
        splits = max(1, min(ceil_div(keys, kernel.keys), 200 // (batch * heads)))
        splits = 1 if is_deterministic() else splits
        widths = round_up(head, kernel.queries) + round_up(value_head, kernel.queries)
        elements += splits * kernel.keys * widths
    return round_up(elements, 4)
