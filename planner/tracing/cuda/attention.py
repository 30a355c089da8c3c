"""Which kernel CUDA's scaled dot product attention takes: the rules of torch 2.13.

The rules are those of `select_sdp_backend` (ATen/native/transformers/cuda/sdp_utils.cpp, with the
checks shared by all devices in torch/include/ATen/native/transformers/sdp_utils_cpp.h), for dense
tensors; each function here is the check of that name. AMD's devices are those that AOTriton
supports without being asked to.

Two things come from the build and not from the device: cuDNN's version, taken to be that of torch's
default CUDA 13 wheels (at least 9.15.1), and kernels of flash attention 3, which torch takes only
when asked to. The source read was of a time around 2.13, not of its tag: that the memory-efficient
kernel takes no grouped queries is inferred from 2.13's own header.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend

CUDNN_VERSION = 91900  # any above 91500 decides alike
_DEFAULT_ORDER = (
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
    SDPBackend.CUDNN_ATTENTION,
)
_HALF = (torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Call:
    """One call of `scaled_dot_product_attention`: `sdp_params`, and the device that it is on.

    Args:
        requires_grad: an input requires a gradient, and grad mode is on.
        capability: compute capability of an NVIDIA device, such as (9, 0).
        amd: an AMD device of the CDNA line; its capability is the major of `gfx9..`.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    mask: Tensor | None
    dropout: float
    is_causal: bool
    enable_gqa: bool
    requires_grad: bool
    capability: tuple[int, int]
    amd: bool = False

    @property
    def is_half(self) -> bool:
        """The query is in fp16 or bf16."""
        return self.query.dtype in _HALF


def select_backend(
    call: Call,
    enabled: frozenset[SDPBackend] = frozenset(_DEFAULT_ORDER),
    order: tuple[SDPBackend, ...] = _DEFAULT_ORDER,
) -> SDPBackend:
    """The backend that CUDA takes, among those enabled (`select_sdp_backend`).

    Args:
        order: the global priority order; the default one becomes CUDA's own.

    Raises:
        RuntimeError: none of those enabled can run the call.
    """
    default = order[: len(_DEFAULT_ORDER)] == _DEFAULT_ORDER
    if default and not call.amd and prefers_cudnn(call.capability):
        order = (SDPBackend.CUDNN_ATTENTION, *_DEFAULT_ORDER[:3])
    for backend in order:
        if backend in enabled and all(check(call) for check in CHECKS.get(backend, _NEVER)):
            return backend
    raise RuntimeError("No available kernel. Aborting execution.")


def prefers_cudnn(capability: tuple[int, int]) -> bool:
    """`check_prefer_cudnn_attention`: Hopper and data-center Blackwell, with a recent cuDNN."""
    major, minor = capability
    return CUDNN_VERSION > 91500 and major in (9, 10) and minor in (0, 3)


# ------------------------------------------------------------------ shared checks


def _four_dimensional(call: Call) -> bool:
    """`check_tensor_shapes`."""
    return all(tensor.dim() == 4 for tensor in (call.query, call.key, call.value))


def _nonzero_lengths(call: Call) -> bool:
    """`check_nonzero_sequence_lengths_dense`."""
    return call.query.shape[-2] != 0 and call.key.shape[-2] != 0


def _last_strides_are_one(call: Call, ignore_singleton: bool) -> bool:
    tensors = (call.query, call.key, call.value)
    dense = all(tensor.stride(-1) == 1 for tensor in tensors)
    if ignore_singleton:
        dense = dense or call.query.shape[-1] == 1
    return dense and (call.mask is None or call.mask.stride(-1) == 1)


def _dense(call: Call) -> bool:
    """`check_last_dim_stride_equals_1_dense<false>`."""
    return _last_strides_are_one(call, ignore_singleton=False)


def _dense_or_singleton(call: Call) -> bool:
    """`check_last_dim_stride_equals_1_dense<true>`."""
    return _last_strides_are_one(call, ignore_singleton=True)


def _batch_and_heads(call: Call, *, grouped: bool, same_kv_heads: bool = True) -> bool:
    """`check_batch_size_and_num_heads_dense`, `check_grouped_query_attention`."""
    query, key, value = call.query, call.key, call.value
    if not query.shape[0] == key.shape[0] == value.shape[0]:
        return False
    heads, key_heads, value_heads = query.shape[-3], key.shape[-3], value.shape[-3]
    if not (call.enable_gqa and grouped):
        return heads == key_heads == value_heads
    if same_kv_heads:
        return key_heads == value_heads and heads % key_heads == 0
    return heads % key_heads == 0 and heads % value_heads == 0


def _one_dtype_of(call: Call, allowed: tuple[torch.dtype, ...]) -> bool:
    """`check_tensor_dtype`."""
    dtype = call.query.dtype
    return dtype == call.key.dtype == call.value.dtype and dtype in allowed


def _low_precision(call: Call) -> bool:
    """`check_dtypes_low_precision`: bf16 only from Ampere on."""
    return _one_dtype_of(call, _HALF if call.capability >= (8, 0) else _HALF[:1])


def _mask_shape(call: Call) -> bool:
    """`check_attn_mask_shape`: no gradient, and every dimension that of the scores or 1."""
    mask = call.mask
    if mask is None:
        return True
    if mask.requires_grad or mask.dim() not in (2, 4):
        return False
    batch, heads, queries, _ = call.query.shape
    scores = (batch, heads, queries, call.key.shape[2])[-mask.dim() :]
    return all(size in (1, full) for size, full in zip(mask.shape, scores, strict=True))


# ------------------------------------------------------------------ flash attention


def _flash_without_mask(call: Call) -> bool:
    """`check_for_attn_mask`."""
    return call.mask is None


def _flash_head_dim(call: Call) -> bool:
    """`check_head_dim_size_flash`: one for all, at most 256, or 512 with AOTriton."""
    width = call.query.shape[-1]
    return width == call.key.shape[-1] == call.value.shape[-1] <= (512 if call.amd else 256)


def _flash_hardware(call: Call) -> bool:
    """`check_flash_attention_hardware_support`."""
    return (8, 0) <= call.capability <= (12, 1)


def _flash_large_heads_in_training(call: Call) -> bool:
    """`check_requires_grad_and_head_dim_gt192_constraints_on_sm86_89_or_120`."""
    small = (8, 6) <= call.capability <= (8, 9) or (12, 0) <= call.capability <= (12, 1)
    width = call.query.shape[-1]
    if not (call.requires_grad and small):
        return True
    return width <= 192 or (width > 224 and not call.dropout > 0)


def _flash_causal_is_square(call: Call) -> bool:
    """`check_flash_causal_non_square_seqlens`."""
    return not call.is_causal or call.query.shape[-2] == call.key.shape[-2]


def _flash_heads(call: Call) -> bool:
    return _batch_and_heads(call, grouped=True)


# ------------------------------------------------------------------ memory-efficient attention


def _minimum_gemm_alignment(call: Call) -> int:
    """`minimum_gemm_alignment`, in elements."""
    alignment = 4 if call.capability >= (8, 0) else 1
    tensor_cores = call.capability >= (8, 0) or (call.capability >= (7, 0) and call.is_half)
    return max(alignment, 128 // (16 if call.is_half else 32)) if tensor_cores else alignment


def _efficient_hardware(call: Call) -> bool:
    """`check_mem_efficient_hardware_support`."""
    return (5, 0) <= call.capability <= (12, 1)


def _efficient_head_dim(call: Call) -> bool:
    """`check_head_dim_size_mem_efficient`: aligned; the value's may differ, but not with AOTriton
    before 0.12 (`check_head_dim_size_flash<true>`).
    """
    if call.amd and not _flash_head_dim(call):
        return False
    width, value_width = call.query.shape[-1], call.value.shape[-1]
    alignment = _minimum_gemm_alignment(call)
    return (
        width == call.key.shape[-1]
        and all(size > 0 and size % alignment == 0 for size in (width, value_width))
    )  # fmt: skip


def _efficient_heads(call: Call) -> bool:
    return _batch_and_heads(call, grouped=False)


def _efficient_dtype(call: Call) -> bool:
    """The last checks of `can_use_mem_efficient_attention`."""
    mask = call.mask
    if call.amd and mask is not None and mask.dtype not in (torch.bool, call.query.dtype):
        return False
    new = (torch.float16, torch.float32, torch.bfloat16)
    return _one_dtype_of(call, new if call.capability >= (8, 0) else new[:2])


# ------------------------------------------------------------------ cuDNN


def _cudnn_hardware(call: Call) -> bool:
    """`check_cudnn_hardware_support`."""
    return not call.amd and (8, 0) <= call.capability <= (12, 1)


def _cudnn_dropout(call: Call) -> bool:
    """`check_cudnn_dropout`: probabilities are multiples of 1/16."""
    return call.dropout * 16 == int(call.dropout * 16)


def _cudnn_heads(call: Call) -> bool:
    return _batch_and_heads(call, grouped=True, same_kv_heads=False)


def _cudnn_shapes(call: Call) -> bool:
    """`check_cudnn_tensor_shapes`."""
    batch, heads, queries, width = call.query.shape
    value_width = call.value.shape[-1]
    limit = 128
    if call.capability == (9, 0):
        limit = 256
    elif call.capability[0] == 10 and (width, value_width) == (192, 128):
        limit = 192
    if max(batch, heads) > 65535 or max(width, value_width) > limit:
        return False
    if width % 8 or value_width % 8:
        return False
    return call.key.shape[2] != 1 and not (call.dropout and queries == 1)


def _cudnn_nondeterminism_allowed(call: Call) -> bool:
    """`check_cudnn_deterministic`."""
    return (
        not torch.are_deterministic_algorithms_enabled()
        or torch.is_deterministic_algorithms_warn_only_enabled()
    )


Check = Callable[[Call], bool]

CHECKS: dict[SDPBackend, tuple[Check, ...]] = {
    SDPBackend.FLASH_ATTENTION: (
        _four_dimensional, _flash_without_mask, _flash_head_dim, _flash_hardware,
        _flash_large_heads_in_training, _flash_causal_is_square, _low_precision,
        _flash_heads, _nonzero_lengths, _dense_or_singleton,
    ),
    SDPBackend.EFFICIENT_ATTENTION: (
        _efficient_hardware, _four_dimensional, _efficient_head_dim, _nonzero_lengths, _dense,
        _efficient_heads, _efficient_dtype,
    ),
    SDPBackend.CUDNN_ATTENTION: (
        _four_dimensional, _cudnn_nondeterminism_allowed, _low_precision, _mask_shape,
        _cudnn_hardware, _cudnn_dropout, _nonzero_lengths, _dense_or_singleton, _cudnn_heads,
        _cudnn_shapes,
    ),
    SDPBackend.MATH: (),
}  # fmt: skip

_NEVER: tuple[Check, ...] = (lambda call: False,)
