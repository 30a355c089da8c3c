"""Autocast on the simulated device: CUDA's lists of ops and its cache of cast weights.

Torch has the lists in C++ templates for the devices that it knows
(torch/include/ATen/autocast_mode.h: `AT_FORALL_*`; registered for CUDA, with the convolutions of
cuDNN besides, in ATen/autocast_mode.cpp); PrivateUse1 starts with none.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from planner.tracing.cuda import backend

_KEY = "AutocastPrivateUse1"

# `AT_FORALL_LOWER_PRECISION_FP`: every floating-point argument is cast to the autocast dtype.
_LOWER_PRECISION = """
    _convolution.deprecated _convolution conv1d conv2d conv3d conv_tbc conv_transpose1d
    conv_transpose2d.input conv_transpose3d.input convolution cudnn_convolution
    cudnn_convolution_transpose prelu addmm addmv addr matmul einsum mm mv linalg_vecdot linear
    addbmm baddbmm bmm chain_matmul linalg_multi_dot _thnn_fused_lstm_cell _thnn_fused_gru_cell
    lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell _scaled_dot_product_flash_attention
    scaled_dot_product_attention
"""

# `AT_FORALL_FP32`: every floating-point argument is cast to fp32.
_FP32 = """
    acos asin cosh erfinv exp expm1 log log10 log2 log1p reciprocal rsqrt sinh tan
    pow.Tensor_Scalar pow.Tensor_Tensor pow.Scalar softplus layer_norm native_layer_norm rms_norm
    group_norm frobenius_norm.dim nuclear_norm nuclear_norm.dim cosine_similarity poisson_nll_loss
    cosine_embedding_loss nll_loss nll_loss2d hinge_embedding_loss kl_div l1_loss smooth_l1_loss
    huber_loss mse_loss margin_ranking_loss multilabel_margin_loss soft_margin_loss
    triplet_margin_loss multi_margin_loss binary_cross_entropy_with_logits dist pdist cdist renorm
    logsumexp upsample_nearest1d _upsample_nearest_exact1d upsample_nearest2d
    _upsample_nearest_exact2d upsample_nearest3d _upsample_nearest_exact3d upsample_linear1d
    upsample_bilinear2d _upsample_bilinear2d_aa upsample_trilinear3d upsample_bicubic2d
    _upsample_bicubic2d_aa
"""

# `AT_FORALL_FP32_SET_OPT_DTYPE`: the op itself computes in fp32 unless told otherwise.
_FP32_OUTPUT = """
    prod prod.dim_int softmax.int log_softmax.int cumprod cumsum linalg_vector_norm
    linalg_matrix_norm linalg_matrix_norm.str_ord sum sum.dim_IntList
"""

# `AT_FORALL_DIFFERENT_REDISPATCH_SIGNATURE`: as above, by an overload that takes a dtype.
_FP32_OVERLOAD = {
    "norm.Scalar": "norm.ScalarOpt_dtype",
    "norm.ScalarOpt_dim": "norm.ScalarOpt_dim_dtype",
}

# `AT_FORALL_PROMOTE`: all to the widest dtype among the arguments.
_PROMOTE = """
    addcdiv addcmul atan2 bilinear cross dot vdot grid_sampler index_put tensordot scatter_add
"""


def register() -> list[Any]:
    """Register the lists; an op on none of them does not notice autocast."""
    fallback = backend.implementations(_KEY, "_")
    fallback.fallback(torch.library.fallthrough_kernel)
    library = backend.implementations(_KEY)
    lists: list[tuple[str, Callable[[Any], Callable[..., Any]]]] = [
        (_LOWER_PRECISION, _in_lower_precision),
        (_FP32, _in_fp32),
        (_FP32_OUTPUT, _to_fp32),
        (" ".join(_FP32_OVERLOAD), _to_fp32_by_overload),
        (_PROMOTE, _promoted),
    ]
    for names, make in lists:
        for name in names.split():
            library.impl(name, make(_overload(name)))
    return [fallback, library]


def _overload(name: str) -> torch._ops.OpOverload:
    packet, _, overload = name.partition(".")
    found: torch._ops.OpOverload = getattr(getattr(torch.ops.aten, packet), overload or "default")
    return found


# ------------------------------------------------------------------ policies


def _without_autocast() -> Any:
    keys: Any = torch._C.DispatchKey
    return torch._C._ExcludeDispatchKeyGuard(torch._C.DispatchKeySet(getattr(keys, _KEY)))


def _in_lower_precision(op: Any) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        return _cast_and_run(op, torch.get_autocast_dtype(backend.NAME), args, kwargs)

    return run


def _in_fp32(op: Any) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        return _cast_and_run(op, torch.float32, args, kwargs)

    return run


def _promoted(op: Any) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        widest = torch.get_autocast_dtype(backend.NAME)
        if any(t.dtype == torch.float32 for t in _eligible_in((args, kwargs))):
            widest = torch.float32
        return _cast_and_run(op, widest, args, kwargs)

    return run


def _to_fp32(op: Any) -> Callable[..., Any]:
    place = [argument.name for argument in op._schema.arguments].index("dtype")
    positional = not op._schema.arguments[place].kwarg_only

    def run(*args: Any, **kwargs: Any) -> Any:
        if _is_eligible(args[0]):
            given = args[place] if positional and len(args) > place else kwargs.get("dtype")
            if given is None:
                args, kwargs = args[:place], kwargs | {"dtype": torch.float32}
        with _without_autocast():
            return op(*args, **kwargs)

    return run


def _to_fp32_by_overload(op: Any) -> Callable[..., Any]:
    name = op._schema.name.removeprefix("aten::") + "." + op._overloadname
    other = _overload(_FP32_OVERLOAD[name])
    defaults = [argument.default_value for argument in op._schema.arguments]

    def run(*args: Any, **kwargs: Any) -> Any:
        given = [*args, *defaults[len(args) :]]
        dtype = torch.float32 if _is_eligible(args[0]) else args[0].dtype
        with _without_autocast():
            return other(*given, dtype=dtype, **kwargs)

    return run


def _cast_and_run(op: Any, dtype: torch.dtype, args: Any, kwargs: Any) -> Any:
    with _without_autocast():
        args = tuple(_cast(value, dtype) for value in args)
        if kwargs:
            kwargs = {key: _cast(value, dtype) for key, value in kwargs.items()}
        return op(*args, **kwargs)


def _cast(value: Any, dtype: torch.dtype) -> Any:
    if isinstance(value, Tensor):
        return _cached_cast(value, dtype)
    if isinstance(value, (list, tuple)):
        return type(value)(_cast(item, dtype) for item in value)
    return value


def _is_eligible(value: Any) -> bool:
    """`is_eligible`: the floating-point tensors of the device, without fp64."""
    return (
        isinstance(value, Tensor)
        and value.dtype.is_floating_point
        and value.dtype != torch.float64
        and backend.is_simulated(value.device)
    )


def _eligible_in(value: Any) -> Iterator[Tensor]:
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _eligible_in(item)
    elif isinstance(value, dict):
        yield from _eligible_in(tuple(value.values()))
    elif _is_eligible(value):
        yield value


# ------------------------------------------------------------------ the cache

# Cast leaves by identity, as `cached_casts`: the leaf weakly, its copy until autocast ends.
_casts: dict[int, tuple[weakref.ref[Tensor], Tensor]] = {}


def _cached_cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """`cached_cast`: fp32 leaves that require a gradient are cast once per autocast context."""
    if not _is_eligible(tensor) or tensor.dtype == dtype:
        return tensor
    caches = (
        dtype == torch.get_autocast_dtype(backend.NAME)
        and tensor.dtype == torch.float32
        and tensor.requires_grad
        and tensor.is_leaf
        and not tensor._is_view()
        and torch.is_autocast_cache_enabled()
    )
    if not caches:
        return tensor.to(dtype)
    known = _casts.get(id(tensor))
    if known is not None and known[0]() is tensor:
        return known[1]
    copy = tensor.to(dtype)
    _casts[id(tensor)] = (weakref.ref(tensor), copy)
    return copy


@contextmanager
def cache_cleared_with_torchs() -> Iterator[None]:
    """Inside, the outermost autocast context drops the cast weights when it ends."""
    original = torch.clear_autocast_cache

    def clear() -> None:
        _casts.clear()
        original()

    with patch.object(torch, "clear_autocast_cache", clear):
        try:
            yield
        finally:
            _casts.clear()
