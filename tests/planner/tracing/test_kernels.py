"""Corrected meta kernels return the layouts of the real CPU kernels."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode

from planner.tracing.fake import FakeExecution
from planner.tracing.workspace import workspace_bytes

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


@pytest.mark.parametrize("shape", [(2, 1, 128), (2, 4, 1, 1, 32), (1, 256), (2, 2, 64)])
def test_view_of_dimensions_of_size_one(shape):
    attended = torch.ones(2, 4, 1, 32).as_strided((2, 1, 4, 32), (128, 32, 32, 1))
    execution = FakeExecution()
    fake = as_fake(execution, attended)
    result = execution.run(aten.view.default, (FakeTensor,), (fake, shape), {}, [fake])
    assert layouts([result]) == layouts([attended.view(shape)])
    assert result.untyped_storage()._cdata == fake.untyped_storage()._cdata


def test_layer_norm_of_bf16_with_fp32_weights():
    x = torch.ones(2, 3, 8, dtype=torch.bfloat16)
    check(aten.native_layer_norm.default, (x, [8], torch.ones(8), torch.ones(8), 1e-5))


def test_layer_norm_backward_of_a_transposed_gradient():
    x, weight = torch.ones(2, 6, 8), torch.ones(8)
    gradient = torch.ones(2, 8, 6).transpose(1, 2)
    mean = rstd = torch.ones(2, 6, 1)
    args = (gradient, x, [8], mean, rstd, weight, weight, [True, True, True])
    check(aten.native_layer_norm_backward.default, args)


def test_batch_norm_of_bf16_with_fp32_weights():
    x, weight = torch.ones(2, 4, 3, 3, dtype=torch.bfloat16), torch.ones(4)
    args = (x, weight, weight, torch.zeros(4), torch.ones(4), True, 0.1, 1e-5)
    check(aten.native_batch_norm.default, args)


def test_group_norm_and_its_backward_of_bf16_with_fp32_weights():
    x, weight = torch.ones(2, 4, 3, 3, dtype=torch.bfloat16), torch.ones(4)
    check(aten.native_group_norm.default, (x, weight, weight, 2, 4, 9, 2, 1e-5))
    statistic = torch.ones(2, 2)
    args = (x, x, statistic, statistic, weight, 2, 4, 9, 2, [True, True, True])
    check(aten.native_group_norm_backward.default, args)


def run_fake(func, args):
    execution = FakeExecution()
    fakes = tuple(as_fake(execution, arg) for arg in args)
    return execution.run(func, (FakeTensor,), fakes, {}, list(fakes))


def storages(results):
    results = results if isinstance(results, tuple) else (results,)
    return [None if r is None else r.untyped_storage().nbytes() for r in results]


def test_gradients_of_a_batch_norm_that_nobody_asked_for():
    x, weight = torch.ones(2, 4, 3), torch.ones(4)
    args = (x, x, weight, None, None, weight, weight, True, 1e-5, [False, True, True])
    func = aten.native_batch_norm_backward.default
    assert storages(run_fake(func, args)) == storages(func(*args)) == [None, 16, 16]


@pytest.mark.parametrize("reduction", [0, 1, 2])
def test_a_reduced_loss_keeps_the_storage_of_each(reduction):
    args = (torch.ones(3, 5), torch.ones(3, 5), reduction)
    func = aten.mse_loss.default
    assert storages(run_fake(func, args)) == storages(func(*args)) == [60]


def test_folding_keeps_the_storage_of_the_columns():
    args = (torch.ones(2, 36, 16), [6, 6], [3, 3], [1, 1], [0, 0], [1, 1])
    func = aten.col2im.default
    assert storages(run_fake(func, args)) == storages(func(*args)) == [4 * 2 * 36 * 16]


def recurrent(steps, batch=2, width=8, hidden=12):
    x, state = torch.zeros(steps, batch, width), torch.zeros(batch, hidden)
    weights = (torch.zeros(4 * hidden, width), torch.zeros(4 * hidden, hidden))
    bias = torch.zeros(4 * hidden)
    flags = (False, [], 2, hidden, 1, True, False, False, True)
    return (x, *weights, bias, bias, state, state, *flags)


@pytest.mark.parametrize("steps", [1, 7, 300])
def test_the_workspace_of_a_recurrent_layer_is_that_of_onednn(steps):
    func, args = aten.mkldnn_rnn_layer.default, recurrent(steps)
    assert storages(run_fake(func, args)) == storages(func(*args))


def test_the_workspace_of_a_long_sequence_is_extrapolated(monkeypatch):
    args = recurrent(5_000, batch=16, hidden=64)
    *_, workspace = aten.mkldnn_rnn_layer.default(*args)
    monkeypatch.setattr("planner.tracing.workspace.MAX_ELEMENTS", 1 << 22)
    assert workspace_bytes(args) == pytest.approx(workspace.nbytes, rel=0.01)


def test_composite_functions_are_those_of_aten():
    """Under inference mode; torch's decompositions in Python would make many more tensors."""
    x = torch.ones(1, 1, 3, 3, 3)
    execution = FakeExecution()
    seen = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append(func)
            return func(*args, **(kwargs or {}))

    func = aten.upsample_trilinear3d.vec
    with Watch():
        execution.decompose(func, (x, None, True, [2.0, 2.0, 2.0]), {})
    assert seen == [aten.upsample_trilinear3d.default]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_embedding_bag_sums(dtype):
    rows, offsets = torch.arange(6), torch.tensor([0, 2, 4])
    args = (torch.ones(8, 4, dtype=dtype), rows, offsets, False, 0, False, torch.ones(6).to(dtype))
    check(aten._embedding_bag.default, args)
