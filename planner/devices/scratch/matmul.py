"""Matrix products: operands that BLAS cannot read are copied first."""

from __future__ import annotations

import torch
from torch import Tensor

from planner.devices.scratch.table import (
    INSTALLED,
    UNDATED,
    Call,
    Sizes,
    contiguous,
    entry,
    round_up,
    size_bytes,
)

aten = torch.ops.aten
BLAS = "aten/src/ATen/native/cuda/Blas.cpp"


@entry(
    aten.mm.default,
    aten.addmm.default,
    aten.addmm_.default,
    aten._addmm_activation.default,
    what="contiguous copies of operands whose rows or columns are not dense one after the other, "
    "such as expanded gradients",
    formula="numel x itemsize of each such operand",
    source="aten/src/ATen/native/cuda/cuBlasCommonArgs.h: prepare_matrix_for_cublas",
    version=INSTALLED,
    limitation="the bias is copied into the result, never beside it; a result that is not "
    "contiguous (out=) is not modelled",
)
def _products(call: Call) -> Sizes:
    left, right = call.first("mat1", "self"), call["mat2"]
    return tuple(size_bytes(m) for m in (left, right) if _is_copied(m))


def _is_copied(matrix: Tensor) -> bool:
    """`prepare_matrix_for_cublas` with a contiguous result (transpose_result true)."""
    if matrix.numel() == 0:
        return False
    if _is_dense(matrix):
        return matrix.is_conj() and matrix.is_contiguous()
    (rows, columns), (down, across) = matrix.shape, matrix.stride()
    if down == 1 and across >= max(1, rows):
        return False
    return not (across == 1 and down >= max(1, columns)) or matrix.is_conj()


def _is_dense(matrix: Tensor) -> bool:
    """is_non_overlapping_and_dense of two dimensions."""
    return matrix.is_contiguous() or matrix.t().is_contiguous()


@entry(
    aten.bmm.default,
    aten.baddbmm.default,
    aten.baddbmm_.default,
    what="contiguous copies of batches whose matrices have neither dense rows nor dense columns, "
    "such as those expanded over the sequence",
    formula="numel x itemsize of each such batch",
    source=f"{BLAS}: baddbmm_out_cuda_impl, prepare_batch_matrix_for_cublas",
    version=UNDATED,
)
def _batched(call: Call) -> Sizes:
    left, right = call.first("batch1", "self"), call.first("batch2", "mat2")
    rows, inner, columns = left.shape[1], left.shape[2], right.shape[2]
    if min(left.numel(), right.numel()) == 0:
        return ()
    # A contiguous result is transposed for BLAS, which counts columns first, and with it the
    # operands change places; a result of one column needs no transposition.
    if columns == 1:
        copies = ((left, False, rows, inner), (right, False, inner, columns))
    else:
        copies = ((right, True, columns, inner), (left, True, inner, rows))
    return tuple(size_bytes(batch) for batch, *how in copies if _is_batch_copied(batch, *how))


def _is_batch_copied(batch: Tensor, transposed: bool, m: int, n: int) -> bool:
    """`prepare_batch_matrix_for_cublas`."""
    fast, leading = (2, 1) if transposed else (1, 2)
    strides = batch.stride()
    if strides[fast] == 1 and strides[leading] >= max(1, m):
        return batch.is_conj()
    if strides[leading] == 1 and strides[fast] >= max(1, n):
        return False
    readable = batch.is_contiguous() and 0 not in strides[1:]
    return not readable or (transposed and batch.is_conj())


@entry(
    aten.mv.default,
    aten.addmv.default,
    aten.addmv_.default,
    what="the vector where it is one number expanded",
    formula="numel x itemsize of such a vector",
    source=f"{BLAS}: addmv_out_cuda",
    version=UNDATED,
    limitation="a matrix with neither dense rows nor dense columns is copied too: taken from "
    "older versions of the function, its end was not read",
)
def _matrix_vector(call: Call) -> Sizes:
    matrix, vector = call.first("mat", "self"), call["vec"]
    expanded = vector.numel() > 1 and vector.stride(0) == 0
    (rows, columns), (down, across) = matrix.shape, matrix.stride()
    dense = (down == 1 and across >= max(1, rows)) or (across == 1 and down >= max(1, columns))
    return (*((size_bytes(vector),) if expanded else ()), *(() if dense else contiguous(matrix)))


_POINTER_BYTES, _SHAPE_BYTES, _STRIDE_BYTES = 8, 12, 8  # cute::Shape of 3 int32; one int64


@entry(
    aten._grouped_mm.default,
    what="pointers, shapes and strides of the groups (bf16 on capability 9.x and 10.x)",
    formula="24 x (groups rounded up to 2) + 36 x groups",
    source="aten/src/ATen/native/cuda/GroupMM.cu: bf16bf16_grouped_gemm_impl_sm90_sm100",
    version=UNDATED,
    limitation="CUTLASS's own workspace (tensor maps, some KiB a multiprocessor) is not "
    "modelled; elsewhere the op is a loop of `mm` over the groups, taken to copy nothing",
)
def _grouped(call: Call) -> Sizes:
    left, right = call["self"], call["mat2"]
    if left.dtype != torch.bfloat16 or call.capability[0] not in (9, 10):
        return ()
    if left.dim() == 2:
        groups = call["offs"].shape[0] if right.dim() == 2 else right.shape[0]
    else:
        groups = left.shape[0]
    pointers = round_up(groups, 16 // _POINTER_BYTES) * 3 * _POINTER_BYTES
    return (pointers + groups * (_SHAPE_BYTES + 3 * _STRIDE_BYTES),)
