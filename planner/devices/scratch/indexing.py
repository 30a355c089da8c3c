"""Gradients of look-ups: indices are sorted, and rows of one index are summed in fp32."""

from __future__ import annotations

from math import prod

import numpy as np
import torch
from torch import Tensor

from planner.devices.scratch.cub import radix_sort_bytes
from planner.devices.scratch.table import (
    UNDATED,
    Call,
    Sizes,
    accumulate_bytes,
    contiguous,
    entry,
    heaviest,
    is_deterministic,
    size_bytes,
)

aten = torch.ops.aten
_FEW_INDICES = 3072  # embedding_dense_backward_cuda: one kernel, no sort
_ROWS_PER_PARTIAL = 10  # NROWS_PER_THREAD


@entry(
    aten.embedding_dense_backward.default,
    what="contiguous copies of gradient and indices where they are not. More than 3,072 indices "
    "(or scale_grad_by_freq): indices sorted with their positions, by CUB; then segments of equal "
    "indices, split into parts of 10 rows, and an fp32 row for each part",
    formula="n indices of i bytes, s = min(n, rows of the weight), p = n // 10 + s. Sorting: 3 n i "
    "+ CUB. Summing: (3 n + 2 s + p) i + 16 + p x width x 4. The heavier of the two",
    source="aten/src/ATen/native/cuda/Embedding.cu: embedding_dense_backward_cuda; "
    "EmbeddingBackwardKernel.cu: embedding_backward_cuda_kernel; ATen/cuda/cub.h",
    version=UNDATED,
)
def _embedding_backward(call: Call) -> Sizes:
    gradient, indices = call["grad_output"], call["indices"]
    copies = contiguous(gradient, indices)
    count, by_frequency = indices.numel(), call["scale_grad_by_freq"]
    if count <= _FEW_INDICES and not by_frequency:
        return copies
    list_bytes = count * indices.element_size()
    kept = (list_bytes,) * (3 if by_frequency else 2)  # sorted, their positions, counts
    sorting = (list_bytes, _index_sort_bytes(call, count, indices.element_size()))
    segments = min(count, call["num_weights"])
    parts = count // _ROWS_PER_PARTIAL + segments
    summing = (
        list_bytes,  # where segments begin
        8,
        segments * indices.element_size(),
        segments * indices.element_size(),
        8,
        parts * indices.element_size(),
        parts * gradient.shape[-1] * accumulate_bytes(gradient),
    )
    return (*copies, *kept, *heaviest(sorting, summing))


def _index_sort_bytes(call: Call, count: int, index_bytes: int, bits: int | None = None) -> int:
    """Indices as keys, their positions as values."""
    return radix_sort_bytes(
        count, index_bytes, index_bytes, call.capability, call.multiprocessors, bits
    )


@entry(
    aten.index_put.default,
    aten.index_put_.default,
    aten._index_put_impl_.default,
    aten._unsafe_index_put.default,
    what="accumulating (or deterministic): positions of all indices as one number each, sorted "
    "with where they came from; copies of operands that are not contiguous or are expanded",
    formula="n = elements of the indices, broadcast: 4 x 8 n + CUB (as many bits as the largest "
    "position has); + the values where expanded; + the tensor where not contiguous or where "
    "indexed dimensions are apart. Not accumulating: none",
    source="aten/src/ATen/native/cuda/Indexing.cu: index_put_with_sort_kernel; "
    "aten/src/ATen/native/TensorAdvancedIndexing.cpp: _index_put_impl_",
    version=UNDATED,
    limitation="masks are taken as the positions that they select, which the caller must pass",
)
def _index_put(call: Call) -> Sizes:
    target, values = call["self"], call["values"]
    indices = {axis: index for axis, index in enumerate(call["indices"]) if index is not None}
    if not call["accumulate"] and not (is_deterministic() and values.numel() > 1):
        return ()
    count = prod(np.broadcast_shapes(*(index.shape for index in indices.values())))
    slice_size = prod(target.shape[max(indices) + 1 :])
    if count == 0 or slice_size == 0:
        return contiguous(target)
    adjacent = len(indices) == max(indices) - min(indices) + 1
    moved = () if adjacent else (size_bytes(target),)
    if not adjacent:
        slice_size = prod(size for axis, size in enumerate(target.shape) if axis not in indices)
    expanded = _expanded_values(target, indices, values, count)
    bits = (max(target.numel() - 1, 0) // slice_size or 1).bit_length()
    lists = (count * 8,) * 4  # positions, sorted, origins, 0 to n
    sort = _index_sort_bytes(call, count, 8, bits)
    return (*contiguous(target), *moved, *expanded, *lists, sort)


def _expanded_values(
    target: Tensor, indices: dict[int, Tensor], values: Tensor, count: int
) -> Sizes:
    """`value.expand(...).contiguous()`: nothing where it has its final shape already."""
    kept = prod(size for axis, size in enumerate(target.shape) if axis not in indices)
    if values.numel() == count * kept and values.is_contiguous():
        return ()
    return (count * kept * values.element_size(),)


@entry(
    aten.index_add.default,
    aten.index_add_.default,
    aten.scatter_add.default,
    aten.scatter_add_.default,
    aten.index_select.default,
    aten.gather.default,
    aten.scatter.src,
    aten.scatter.value,
    aten.scatter_.src,
    aten.scatter_.value,
    aten.index.Tensor,
    what="nothing: atomic additions in place of a sort",
    formula="none",
    source="aten/src/ATen/native/cuda/Indexing.cu: index_add_cuda_impl; ScatterGatherKernel.cu",
    version="not read for 2.13; Indexing.cu in part",
    limitation="deterministic algorithms turn index_add and scatter_add into sorting index_put, "
    "which is not modelled",
)
def _gathers(call: Call) -> Sizes:
    return ()
