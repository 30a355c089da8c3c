"""Sums, norms, extremes and variances: which instantiation of `gpu_reduce_kernel` each takes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from planner.devices.scratch.reduce import Reduction, reduce_sizes
from planner.devices.scratch.table import (
    INSTALLED,
    UNDATED,
    Call,
    Sizes,
    accumulate_bytes,
    entry,
)

aten = torch.ops.aten
_FOLDER = "aten/src/ATen/native/cuda"
_REDUCE = f"{_FOLDER}/Reduce.cuh: setReduceConfig, gpu_reduce_kernel"
_STAGING = (
    "where few outputs have very many inputs: staging of (outputs x blocks an output) partial "
    "results, and a semaphore a block column"
)
_FORMULA = (
    "sizeof(arg_t) x outputs x blocks (x block width x vector where the fastest dimension is "
    "kept); 4 x grid x; the numbers by setReduceConfig, arg_t: "
)


def _sizes(call: Call, reduced: Any, source: Tensor, output_bytes: int, how: Reduction) -> Sizes:
    axes = range(source.dim()) if not reduced and reduced != 0 else reduced
    axes = [axes] if isinstance(axes, int) else axes
    return reduce_sizes(
        source.shape,
        source.stride(),
        {axis % max(source.dim(), 1) for axis in axes},
        (source.element_size(), output_bytes),
        how,
        call.capability,
        call.multiprocessors,
    )


def _converted(call: Call) -> tuple[Tensor, Sizes]:
    """The input in the dtype that is summed; a copy unless half precision gives fp32.

    `make_reduction_from_out_ty`, `make_reduction` (aten/src/ATen/native/ReduceOpsUtils.h).
    """
    source, result = call["self"], call.result
    half = source.dtype in (torch.float16, torch.bfloat16)
    if source.dtype == result.dtype or (half and result.dtype == torch.float32):
        return source, ()
    copy = torch.empty_like(source, dtype=result.dtype, device="meta")
    return copy, (copy.numel() * copy.element_size(),)


@entry(
    aten.sum.default,
    aten.sum.dim_IntList,
    aten.mean.default,
    aten.mean.dim,
    aten.prod.default,
    aten.prod.dim_int,
    what=f"a copy in the result's dtype where it differs (but fp32 of half precision); {_STAGING}",
    formula=_FORMULA + "the accumulating type, loads of 8 elements of 2 bytes, else of 4",
    source=f"{_REDUCE}; ReduceSumProdKernel.cu: sum_functor; ReduceMomentKernel.cu: "
    "mean_kernel_impl; ATen/native/ReduceOpsUtils.h",
    version=f"{INSTALLED}; the kernels {UNDATED}",
    limitation="`prod` is taken to load like `sum`",
)
def _sum(call: Call) -> Sizes:
    source, copy = _converted(call)
    axes = call.arguments.get("dim")
    return (*copy, *sum_sizes(call, source, axes, call.result.dtype))


def sum_sizes(call: Call, source: Tensor, axes: Any, dtype: torch.dtype) -> Sizes:
    """Of `sum` within any op: over these axes of a tensor, into this dtype."""
    half = source.dtype in (torch.float16, torch.bfloat16)
    how = Reduction(
        accumulate_bytes(source) if source.is_floating_point() else source.element_size(),
        vector=8 if source.element_size() == 2 else 4,
        accumulates_in_output=not (half and dtype == source.dtype),
    )
    return _sizes(call, axes, source, dtype.itemsize, how)


@entry(
    aten.linalg_vector_norm.default,
    aten.norm.Scalar,
    aten.norm.ScalarOpt_dim,
    what=_STAGING,
    formula=_FORMULA + "the accumulating type",
    source=f"{_REDUCE}; {_FOLDER}/ReduceNormKernel.cu: norm_launch_kernel",
    version=f"{INSTALLED}; ReduceNormKernel.cu not read",
    limitation="a `dtype` other than fp32 of half precision converts first, not modelled",
)
def _norm(call: Call) -> Sizes:
    source = call["self"]
    half = source.dtype in (torch.float16, torch.bfloat16)
    how = Reduction(
        accumulate_bytes(source),
        accumulates_in_output=not (half and call.result.dtype == source.dtype),
    )
    return _sizes(call, call.arguments.get("dim"), source, call.result.element_size(), how)


@entry(
    aten.amax.default,
    aten.amin.default,
    aten.max.default,
    aten.min.default,
    aten.any.default,
    aten.any.dim,
    aten.any.dims,
    aten.all.default,
    aten.all.dim,
    aten.all.dims,
    what=_STAGING,
    formula=_FORMULA + "the input's",
    source=f"{_REDUCE}; {_FOLDER}/ReduceMaxValuesKernel.cu, ReduceLogicKernel.cu",
    version=f"{INSTALLED}; the kernels' own files not read",
)
def _extreme(call: Call) -> Sizes:
    source = call["self"]
    how = Reduction(source.element_size())
    return _sizes(call, call.arguments.get("dim"), source, call.result.element_size(), how)


_PAIR_BYTES = 16  # a value of up to 8 bytes and its int64 position, aligned


@entry(
    aten.max.dim,
    aten.min.dim,
    aten.argmax.default,
    aten.argmin.default,
    what=_STAGING,
    formula=_FORMULA + "a value and its position, 16 bytes",
    source=f"{_REDUCE}; {_FOLDER}/ReduceArgMaxKernel.cu, ReduceMaxValuesKernel.cu",
    version=f"{INSTALLED}; the kernels' own files not read",
)
def _position(call: Call) -> Sizes:
    source = call["self"]
    first = call.result[0] if isinstance(call.result, (tuple, list)) else call.result
    how = Reduction(_PAIR_BYTES, accumulates_in_output=False)
    return _sizes(call, call["dim"], source, first.element_size(), how)


@entry(
    aten.var.correction,
    aten.std.correction,
    aten.var_mean.correction,
    aten.std_mean.correction,
    what=_STAGING,
    formula=_FORMULA + "WelfordData (mean, m2, count and its float: 16 bytes, fp64 32), loads of 2",
    source=f"{_REDUCE}; ATen/native/SharedReduceOps.h: WelfordData; "
    f"{_FOLDER}/ReduceMomentKernel.cu: std_var_template",
    version=f"{INSTALLED}; ReduceMomentKernel.cu in part",
)
def _moments(call: Call) -> Sizes:
    source = call["self"]
    first = call.result[0] if isinstance(call.result, (tuple, list)) else call.result
    how = Reduction(4 * accumulate_bytes(source), vector=2, accumulates_in_output=False)
    return _sizes(call, call["dim"], source, first.element_size(), how)
