"""A score of how much a network can express, from its weights' shapes alone: no data, no training.

After ZeroLM (arXiv 2503.18646), which scores attention and feed-forward modules apart, by
statistics of the singular values of randomly initialised weights, and mixes the two by a factor
alpha. **The statistic that ZeroLM uses could not be obtained.** The one here is the capacity of a
weight matrix as a linear channel with Gaussian noise of the signal's power (Telatar 1999,
doi:10.1002/ett.4460100604): with entries scaled to variance 1 and n columns,

    C(W) = sum_i log2(1 + sigma_i(W)^2 / n)    [bits]

Unlike the number of parameters it does not grow with the product of a matrix's sides, but with the
lesser one and the logarithm of their ratio: a wide feed-forward of a narrow model has rank no
larger than the model's width.

Counted are the matrices of repeated layers (those with a number in their name); convolutions as
matrices of their output channels, experts each. Embeddings and heads are left out. Weights shared
by layers count once.

Limitations: it says nothing of heads, activation functions or normalisation, nor of what training
finds; whether it ranks architectures as their accuracy does was not measured here. Its baseline is
the number of parameters, which answers have too.
"""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from planner.tape import Category, Tape

_LAYER = re.compile(r"(^|\.)\d+(\.|$)")
_ATTENTION = re.compile(r"attention|attn|(^|[._])[qkvo]_proj|mixer", re.IGNORECASE)
_MAX_SIDE = 512
"""A matrix whose lesser side is longer is drawn smaller in the same ratio: by the law of Marchenko
and Pastur the capacity for each row depends on the ratio alone, but for terms of 1/side."""


class Capacity(BaseModel):
    """Bits of the two kinds of modules."""

    model_config = ConfigDict(frozen=True)

    attention: float
    feed_forward: float = Field(description="and whatever else is a matrix in a layer")

    def score(self, alpha: float) -> float:
        """Both, mixed."""
        return alpha * self.attention + (1 - alpha) * self.feed_forward


def capacity(tape: Tape) -> Capacity:
    """The capacity of the network that a tape is of. One factorisation for each distinct shape."""
    bits = {True: 0.0, False: 0.0}
    for name, shape in _weights(tape):
        if len(shape) >= 2 and _LAYER.search(name):
            bits[_ATTENTION.search(name) is not None] += _of_parameter(name, shape)
    return Capacity(attention=bits[True], feed_forward=bits[False])


def channel_capacity(weight: NDArray[np.float64]) -> float:
    """Bits of one matrix, shape (rows, columns), entries scaled to variance 1; 0 where all are
    alike.
    """
    spread = float(weight.std())
    if spread == 0:
        return 0.0
    wide = weight if weight.shape[0] <= weight.shape[1] else weight.T
    gram = wide @ wide.T / (spread**2 * weight.shape[1])
    # The determinant's logarithm is the sum over the singular values, without a decomposition.
    return float(np.linalg.slogdet(np.eye(len(gram)) + gram).logabsdet / np.log(2))


@lru_cache(maxsize=1_024)
def drawn_capacity(rows: int, columns: int) -> float:
    """Bits of a matrix of that shape with independent normal entries, always the same draw."""
    scale = min(1.0, _MAX_SIDE / min(rows, columns))
    shape = max(1, round(rows * scale)), max(1, round(columns * scale))
    drawn = np.random.default_rng(0).standard_normal(shape)
    return channel_capacity(drawn) / scale


def _of_parameter(name: str, shape: tuple[int, ...]) -> float:
    """Experts' matrices stand behind each other in one parameter; kernels are flattened."""
    if len(shape) == 3 and "expert" in name:
        return shape[0] * drawn_capacity(*shape[1:])
    return drawn_capacity(shape[0], int(np.prod(shape[1:])))


def _weights(tape: Tape) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of the parameters that stay."""
    kept = (tape.storage_category == Category.parameters) & (tape.deaths == len(tape.events))
    storages, first = np.unique(tape.tensor_storage, return_index=True)
    return [
        (tape.names[tape.storage_name[storage]], tape.layouts[tape.tensor_layout[tensor]][1])
        for storage, tensor in zip(storages, first, strict=True)
        if kept[storage] and tape.storage_name[storage] >= 0
    ]
