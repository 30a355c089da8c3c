"""The memo answers as FakeTensorMode does, the first time and every time after."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from planner.tracing.memo import Memo

aten = torch.ops.aten


def fake(mode, *shape, strides=None, dtype=torch.float32):
    with mode:
        if strides is None:
            return torch.empty(shape, dtype=dtype)
        return torch.empty_strided(shape, strides, dtype=dtype)


def layout(tensor):
    return tensor.shape, tensor.stride(), tensor.dtype, tensor.storage_offset(), tensor.fake_device


CALLS = {
    "mm": lambda m: (aten.mm.default, (fake(m, 3, 4), fake(m, 4, 5))),
    "mm of a transposed": lambda m: (
        aten.mm.default,
        (fake(m, 3, 4), fake(m, 4, 5, strides=(1, 4))),
    ),
    "add a number": lambda m: (aten.add.Tensor, (fake(m, 3, dtype=torch.int64), 1)),
    "add a real number": lambda m: (aten.add.Tensor, (fake(m, 3, dtype=torch.int64), 1.0)),
    "promoted": lambda m: (aten.mul.Tensor, (fake(m, 3), fake(m, 3, dtype=torch.bfloat16))),
    "several results": lambda m: (aten.max.dim, (fake(m, 3, 4), 1)),
    "view": lambda m: (aten.view.default, (fake(m, 3, 4), [12])),
    "slice with an offset": lambda m: (aten.slice.Tensor, (fake(m, 8, 4), 0, 2, 5)),
    "list of tensors": lambda m: (aten.cat.default, ([fake(m, 2, 3), fake(m, 4, 3)],)),
    "split": lambda m: (aten.split.Tensor, (fake(m, 6, 2), 2)),
    "in place": lambda m: (aten.add_.Tensor, (fake(m, 3), fake(m, 3))),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_every_answer_is_that_of_the_mode(name):
    mode = FakeTensorMode()
    memo = Memo(mode)
    func, args = CALLS[name](mode)
    expected = mode.dispatch(func, (FakeTensor,), *CALLS[name](mode)[1:])
    for _ in range(3):
        func, args = CALLS[name](mode)
        result = memo.run(func, (FakeTensor,), args, {})
        results, wanted = (
            value if isinstance(value, (tuple, list)) else [value] for value in (result, expected)
        )
        assert type(result) is type(expected) or isinstance(result, tuple)
        assert [layout(tensor) for tensor in results] == [layout(tensor) for tensor in wanted]


def test_views_share_their_base_and_in_place_ops_return_it():
    mode = FakeTensorMode()
    memo = Memo(mode)
    for _ in range(2):
        base = fake(mode, 3, 4)
        view = memo.run(aten.t.default, (FakeTensor,), (base,), {})
        assert view.untyped_storage()._cdata == base.untyped_storage()._cdata
        assert memo.run(aten.add_.Tensor, (FakeTensor,), (base, 1.0), {}) is base
        fresh = memo.run(aten.neg.default, (FakeTensor,), (base,), {})
        assert fresh.untyped_storage()._cdata != base.untyped_storage()._cdata


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=4),
    st.lists(st.sampled_from([1, 1.0, True, 0.5]), min_size=2, max_size=6),
    st.sampled_from([torch.float32, torch.int64, torch.bool, torch.bfloat16]),
)
def test_numbers_of_different_kinds_are_told_apart(shape, numbers, dtype):
    mode = FakeTensorMode()
    memo = Memo(mode)
    for number in numbers:
        args = (fake(mode, *shape, dtype=dtype), number)
        expected = mode.dispatch(aten.mul.Tensor, (FakeTensor,), args, {})
        assert layout(memo.run(aten.mul.Tensor, (FakeTensor,), args, {})) == layout(expected)
