"""FLOPs of ops that torch's own counter lacks."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from planner.tracing.flops import flop_formula

GROUPS, ROWS, INNER, COLUMNS = 4, 64, 16, 32
WHOLE = 2 * ROWS * INNER * COLUMNS


@pytest.mark.parametrize(
    ("first", "second", "output", "flops"),
    [
        ((ROWS, INNER), (GROUPS, INNER, COLUMNS), (ROWS, COLUMNS), WHOLE),
        ((GROUPS, COLUMNS, INNER), (INNER, ROWS), (COLUMNS, ROWS), WHOLE),
        ((INNER, ROWS), (ROWS, COLUMNS), (GROUPS, INNER, COLUMNS), WHOLE),
        ((GROUPS, ROWS, INNER), (GROUPS, INNER, COLUMNS), (GROUPS, ROWS, COLUMNS), GROUPS * WHOLE),
    ],
)
def test_groups_of_a_product_cost_what_the_whole_does(first, second, output, flops):
    formula = flop_formula(torch.ops.aten._grouped_mm.default)
    made = [torch.empty(shape, device="meta") for shape in (first, second, output)]
    assert formula(tuple(made[:2]), {}, made[2]) == flops


def flops_of(run):
    """All that a run on CPU tensors counts."""
    total = 0

    class Counting(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal total
            output = func(*args, **(kwargs or {}))
            formula = flop_formula(func)
            total += 0 if formula is None else formula(args, kwargs or {}, output)
            return output

    with Counting():
        run()
    return total


def test_weighted_sums_of_rows_cost_a_product_for_each_row_forward_and_two_backward():
    table = torch.randn(32, COLUMNS, requires_grad=True)
    rows = torch.randint(32, (ROWS, INNER))
    weights = torch.rand(ROWS, INNER, requires_grad=True)

    def bags(row_weights):
        return F.embedding_bag(rows, table, mode="sum", per_sample_weights=row_weights)

    assert flops_of(lambda: bags(None).sum().backward()) == 0
    assert flops_of(lambda: bags(weights)) == WHOLE
    assert flops_of(lambda: bags(weights).sum().backward()) == 3 * WHOLE
