"""From storages with their first and last ops to buffers: alignment, and storages that share one.

Time is counted in ops. A storage is needed from the op that makes it to the last op that reads it,
both included: an op's inputs and outputs are never in one place, but where an elementwise op may
write over an input that it is the last to read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.arena.buffers import Buffers, Ints

ALIGNMENT_BYTES = 64
"""That of torch's CPU allocations (c10/core/alignment.h: `gAlignment`)."""

ELEMENTWISE = frozenset(
    {
        "abs", "add", "bitwise_and", "bitwise_not", "bitwise_or", "ceil", "clamp", "clamp_max",
        "clamp_min", "cos", "div", "elu", "eq", "erf", "exp", "expm1", "floor", "ge", "gelu",
        "gt", "hardsigmoid", "hardtanh", "le", "leaky_relu", "log", "log1p", "logical_and",
        "logical_not", "logical_or", "lt", "masked_fill", "maximum", "minimum", "mish", "mul",
        "ne", "neg", "pow", "reciprocal", "relu", "remainder", "round", "rsqrt", "rsub",
        "sigmoid", "sign", "silu", "sin", "softplus", "sqrt", "square", "sub", "tanh",
        "threshold", "where",
    }
)  # fmt: skip
"""Aten ops of which each element depends on the operands' elements at its place alone: tagged
`pointwise` in aten/src/ATen/native/native_functions.yaml."""


@dataclass(frozen=True, eq=False)
class Arena:
    """Storages as buffers to be packed.

    Attributes:
        buffers: one for each place; its id is that of the first storage in it.
        buffer: of each storage, the row of `buffers` that it lies in.
    """

    buffers: Buffers
    buffer: Ints

    @property
    def reused(self) -> int:
        """Storages that lie where another lay, by an elementwise op."""
        return len(self.buffer) - len(self.buffers)


def may_overwrite(op: str) -> bool:
    """Whether an op named as `aten.add.Tensor` may write over an operand of the result's layout."""
    library, _, rest = op.partition(".")
    return library == "aten" and rest.partition(".")[0] in ELEMENTWISE


def arena(
    names: list[str],
    made_by: Ints,
    last_read_by: Ints,
    storage_bytes: Ints,
    overwrites: dict[int, list[int]],
    alignment_bytes: int = ALIGNMENT_BYTES,
) -> Arena:
    """Buffers of storages in order of their making.

    Args:
        made_by, last_read_by: numbers of ops.
        overwrites: for a storage, those that its op may write over, the first preferred. One is
            taken only if nothing reads it later and it has equal bytes.
        alignment_bytes: sizes are rounded up to multiples of it, so all offsets are multiples.
    """
    # The last storage in each buffer, by which the buffer can be written over.
    buffer = np.full(len(names), -1, dtype=np.int64)
    first: list[int] = []
    last: list[int] = []
    for storage in range(len(names)):
        for old in overwrites.get(storage, ()):
            row = int(buffer[old])
            if (
                last[row] == old
                and last_read_by[old] == made_by[storage]
                and storage_bytes[old] == storage_bytes[storage]
            ):
                buffer[storage] = row
                last[row] = storage
                break
        else:
            buffer[storage] = len(first)
            first.append(storage)
            last.append(storage)
    rounded = -(-storage_bytes[first] // alignment_bytes) * alignment_bytes
    ids = tuple(names[storage] for storage in first)
    return Arena(Buffers(ids, made_by[first], last_read_by[last] + 1, rounded), buffer)
