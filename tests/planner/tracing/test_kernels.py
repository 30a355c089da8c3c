"""Corrected meta kernels return the layouts of the real CPU kernels."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor

from planner.tracing.fake import FakeExecution

aten = torch.ops.aten


def layouts(results):
    return [(tuple(result.shape), result.stride(), result.dtype) for result in results]


def as_fake(execution, value):
    if not isinstance(value, torch.Tensor):
        return value
    with execution.mode:
        return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype)


def check(func, args):
    execution = FakeExecution()
    fakes = tuple(as_fake(execution, arg) for arg in args)
    result = execution.run(func, (FakeTensor,), fakes, {}, list(fakes))
    assert layouts(result) == layouts(func(*args))


def test_layer_norm_of_bf16_with_fp32_weights():
    x = torch.ones(2, 3, 8, dtype=torch.bfloat16)
    check(aten.native_layer_norm.default, (x, [8], torch.ones(8), torch.ones(8), 1e-5))


def test_layer_norm_backward_of_a_transposed_gradient():
    x, weight = torch.ones(2, 6, 8), torch.ones(8)
    gradient = torch.ones(2, 8, 6).transpose(1, 2)
    mean = rstd = torch.ones(2, 6, 1)
    args = (gradient, x, [8], mean, rstd, weight, weight, [True, True, True])
    check(aten.native_layer_norm_backward.default, args)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_embedding_bag_sums(dtype):
    rows, offsets = torch.arange(6), torch.tensor([0, 2, 4])
    args = (torch.ones(8, 4, dtype=dtype), rows, offsets, False, 0, False, torch.ones(6).to(dtype))
    check(aten._embedding_bag.default, args)
