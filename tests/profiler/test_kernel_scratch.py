"""Scratch whose bytes follow from torch's own kernels."""

import pytest
import torch

from profiler.kernel_scratch import scratch_of


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def by_op(rows):
    return {row.call.op: row for row in rows}


def test_an_op_that_allocates_only_its_output_is_not_listed():
    x = torch.ones(1000)
    assert scratch_of(lambda: x + x) == []


def test_a_full_reduction_keeps_one_number_a_thread(two_threads):
    # TensorIterator's two_pass_reduction (ATen/native/TensorIteratorReduce.cpp).
    x = torch.ones(300_000)
    row = by_op(scratch_of(lambda: x.sum()))["aten.sum.default"]
    assert row.peak_bytes == 2 * 4
    assert row.left_bytes == 0
    assert row.call.output_bytes == 4


def test_a_python_number_is_wrapped_in_a_tensor_first():
    x = torch.ones(10)
    row = by_op(scratch_of(lambda: [x.mul_(2.0) for _ in range(3)]))["aten.mul_.Tensor"]
    assert row.count == 3
    assert row.peak_bytes == 8 + 4  # float64, then its cast to float32
    assert "float32[10]" in row.call.operands


def test_views_and_inputs_are_no_outputs():
    x = torch.ones(10, 10)

    def work():
        x.t().reshape(-1)
        x.add_(x)

    for row in scratch_of(work):
        assert row.call.output_bytes in (0, 400)
        assert row.peak_bytes == row.left_bytes == 0
