"""FLOPs of ops that torch's own counter lacks."""

import pytest
import torch

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
