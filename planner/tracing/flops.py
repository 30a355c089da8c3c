"""FLOPs of an op: those of `torch.utils.flop_counter` (2 per multiply-accumulate), and what it
lacks.

Only matrix products, convolutions and attention count; everything else is bound by memory traffic,
which the tape has in bytes.
"""

from __future__ import annotations

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


_OWN: dict[OpOverload, Callable[..., int]] = {
    aten._scaled_dot_product_flash_attention_for_cpu.default: _attention_forward,
    aten._scaled_dot_product_flash_attention_for_cpu_backward.default: _attention_backward,
}
