"""Sorts, selections and scans."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from planner.devices.scratch.cub import aliased_bytes, radix_sort_bytes, scan_bytes
from planner.devices.scratch.limits import REGISTERS, max_threads
from planner.devices.scratch.table import (
    INSTALLED,
    UNDATED,
    Call,
    Sizes,
    ceil_div,
    contiguous,
    entry,
    heaviest,
    main_at,
    size_bytes,
)

aten = torch.ops.aten
_SORT = "aten/src/ATen/native/cuda"
_SMALL_SORT = 4096  # should_use_small_sort
_FULL_SORT_ROWS = 128  # launch_stable_sort_kernel: fewer rows are sorted together
_LARGE_ROW = 1_000_000


@entry(
    aten.sort.default,
    aten.sort.stable,
    what="rows up to 4,096: the numbers 0 to n, no more (bitonic or warp merge sort in place). "
    "Longer: a copy with the sorted dimension last where it is not; positions beside the keys; "
    "CUB's buffers. Up to 127 rows are sorted at once, by value and then by row",
    formula="rows r of n, key k bytes, m = r n. Small: 8 n. One row or n >= 1,000,000: 8 n + "
    "CUB(n, k, 8). r < 128: 16 m + the heavier of k m + CUB(m, k, 8) and CUB keys(m, 8, log2 r "
    "bits). Else: 8 m + CUB segmented. + k m for gaps, + (2 k + 8) m for another fastest dimension",
    source=f"{_SORT}/Sort.cpp: sort_cuda_kernel; SortStable.cu: launch_stable_sort_kernel",
    version=f"Sort.cpp {main_at('5da7b8ec2a18')}; SortStable.cu {UNDATED}",
    limitation="CUB's segmented sort is counted as its two buffers, without alignment; a sort of "
    "more than 2^31 elements goes in parts, which is not modelled",
)
def _sort(call: Call) -> Sizes:
    keys: Tensor = call["self"]
    if keys.dim() == 0 or keys.numel() == 0:
        return ()
    dim = call["dim"] % keys.dim()
    length = keys.shape[dim]
    if length <= _SMALL_SORT:
        return (8 * length,)
    copies: Sizes = ()
    if keys.stride(dim) != 1:
        # The sorted values and positions come in that layout too, and are copied into the results.
        copies = (size_bytes(keys), size_bytes(keys), 8 * keys.numel())
    elif not _is_dense(keys):
        copies = (size_bytes(keys),)  # the results have the layout of the copy
    return (*copies, *_sort_rows(call, keys, keys.numel() // length, length))


def _sort_rows(call: Call, keys: Tensor, rows: int, length: int) -> Sizes:
    size, count = keys.element_size(), keys.numel()
    floating = keys.dtype == torch.float32
    device = (call.capability, call.multiprocessors)
    if rows == 1 or length >= _LARGE_ROW:
        return (8 * length, radix_sort_bytes(length, size, 8, *device, floating=floating))
    if rows >= _FULL_SORT_ROWS:
        return (8 * count, aliased_bytes(size * count, 8 * count))
    by_value = (size * count, radix_sort_bytes(count, size, 8, *device, floating=floating))
    bits = max(1, (rows - 1).bit_length())
    by_row = (radix_sort_bytes(count, 8, 0, *device, bits=bits),)
    return (8 * count, 8 * count, *heaviest(by_value, by_row))


def _is_dense(tensor: Tensor) -> bool:
    """is_non_overlapping_and_dense."""
    strides = sorted(zip(tensor.stride(), tensor.shape, strict=True))
    expected = 1
    for stride, size in strides:
        if size == 1:
            continue
        if stride != expected:
            return False
        expected *= size
    return True


_TOPK_THREADS = 256  # BLOCK_THREADS
_TOPK_REGISTERS = 40  # REGS_PER_THREAD
_TOPK_ITEMS = (4, 64)
_DIGITS = 256  # RADIX_DIGITS


@entry(
    aten.topk.default,
    what="a contiguous copy of the input where it is not; long rows are searched by several "
    "blocks each: digit counts by block and row, candidates",
    formula="b blocks of min(64, max(4, ceil(rows x n / (6 x multiprocessors x 256)))) x 256 "
    "elements: rows x (k + 8 + 2 x radix + 1,024) + b x (512 + 4 + 4) + CUB scan",
    source=f"{_SORT}/TensorTopK.cu: mbtopk::launch, should_use_multiblock, get_items_per_thread",
    version=UNDATED,
    limitation="the sort of the results is taken to be in place, as it is up to 4,096 a row",
)
def _topk(call: Call) -> Sizes:
    values: Tensor = call["self"]
    copies = contiguous(values)
    if values.dim() == 0 or values.numel() == 0:
        return copies
    length = values.shape[call["dim"] % values.dim()]
    rows = values.numel() // length
    if not _searches_by_blocks(rows, length):
        return copies
    resident = REGISTERS // (_TOPK_REGISTERS * _TOPK_THREADS)
    resident = min(resident, max_threads(call.capability) // _TOPK_THREADS * 2)
    least, most = _TOPK_ITEMS
    items = ceil_div(length * rows, call.multiprocessors * resident * _TOPK_THREADS)
    items = max(least, min(items, most))
    blocks = rows * ceil_div(length, items * _TOPK_THREADS)
    radix = 8 if values.element_size() == 8 else 4  # TopKTypeConfig::RadixType
    search = (
        rows * values.element_size(),
        2 * rows * 4,
        2 * rows * radix,
        blocks * _DIGITS * 2,
        rows * _DIGITS * 4,
        blocks * 4,
        blocks * 4,
        scan_bytes(blocks, 8),
    )
    return (*copies, *search)


def _searches_by_blocks(rows: int, length: int) -> bool:
    """`should_use_multiblock`."""
    least = next(
        (
            at_least
            for most, at_least in (
                (20, 20_000), (40, 10_000), (80, 8_000), (199, 5_000), (799, 3_000), (4_000, 800),
            )
            if rows <= most
        ),
        400,
    )  # fmt: skip
    return length >= least


@entry(
    aten.cumsum.default,
    aten.cumprod.default,
    what="a contiguous copy of the input where it is not; of one row only, CUB's scan",
    formula="one row: CUB scan(n); deterministic: min(multiprocessors, blocks) x itemsize",
    source="aten/src/ATen/native/cuda/ScanUtils.cuh: scan_dim; ATen/cuda/cub.cuh: inclusive_scan",
    version=INSTALLED,
    limitation="an upper bound: CUB's tuned tiles are larger. Another dtype is converted first, "
    "counted here",
)
def _scan(call: Call) -> Sizes:
    values: Tensor = call["self"]
    result = call.result
    size = result.element_size()
    converted = (values.numel() * size,) if values.dtype != result.dtype else contiguous(values)
    if values.dim() == 0 or values.numel() == 0:
        return converted
    if values.numel() != values.shape[call["dim"] % values.dim()]:
        return converted
    return (*converted, scan_bytes(values.numel(), size))


@entry(
    aten.nonzero.default,
    what="a contiguous copy of the input where it is not; a count, and CUB's scan of the selection",
    formula="4 + CUB scan(n, 4)",
    source="aten/src/ATen/native/cuda/Nonzero.cu: nonzero_cuda_out_impl",
    version=UNDATED,
    limitation="read in part; an upper bound of CUB's selection",
)
def _nonzero(call: Call) -> Sizes:
    values: Tensor = call["self"]
    return (*contiguous(values), 4, scan_bytes(prod(values.shape), 4))


@entry(
    aten.masked_scatter_.default,
    what="contiguous copies of mask and source where they are not; a count of the chosen before "
    "each element, and CUB's scan that makes it",
    formula="8 numel + CUB scan(numel, 8)",
    source="aten/src/ATen/native/cuda/IndexKernel.cpp: masked_scatter__cuda; "
    "MaskedScatter.cu: launch_masked_scatter_kernel; ATen/cuda/cub.cuh: mask_exclusive_sum",
    version="2.0, whose interface is that of 2.13.0",
    limitation="an upper bound: CUB's tuned tiles are larger",
)
def _masked_scatter(call: Call) -> Sizes:
    count = call["self"].numel()
    return (*contiguous(call["mask"], call["source"]), 8 * count, scan_bytes(count, 8))


@entry(
    aten.kthvalue.default,
    aten.median.default,
    aten.median.dim,
    aten.mode.default,
    aten.multinomial.default,
    aten._unique2.default,
    aten.unique_dim.default,
    aten.searchsorted.Tensor,
    aten.masked_select.default,
    what="sorted or contiguous copies",
    formula="none counted",
    source=f"{_SORT}/{{Sorting,TensorModeKernel,MultinomialKernel,Unique,Bucketization}}.cu",
    version="not read",
    limitation="their temporaries are not modelled",
)
def _unread(call: Call) -> Sizes:
    return ()
