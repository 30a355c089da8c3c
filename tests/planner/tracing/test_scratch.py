"""What the table says of an op is what torch's allocator reports while the real op runs."""

import pytest
import torch
from torch.autograd.profiler import record_function

from planner.allocations import peaks_inside, record_allocations
from planner.tracing.scratch import scratch_bytes

aten = torch.ops.aten
ones = torch.ones

CALLS = {
    "same dtypes": (aten.add.Tensor, (ones(64, 3), ones(64, 3))),
    "bf16 plus fp32": (aten.add.Tensor, (ones(64, 3, dtype=torch.bfloat16), ones(64, 3))),
    "fp32 times bf16 row": (aten.mul.Tensor, (ones(64, 3), ones(3, dtype=torch.bfloat16))),
    "into fp32 from bf16": (aten.add_.Tensor, (ones(64), ones(64, dtype=torch.bfloat16))),
    "a number": (aten.mul.Tensor, (ones(64), 0.5)),
    "a whole number": (aten.add_.Tensor, (ones(()), 1)),
    "a number to int64": (aten.add.Tensor, (ones(64, dtype=torch.int64), 1)),
    "a number to fp64": (aten.add.Tensor, (ones(64, dtype=torch.float64), 1.5)),
    "true division": (aten.div.Tensor, (ones(64, dtype=torch.int64), 2)),
    "comparison": (aten.eq.Tensor, (ones(64, dtype=torch.int64), ones(64))),
    "where": (
        aten.where.self,
        (ones(64, dtype=torch.bool), ones(64), ones(64, dtype=torch.bfloat16)),
    ),
    "scalar overload": (aten.div_.Scalar, (ones(64), 3.0)),
    "mean": (aten.mean.dim, (ones(64, 3), [1], True)),
    "product": (aten.mm.default, (ones(7, 5), ones(5, 9))),
    "product of a transposed": (aten.mm.default, (ones(5, 7).t(), ones(9, 5).t())),
    "product of an expanded": (aten.mm.default, (ones(1, 1).expand(7, 5), ones(5, 9))),
    "product of a row": (aten.mm.default, (ones(1, 5), ones(1, 9).expand(5, 9))),
    "product of every other": (
        aten.addmm.default,
        (ones(9), ones(14, 5)[::2], ones(5, 18)[:, ::2]),
    ),
    "embedding backward": (
        aten.embedding_dense_backward.default,
        (ones(6, 4), torch.arange(6), 9, -1, False),
    ),
    "embedding backward of a transposed": (
        aten.embedding_dense_backward.default,
        (ones(4, 6).t(), torch.arange(6), 9, -1, False),
    ),
    "copy of a transposed": (aten.copy_.default, (ones(70, 80), ones(80, 70).t())),
    "copy of a transposed of bytes": (
        aten.copy_.default,
        (ones(70, 80, dtype=torch.uint8), ones(80, 70, dtype=torch.uint8).t()),
    ),
    "copy of a small transposed": (aten.copy_.default, (ones(59, 60), ones(60, 59).t())),
    "copy of a part of a transposed": (
        aten.copy_.default,
        (ones(70, 80), ones(90, 70).t()[:, :80]),
    ),
    "relu": (aten.relu.default, (ones(64),)),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_as_the_allocator_says(name):
    func, args = CALLS[name]
    with record_allocations() as recorded, record_function("op"):
        result = func(*args)
    fresh = all(result is not given for given in args)
    output = result.untyped_storage().nbytes() if fresh else 0
    assert scratch_bytes(func, args, {}) == peaks_inside(recorded)["op"] - output


@pytest.mark.parametrize("kept", [torch.contiguous_format, torch.preserve_format])
def test_a_clone_transposes_through_a_square(kept):
    matrix = ones(80, 70).t()
    with record_allocations() as recorded, record_function("op"):
        result = aten.clone.default(matrix, memory_format=kept)
    scratch = scratch_bytes(aten.clone.default, (matrix,), {"memory_format": kept})
    assert scratch == peaks_inside(recorded)["op"] - result.nbytes
