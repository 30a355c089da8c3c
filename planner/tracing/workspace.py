"""The workspace of oneDNN's recurrent layers, asked by running one on real memory.

oneDNN lays out gates and states for backward as suits the instruction set, each buffer rounded to
pages (oneDNN: src/cpu/rnn/rnn_utils.hpp, `set_workspace_sizes`); nothing but the primitive tells.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

MAX_ELEMENTS = 1 << 24
"""Of gates in all steps of a layer that is run as it is; of longer ones the slope is taken."""

_INPUT, _HIDDEN_SIZE = 0, 11  # places among the arguments of `mkldnn_rnn_layer`

Shapes = tuple[Any, ...]


def workspace_bytes(args: tuple[Any, ...]) -> int:
    """Bytes that `mkldnn_rnn_layer` keeps when called with arguments like these in training.

    Beyond `MAX_ELEMENTS`, where pages no longer matter, it is extrapolated along the sequence.
    """
    frozen = tuple(
        (tuple(each.shape), each.dtype) if isinstance(each, Tensor) else _plain(each)
        for each in args
    )
    steps, batch = args[_INPUT].shape[:2]
    hidden_size: int = args[_HIDDEN_SIZE]
    longest = max(2, MAX_ELEMENTS // (4 * batch * hidden_size))
    if steps <= longest:
        return _run(frozen, steps)
    half = longest // 2
    upper, lower = _run(frozen, 2 * half), _run(frozen, half)
    slope = (upper - lower) / half
    extrapolated: int = upper + round((steps - 2 * half) * slope)
    return extrapolated


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@lru_cache(maxsize=256)
def _run(frozen: Shapes, steps: int) -> int:
    args = [_zeros(each, steps if place == _INPUT else None) for place, each in enumerate(frozen)]
    with torch.enable_grad():
        *_, workspace = torch.ops.aten.mkldnn_rnn_layer.default(*args)
    return 0 if workspace is None else int(workspace.nbytes)


def _zeros(value: Any, steps: int | None) -> Any:
    if not (isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], torch.dtype)):
        return list(value) if isinstance(value, tuple) else value
    shape, dtype = value
    return torch.zeros(shape if steps is None else (steps, *shape[1:]), dtype=dtype)
