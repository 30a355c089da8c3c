"""`scaled_dot_product_attention` on the simulated device: what the composite op does around the
kernel that it chooses (ATen/native/transformers/attention.cpp, torch 2.13).

The function of CPU builds knows no PrivateUse1 and would take the math path always; this one calls
the kernels that CUDA would call, and their autograd formulas and meta kernels come along.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend

from planner.tracing.cuda import backend
from planner.tracing.cuda.attention import Call, select_backend

aten = torch.ops.aten

_CUDNN_MASKED = -65504.0  # `convert_boolean_attn_mask_cudnn`: -inf troubles cuDNN


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Attention by the kernel that CUDA chooses."""
    requires_grad = torch.is_grad_enabled() and any(
        tensor.requires_grad for tensor in (query, key, value)
    )
    call = Call(
        query, key, value, attn_mask, dropout_p, is_causal, enable_gqa, requires_grad,
        *_hardware(),
    )  # fmt: skip
    kernel = _KERNELS[select_backend(call, enabled(), priority_order())]
    return kernel(call, scale)


def _hardware() -> tuple[tuple[int, int], bool]:
    """Capability, and whether AMD made it; none where no fused kernel is on by default (RDNA)."""
    device = backend.profile()
    if device.compute_capability is not None:
        return device.compute_capability, False
    return ((9, 0) if (device.architecture or "").startswith("gfx9") else (0, 0)), True


def enabled() -> frozenset[SDPBackend]:
    """The backends that `torch.backends.cuda` and `sdpa_kernel` leave on."""
    flags: Any = torch.backends.cuda
    on = {
        SDPBackend.FLASH_ATTENTION: flags.flash_sdp_enabled(),
        SDPBackend.EFFICIENT_ATTENTION: flags.mem_efficient_sdp_enabled(),
        SDPBackend.MATH: flags.math_sdp_enabled(),
        SDPBackend.CUDNN_ATTENTION: flags.cudnn_sdp_enabled(),
    }
    return frozenset(kernel for kernel, is_on in on.items() if is_on)


def priority_order() -> tuple[SDPBackend, ...]:
    """The global order, which `sdpa_kernel(..., set_priority=True)` changes."""
    kernels: Any = SDPBackend.__members__
    known = {int(kernel): kernel for kernel in kernels.values()}
    return tuple(known[number] for number in torch._C._get_sdp_priority_order())


# ------------------------------------------------------------------ kernels


def _flash(call: Call, scale: float | None) -> Tensor:
    """Head dimensions are padded to a multiple of 8 (`pad_last_dim`), and the output cut back."""
    width = call.query.shape[-1]
    padded = [_pad_last(t, 8) for t in (call.query, call.key, call.value)]
    scale = 1 / math.sqrt(width) if scale is None else scale
    output: Tensor = aten._scaled_dot_product_flash_attention(
        *padded, call.dropout, call.is_causal, False, scale=scale
    )[0]
    return output if output.shape[-1] == width else output[..., :width]


def _pad_last(tensor: Tensor, alignment: int) -> Tensor:
    missing = -tensor.shape[-1] % alignment
    return functional.pad(tensor, (0, missing)) if missing else tensor


def _efficient(call: Call, scale: float | None) -> Tensor:
    mask = _additive(call.mask, call.query.dtype, -math.inf)
    if mask is not None:
        mask = _aligned_mask(mask).expand(*call.query.shape[:3], call.key.shape[2])
    output: Tensor = aten._scaled_dot_product_efficient_attention(
        call.query, call.key, call.value, mask, call.requires_grad, call.dropout, call.is_causal,
        scale=scale,
    )[0]  # fmt: skip
    return output


def _aligned_mask(mask: Tensor) -> Tensor:
    """`preprocess_mask`: rows start at multiples of 8 elements, in a padded copy if need be."""
    *outer, last = mask.stride()
    if last == 1 and not any(stride % 8 for stride in outer):
        return mask
    size = mask.shape[-1]
    return functional.pad(mask, (0, 8 - size % 8))[..., :size]


def _cudnn(call: Call, scale: float | None) -> Tensor:
    mask = _additive(call.mask, call.query.dtype, _CUDNN_MASKED)
    output: Tensor = aten._scaled_dot_product_cudnn_attention(
        call.query, call.key, call.value, mask, call.requires_grad, call.dropout, call.is_causal,
        False, scale=scale,
    )[0]  # fmt: skip
    return output


def _math(call: Call, scale: float | None) -> Tensor:
    """`_scaled_dot_product_attention_math`.

    Written out because torch's own adds the mask out of place when it sees fake tensors.
    """
    dtype, mask = call.query.dtype, _additive(call.mask, call.query.dtype, -math.inf)
    query, key, value = (_in_fp32(t) for t in (call.query, call.key, call.value))
    given = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    factor = math.sqrt(abs(given))
    query = query * (-factor if given < 0 else factor)
    if call.is_causal:
        lower = torch.ones(
            query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device
        ).tril()
        mask = _additive(lower, query.dtype, -math.inf)
    if call.enable_gqa:
        key, value = (_repeat_heads(t, query.shape[-3]) for t in (key, value))
    scores = torch.matmul(query, key.transpose(-2, -1) * factor)
    if mask is not None:
        scores.add_(mask)
    weights = torch._safe_softmax(scores, -1)
    if call.dropout > 0:
        weights = torch.dropout(weights, call.dropout, True)
    # The weights are a result too, dropped by the caller.
    output, _ = torch.matmul(weights, value).to(dtype), weights.to(dtype)
    return output


def _in_fp32(tensor: Tensor) -> Tensor:
    reduced = tensor.dtype in (torch.float16, torch.bfloat16)
    return tensor.float() if reduced and not _reduces_in_half() else tensor


def _reduces_in_half() -> bool:
    flags: Any = torch.backends.cuda
    return bool(flags.fp16_bf16_reduction_math_sdp_allowed())


def _repeat_heads(tensor: Tensor, heads: int) -> Tensor:
    """`pre_process_group_query_attention_input`."""
    times = heads // tensor.shape[-3]
    return tensor if times == 1 else tensor.repeat_interleave(times, -3)


def _additive(mask: Tensor | None, dtype: torch.dtype, masked: float) -> Tensor | None:
    """`convert_boolean_attn_mask`: 0 where a boolean mask holds, `masked` elsewhere."""
    if mask is None or mask.dtype != torch.bool:
        return mask
    options: dict[str, Any] = {"dtype": dtype, "device": mask.device}
    out = torch.scalar_tensor(masked, **options)
    return torch.where(mask, torch.scalar_tensor(0.0, **options), out)


_KERNELS = {
    SDPBackend.FLASH_ATTENTION: _flash,
    SDPBackend.EFFICIENT_ATTENTION: _efficient,
    SDPBackend.CUDNN_ATTENTION: _cudnn,
    SDPBackend.MATH: _math,
}
