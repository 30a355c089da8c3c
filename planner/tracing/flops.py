"""FLOPs of an op: those of `torch.utils.flop_counter` (2 per multiply-accumulate), and what it
lacks.

Only matrix products (weighted sums of table rows among them), convolutions and attention count;
everything else is bound by memory traffic, which the tape has in bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch._ops import OpOverload
from torch.utils.flop_counter import flop_registry

aten = torch.ops.aten


def flop_formula(func: OpOverload) -> Callable[..., int] | None:
    """A function of (args, kwargs, output) that counts the op's FLOPs, or None for ops that count
    as none.
    """
    own = _OWN.get(func)
    if own is not None:
        return own
    formula = flop_registry.get(func.overloadpacket)
    if formula is None:
        return None

    def count(args: Any, kwargs: Any, output: Any) -> int:
        return int(formula(*args, **kwargs, out_val=output))

    return count


def _attention_forward(args: Any, kwargs: Any, output: Any) -> int:
    """QK^T and PV: 2 products of B*A*S*T*d multiply-accumulates."""
    query, key = args[0], args[1]
    batch, heads, length, width = query.shape
    return int(4 * batch * heads * length * key.shape[-2] * width)


def _attention_backward(args: Any, kwargs: Any, output: Any) -> int:
    """Five products (flash recomputes QK^T): Dao et al. 2022, arXiv 2205.14135, algorithm 4."""
    query, key = args[1], args[2]
    batch, heads, length, width = query.shape
    return int(10 * batch * heads * length * key.shape[-2] * width)


def _grouped_product(args: Any, kwargs: Any, output: Any) -> int:
    """Products of groups of rows (2-D by 3-D), of columns (3-D by 2-D), of parts of the dimension
    that is summed (2-D by 2-D), or of a batch (3-D by 3-D); together the groups are the whole.
    """
    first, second = args[0], args[1]
    summed = first.shape[-1]
    if first.dim() == 2 and second.dim() == 2:
        return int(2 * summed * first.shape[0] * second.shape[1])
    return int(2 * summed * output.numel())


def _weighted_rows(weights_at: int, table_at: int) -> Callable[..., int]:
    """A row times its weight, added, for each index; sums without weights count none.

    Args:
        weights_at, table_at: places of the weights, and of a tensor of rows, among the op's
        arguments (ATen/native/native_functions.yaml).
    """

    def count(args: Any, kwargs: Any, output: Any) -> int:
        weights = args[weights_at] if len(args) > weights_at else None
        weights = kwargs.get("per_sample_weights", weights)
        return 0 if weights is None else int(2 * weights.numel() * args[table_at].shape[1])

    return count


def _row_weights_gradient(args: Any, kwargs: Any, output: Any) -> int:
    """The product of a row and its sum's gradient for each index."""
    return int(2 * output.numel() * args[1].shape[1])


def _singular_values(args: Any, kwargs: Any, output: Any) -> int:
    """6 m n^2 + 20 n^3 for singular values and the n vectors of each side (Golub and Van Loan 2013,
    Matrix Computations, figure 8.6.1, R-SVD).
    """
    *batch, rows, columns = args[0].shape
    longer, shorter = max(rows, columns), min(rows, columns)
    return int(math.prod(batch) * (6 * longer * shorter**2 + 20 * shorter**3))


_OWN: dict[OpOverload, Callable[..., int]] = {
    aten._scaled_dot_product_flash_attention_for_cpu.default: _attention_forward,
    aten._scaled_dot_product_flash_attention_for_cpu_backward.default: _attention_backward,
    aten._grouped_mm.default: _grouped_product,
    aten._embedding_bag.default: _weighted_rows(6, 0),
    aten._embedding_bag_forward_only.default: _weighted_rows(6, 0),
    aten._embedding_bag_backward.default: _weighted_rows(10, 0),
    aten._embedding_bag_per_sample_weights_backward.default: _row_weights_gradient,
    aten._linalg_svd.default: _singular_values,
}
