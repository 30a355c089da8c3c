"""The choice of an attention kernel, rule by rule (ATen/native/transformers/cuda/sdp_utils.cpp)."""

from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend

from planner.tracing.cuda.attention import CHECKS, Call, prefers_cudnn, select_backend

FLASH, EFFICIENT = SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION
CUDNN, MATH = SDPBackend.CUDNN_ATTENTION, SDPBackend.MATH
HOPPER, AMPERE, A10, TURING, VOLTA, RTX50 = (9, 0), (8, 0), (8, 6), (7, 5), (7, 0), (12, 0)
BF16, FP16, FP32 = torch.bfloat16, torch.float16, torch.float32


def tensor(*shape, dtype=BF16):
    return torch.empty(shape, dtype=dtype, device="meta")


def call(
    width=64, dtype=BF16, capability=AMPERE, heads=8, kv_heads=None, length=128, keys=None,
    value_width=None, mask=None, **options,
):  # fmt: skip
    keys, kv_heads = keys or length, kv_heads or heads
    given = {
        "dropout": 0.0, "is_causal": False, "enable_gqa": False, "requires_grad": True,
    } | options  # fmt: skip
    return Call(
        tensor(2, heads, length, width, dtype=dtype),
        tensor(2, kv_heads, keys, width, dtype=dtype),
        tensor(2, kv_heads, keys, value_width or width, dtype=dtype),
        mask,
        capability=capability,
        **given,
    )


def mask(*shape, dtype=torch.bool):
    return torch.empty(shape, dtype=dtype, device="meta")


CASES = {
    # priority_order, check_prefer_cudnn_attention
    "flash first on Ampere": (call(), FLASH),
    "cuDNN first on Hopper": (call(capability=HOPPER), CUDNN),
    "cuDNN first on B200": (call(capability=(10, 0)), CUDNN),
    "flash first on consumer Blackwell": (call(capability=RTX50), FLASH),
    # check_dtypes_low_precision, the dtypes of can_use_mem_efficient_attention
    "fp32": (call(dtype=FP32), EFFICIENT),
    "fp32 on Hopper": (call(dtype=FP32, capability=HOPPER), EFFICIENT),
    "fp64": (call(dtype=torch.float64), MATH),
    "bf16 before Ampere": (call(capability=TURING), MATH),
    # check_flash_attention_hardware_support
    "fp16 before Ampere": (call(dtype=FP16, capability=TURING), EFFICIENT),
    # check_for_attn_mask; check_attn_mask_shape
    "a mask": (call(mask=mask(2, 1, 128, 128)), EFFICIENT),
    "a mask on Hopper": (call(mask=mask(2, 1, 128, 128), capability=HOPPER), CUDNN),
    "3-dimensional mask on Hopper": (call(mask=mask(8, 128, 128), capability=HOPPER), EFFICIENT),
    # check_head_dim_size_flash
    "256 wide": (call(width=256), FLASH),
    "264 wide": (call(width=264), EFFICIENT),
    "other value width": (call(value_width=128), EFFICIENT),
    # check_requires_grad_and_head_dim_gt192_constraints_on_sm86_89_or_120
    "200 wide in training on an A10": (call(width=200, capability=A10), EFFICIENT),
    "200 wide, inference, A10": (call(width=200, capability=A10, requires_grad=False), FLASH),
    "256 wide in training on an A10": (call(width=256, capability=A10), FLASH),
    "256 wide with dropout on an A10": (call(width=256, capability=A10, dropout=0.1), EFFICIENT),
    "200 wide in training on an A100": (call(width=200), FLASH),
    # check_flash_causal_non_square_seqlens
    "causal, square": (call(is_causal=True), FLASH),
    "causal, not square": (call(is_causal=True, keys=256), EFFICIENT),
    # check_batch_size_and_num_heads_dense
    "grouped queries": (call(kv_heads=2, enable_gqa=True), FLASH),
    "grouped queries in fp32": (call(kv_heads=2, enable_gqa=True, dtype=FP32), MATH),
    "fewer heads, not grouped": (call(kv_heads=2), MATH),
    "heads that do not divide": (call(heads=8, kv_heads=3, enable_gqa=True), MATH),
    # check_head_dim_size_mem_efficient: minimum_gemm_alignment
    "66 wide fp32": (call(width=66, dtype=FP32), MATH),
    "68 wide fp32": (call(width=68, dtype=FP32), EFFICIENT),
    "68 wide bf16, masked": (call(width=68, mask=mask(128, 128)), MATH),
    "66 wide fp32 on Volta": (call(width=66, dtype=FP32, capability=VOLTA), EFFICIENT),
    "68 wide fp16 on Volta": (call(width=68, dtype=FP16, capability=VOLTA), MATH),
    # check_nonzero_sequence_lengths_dense
    "no queries": (call(length=0, keys=8), MATH),
    # check_cudnn_dropout
    "dropout of a tenth on Hopper": (call(capability=HOPPER, dropout=0.1), FLASH),
    "dropout of an eighth on Hopper": (call(capability=HOPPER, dropout=0.125), CUDNN),
    # check_cudnn_tensor_shapes
    "odd width on Hopper": (call(width=100, capability=HOPPER), FLASH),
    "256 wide on Hopper": (call(width=256, capability=HOPPER), CUDNN),
    "192 wide on B200": (call(width=192, capability=(10, 0)), FLASH),
    "DeepSeek's widths on B200": (call(width=192, value_width=128, capability=(10, 0)), CUDNN),
    "one key on Hopper": (call(length=1, keys=1, capability=HOPPER), FLASH),
    # USE_ROCM
    "AMD": (call(capability=HOPPER, amd=True), FLASH),
    "AMD, fp32": (call(capability=HOPPER, amd=True, dtype=FP32), EFFICIENT),
    "AMD, 512 wide": (call(width=512, capability=HOPPER, amd=True), FLASH),
    "AMD, other value width": (call(value_width=128, capability=HOPPER, amd=True), MATH),
    "one query on Hopper": (call(length=1, keys=64, capability=HOPPER), CUDNN),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_rule(name):
    given, expected = CASES[name]
    assert select_backend(given) == expected


def test_last_dimension_must_be_dense():
    """check_last_dim_stride_equals_1_dense."""
    strided = tensor(2, 8, 64, 128).transpose(-1, -2)
    assert select_backend(replace(call(), query=strided)) == MATH
    single = tensor(2, 8, 1, 128).transpose(-1, -2)
    assert select_backend(replace(call(width=1), query=single)) == FLASH


def test_three_dimensions_take_the_math_path():
    """check_tensor_shapes."""
    x = tensor(8, 128, 64)
    assert select_backend(replace(call(), query=x, key=x, value=x)) == MATH


def test_a_mask_with_a_gradient_keeps_cudnn_out():
    """check_attn_mask_shape."""
    bias = mask(2, 8, 128, 128, dtype=BF16).requires_grad_()
    assert select_backend(call(mask=bias, capability=HOPPER)) == EFFICIENT


def test_only_what_is_enabled():
    assert select_backend(call(), enabled=frozenset({EFFICIENT, MATH})) == EFFICIENT
    assert select_backend(call(), enabled=frozenset({MATH})) == MATH
    assert select_backend(call(capability=HOPPER), enabled=frozenset({FLASH, MATH})) == FLASH
    with pytest.raises(RuntimeError, match="No available kernel"):
        select_backend(call(dtype=FP32), enabled=frozenset({FLASH}))


def test_a_priority_order_of_ones_own():
    order = (MATH, FLASH, EFFICIENT, CUDNN)
    assert select_backend(call(capability=HOPPER), order=order) == MATH


def test_deterministic_algorithms_keep_cudnn_out():
    """check_cudnn_deterministic."""
    torch.use_deterministic_algorithms(True)
    try:
        assert select_backend(call(capability=HOPPER)) == FLASH
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("capability", [HOPPER, (10, 0), (10, 3)])
def test_cudnn_is_preferred(capability):
    assert prefers_cudnn(capability)


def test_every_backend_has_checks():
    assert set(CHECKS) == {FLASH, EFFICIENT, CUDNN, MATH}
