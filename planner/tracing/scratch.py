"""Memory that kernels allocate inside an op and that no output shows: what follows from the op's
operands.

One entry a cause, each with its source. Kernels whose scratch depends on a library's own choice of
algorithm and on the number of threads (oneDNN convolutions and reduced-precision products, blocked
attention) are asked instead: see `planner.tracing.probe`.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload

aten = torch.ops.aten

_WRAPPED_BYTES = {bool: 1, int: 8, float: 8, complex: 16}


def scratch_bytes(func: OpOverload, args: Any, kwargs: Any) -> int:
    """Bytes of scratch alive at once inside the op on a CPU, beyond its outputs."""
    if func in _PROMOTING:
        return _promoted_operands(func, args)
    if func in _SCALAR:
        return _wrapped_scalar(args)
    if func is aten.embedding_dense_backward.default:
        # ATen/native/Embedding.cpp: `embedding_dense_backward_cpu` takes the gradient contiguous.
        return 0 if args[0].is_contiguous() else args[0].numel() * args[0].element_size()
    if func is aten.mse_loss.default:
        return _each_loss(args, kwargs)
    if func in _PRODUCTS:
        return sum(map(_blas_copy, args[-2:]))
    if func is aten.clone.default and kwargs.get("memory_format") == torch.contiguous_format:
        return _transposition(args[0])
    if func is aten.copy_.default and _is_like(args[0], args[1]):
        return _transposition(args[1])
    if func is aten._linalg_svd.default:
        # A copy that LAPACK overwrites, its status of each matrix (ATen/native/
        # BatchLinearAlgebra.cpp: `TORCH_IMPL_FUNC(_linalg_svd_out)`), and its workspace.
        return int(args[0].nbytes + 4 * math.prod(args[0].shape[:-2]) + _SVD_WORK_BYTES)
    return 0


# What the LAPACK of torch 2.13's wheels asks for: measured, the same for eight sizes from
# 64 x 64 to 3,072 x 768.
_SVD_WORK_BYTES = 14_400


# TensorIterator computes in one dtype: an operand of another is converted first, on the CPU into a
# temporary (ATen/TensorIterator.cpp: `TensorIteratorBase::compute_types`,
# cast_common_dtype_to_outputs / promote_inputs). A Python number given for a tensor is wrapped into
# one of 0 dimensions (ATen/ScalarOps.h: `wrapped_scalar_tensor`) and converted likewise.
_PROMOTING = frozenset(
    overload
    for name in ("add", "sub", "mul", "div", "maximum", "minimum", "pow", "remainder", "atan2",
                 "eq", "ne", "lt", "le", "gt", "ge", "where", "fmod",
                 "add_", "sub_", "mul_", "div_", "bitwise_and", "bitwise_or")
    for kind in ("Tensor", "default", "Tensor_Tensor", "self")
    if (overload := getattr(getattr(aten, name), kind, None)) is not None
)  # fmt: skip

# These take a number and call the overload above with it wrapped (ATen/native/BinaryOps.cpp);
# `mean` on the CPU is a sum and a division by a number (ATen/native/ReduceOps.cpp: `mean_out`).
_SCALAR = frozenset(
    {
        aten.add.Scalar, aten.sub.Scalar, aten.mul.Scalar, aten.div.Scalar,
        aten.add_.Scalar, aten.sub_.Scalar, aten.mul_.Scalar, aten.div_.Scalar,
        aten.mean.dim, aten.mean.default,
    }
)  # fmt: skip


# BLAS takes a matrix whose rows or columns lie densely one after the other; any other, such as an
# expanded gradient, is copied first (ATen/native/LinearAlgebra.cpp: `addmm_impl_cpu_`).
_PRODUCTS = frozenset({aten.mm.default, aten.addmm.default})


def _blas_copy(operand: Tensor) -> int:
    if operand.dtype not in (torch.float32, torch.float64):
        return 0  # oneDNN's: see `planner.tracing.probe`
    rows, columns = operand.shape
    down, across = operand.stride()
    dense = (across == 1 and down >= max(1, columns)) or (down == 1 and across >= max(1, rows))
    return 0 if dense else operand.numel() * operand.element_size()


def _transposition(source: Tensor) -> int:
    """A transposed matrix is copied to a contiguous one block by block, through a square of 60 (of
    bytes: 120) numbers a side (ATen/native/Copy.cpp: `copy_same_type_transpose_`).
    """
    if source.dim() != 2 or source.numel() < 60 * 60:
        return 0
    if source.stride() != (1, source.shape[0]):
        return 0
    side = 120 if source.dtype == torch.uint8 else 60
    return side * side * source.element_size()


def _is_like(target: Tensor, source: Any) -> bool:
    return (
        isinstance(source, Tensor)
        and target.dtype == source.dtype
        and target.shape == source.shape
        and target.is_contiguous()
    )


def _each_loss(args: Any, kwargs: Any) -> int:
    """The loss of each element is a temporary, reduced by `mean` (ATen/native/Loss.cpp:
    `TORCH_IMPL_FUNC(mse_loss_out)`).
    """
    reduction = args[2] if len(args) > 2 else kwargs.get("reduction", 1)
    if reduction == 0:
        return 0
    dtype = torch.result_type(args[0], args[1])
    numel = math.prod(map(max, zip(args[0].shape, args[1].shape, strict=True)))
    size: int = numel * dtype.itemsize + _wrapped_scalar(args)
    return size


def _promoted_operands(func: OpOverload, args: Any) -> int:
    operands = args[1:3] if func is aten.where.self else args[:2]
    if len(operands) < 2:
        return 0
    left, right = operands
    if isinstance(left, Tensor) and isinstance(right, Tensor) and left.dtype == right.dtype:
        return 0
    common = _common_dtype(func, left, right)
    return sum(_converted(operand, common) for operand in operands)


def _common_dtype(func: OpOverload, left: Any, right: Any) -> torch.dtype:
    common = torch.result_type(left, right)
    true_division = func.overloadpacket in (aten.div, aten.div_)
    if true_division and not (common.is_floating_point or common.is_complex):
        return torch.get_default_dtype()
    return common


def _converted(operand: Any, common: torch.dtype) -> int:
    if isinstance(operand, Tensor):
        return 0 if operand.dtype == common else operand.numel() * common.itemsize
    wrapped = _WRAPPED_BYTES[type(operand)]
    same = (torch.float64, torch.int64, torch.bool, torch.complex128)
    return wrapped if common in same and common.itemsize == wrapped else wrapped + common.itemsize


def _wrapped_scalar(args: Any) -> int:
    dtype = args[0].dtype
    return 8 + dtype.itemsize if dtype.itemsize < 8 else 8
